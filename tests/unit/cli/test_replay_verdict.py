"""Whether a replay did what the original did, and how changed code differs from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from plasmid.cli import replay_source, replay_verdict
from plasmid.domain.replays import Line, Object, Outcome

JOB = "job-" + "b" * 24


def outcome(*texts: str, level: str = "STDOUT", **more: Any) -> Outcome:
    given = {"state": "failed", "reason": "AppInternalError", "message": "exited", "exit_code": 3}
    return Outcome(**{**given, "lines": [Line(level, text) for text in texts], **more})


def test_the_same_end_is_alike() -> None:
    then, now = outcome("a", "b"), outcome("a", "b")
    assert replay_verdict.differences(then, now) == []
    told = replay_verdict.alike(then, now)
    assert told == (
        "as the original did, the replay failed with AppInternalError, exit code 3;"
        " the last 2 lines are the same"
    )


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"state": "done"}, "state: failed then, done now"),
        ({"reason": "AppError"}, "reason: AppInternalError then, AppError now"),
        ({"message": "other"}, "message now:  other"),
        ({"exit_code": 4}, "exit code: 3 then, 4 now"),
    ],
)
def test_another_end_is_told(changed: dict[str, Any], told: str) -> None:
    assert told in replay_verdict.differences(outcome(), outcome(**changed))


def test_a_restarted_and_a_held_try_have_failed() -> None:
    for state in ("restarted", "debug_hold"):
        assert replay_verdict.differences(outcome(state=state), outcome()) == []


def test_an_unknown_exit_code_is_no_difference() -> None:
    assert replay_verdict.differences(outcome(exit_code=None), outcome()) == []


def test_other_last_lines_are_shown_with_what_is_around_them() -> None:
    found = replay_verdict.differences(outcome("a", "b"), outcome("a", "c"))
    assert found[0] == "last lines of standard output:"
    assert {"  -b", "  +c"} <= set(found)
    only_err = replay_verdict.differences(outcome("x", level="STDERR"), outcome())
    assert only_err[0] == "last lines of standard error:"


def test_only_the_last_lines_since_the_code_began_count() -> None:
    begun = f"bash running (job ID {JOB})"
    then = outcome(">>> Unpacking", begun, *[str(n) for n in range(50)])
    now = outcome(begun, "0 was odd", *[str(n) for n in range(1, 50)])
    assert replay_verdict.differences(then, now) == []
    assert replay_verdict.differences(outcome(">>> Unpacking", begun), outcome(begun)) == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("made file-" + "1" * 24, "made file-" + "2" * 24),
        ("2026-11-23T02:38:41.285Z begins", "2026-11-24 03:00:00 begins"),
        ("took 3.2 s", "took 14 seconds"),
        ("<object at 0x7f39ffa80750>", "<object at 0x7f39ffb8a450>"),
        ("Request Time=1795402243.77, Request ID=17954-574", "Request Time=1.0, Request ID=1-2"),
        ("x.sh: line 3:  417 Killed", "x.sh: line 3:   99 Killed"),
        ("at 1795402243", "at 1795402999123"),
    ],
)
def test_what_is_another_in_each_run_is_no_difference(one: str, other: str) -> None:
    assert replay_verdict.differences(outcome(one), outcome(other)) == []


@pytest.mark.parametrize(("one", "other"), [("3 reads", "4 reads"), ("line 3", "line 4")])
def test_other_figures_are_a_difference(one: str, other: str) -> None:
    assert replay_verdict.differences(outcome(one), outcome(other))


def a_run(folder: Path, name: str, output: dict[str, Any], **files: bytes) -> replay_verdict.Run:
    objects, contents = {}, {}
    for letter, content in files.items():
        file_id = f"file-{letter}{name[0].upper()}" + "0" * 22
        contents[file_id] = folder / file_id
        contents[file_id].write_bytes(content)
        objects[file_id] = Object(
            id=file_id,
            role="output",
            container="",
            name="out.txt",
            size_bytes=len(content),
            sha256=replay_source.digest_of(contents[file_id]),
        )
        output[letter] = {"$dnanexus_link": file_id}
    ended = Outcome(state="done", output=output, seconds=2.0, peak_memory_bytes=3 << 20)
    return replay_verdict.Run(ended, objects, contents)


def test_files_are_compared_by_what_is_in_them(tmp_path: Path) -> None:
    then = a_run(tmp_path, "then", {"n": 1, "gone": 2}, x=b"same\n", y=b"one\ntwo\n", z=b"\xff\x00")
    now = a_run(tmp_path, "now", {"n": 3, "new": 2}, x=b"same\n", y=b"one\n2\n", z=b"\xff\x01")
    told = replay_verdict.beside(then, now)
    assert "output n: 1 then, 3 now" in told
    assert {"output gone: only then", "output new: only now"} <= set(told)
    assert not any(line.startswith("output x") for line in told)
    index = next(i for i, line in enumerate(told) if line.startswith("output y (out.txt): 8 bytes"))
    assert told[index + 1 : index + 3] == ["  line 2 then: two", "  line 2 now:  2"]
    assert any(line.startswith("output z (out.txt): 2 bytes") for line in told)
    assert told[-1] == "time: 2.0 s then, 2.0 s now; peak memory: 3 MiB then, 3 MiB now"


def test_lists_of_another_length_are_told(tmp_path: Path) -> None:
    then, now = a_run(tmp_path, "then", {"a": [1, 2]}), a_run(tmp_path, "now", {"a": [1, 3, 4]})
    told = replay_verdict.beside(then, now)
    assert {"output a: 2 values then, 3 now", "output a[1]: 2 then, 3 now"} <= set(told)
