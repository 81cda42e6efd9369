"""Secrets leave a try as *** only, however they are written and wherever they are cut."""

from __future__ import annotations

import base64
import errno
import os
import time
from pathlib import Path
from typing import Any

import pytest
import re2

from plasmid.domain import assignments
from plasmid.worker import (
    log_pump,
    masking,
    output_log,
    platform,
    registered,
    spool,
    try_folder,
)
from tests.unit.worker import fake_platform
from tests.unit.worker.fake_platform import JOB
from tests.unit.worker.test_log_limit import as_conmon

SECRET = "s3cr3t-" + "0123456789abcdef" * 3


def read_all(path: Path, content: bytes, masker: masking.Masker) -> list[assignments.LogEntry]:
    path.write_bytes(content)
    log = output_log.OutputLog(path, masker=masker)
    entries: list[assignments.LogEntry] = []
    while more := log.read(0, is_final=True):
        entries += more
    log.close()
    return entries


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log"


def test_a_value_is_masked_in_text_and_bytes() -> None:
    masker = masking.Masker([SECRET, "ünïcode"])
    assert masker.mask_text(f"a {SECRET}, b ünïcode.") == "a ***, b ***."
    assert masker.mask(b"\xff" + SECRET.encode() + b"\x80") == b"\xff***\x80"
    assert masker.mask_text("nothing") == "nothing"


def test_the_longest_of_several_values_is_masked_whole() -> None:
    masker = masking.Masker(["token", "token-and-more"])
    assert masker.mask_text("a token-and-more b token") == "a *** b ***"


def test_a_try_masks_its_token_its_secret_the_sites_and_its_own_values() -> None:
    assignment = fake_platform.an_assignment()
    assignment.context_secret = "context-secret"
    assignment.secrets = ["of-the-site", "abc"]
    masker = masking.of(assignment, ["registered"])
    said = f"{assignment.token} context-secret of-the-site abc registered"
    assert masker.mask_text(said) == "*** *** *** abc ***"


def test_a_thousand_values_are_masked_and_the_next_is_refused() -> None:
    values = [f"value-{number:04}-{number * 7919:08x}" for number in range(masking.VALUES_MAX)]
    masker = masking.Masker(values)
    assert masker.mask_text(f"{values[0]} {values[-1]} {values[500]}") == "*** *** ***"
    assert masker.add("one too many") is not None
    assert masker.add(values[3]) is None
    begun = time.process_time()
    masker.mask(b"an ordinary line of a log that has nothing secret in it at all\n" * 4000)
    assert time.process_time() - begun < 5


def test_lines_of_both_streams_are_masked(path: Path) -> None:
    masker = masking.Masker([SECRET])
    lines = f"one {SECRET}\ntwo\n{SECRET}{SECRET}\n".encode()
    content = as_conmon(lines) + as_conmon(f"err {SECRET} x\n".encode(), b"stderr", first=5)
    said = [entry.msg for entry in read_all(path, content, masker)]
    assert said == ["one ***", "two", "******", "err *** x"]


@pytest.mark.parametrize("size", [1, 7, 20, 8192])
def test_a_value_that_conmon_cuts_in_two_is_masked(path: Path, size: int) -> None:
    masker = masking.Masker([SECRET])
    lines = f"begin {SECRET} end\n{SECRET}\n".encode()
    said = [entry.msg for entry in read_all(path, as_conmon(lines, size=size), masker)]
    assert said == ["begin *** end", "***"]


@pytest.mark.parametrize("at", [*range(8120, 8200, 7), 16_380, 24_570])
def test_a_value_on_the_border_of_two_pieces_of_a_long_line_is_masked(path: Path, at: int) -> None:
    masker = masking.Masker([SECRET])
    line = "a" * at + SECRET + "b" * 20_000 + SECRET
    entries = read_all(path, as_conmon(line.encode() + b"\n"), masker)
    assert "".join(entry.msg for entry in entries) == "a" * at + "***" + "b" * 20_000 + "***"
    assert all(len(entry.msg) <= output_log.LINE_BYTES_MAX for entry in entries)


def test_a_long_line_is_masked_whichever_reader_goes_on_with_it(path: Path) -> None:
    masker = masking.Masker([SECRET])
    line = "".join(f"{number:05}{SECRET}ü" for number in range(1500))
    path.write_bytes(as_conmon(line.encode() + b"\nnext\n"))
    said = ""
    cursors: dict[str, int] = {}
    while True:
        log = output_log.OutputLog(path, cursors, masker=masker)
        more = log.read(0, is_final=True)
        cursors = log.cursors
        log.close()
        if not more:
            break
        said += "".join(entry.msg for entry in more)
    assert said == "".join(f"{number:05}***ü" for number in range(1500)) + "next"


def test_values_that_overlap_without_end_in_a_long_line_hold_nothing_up(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(masking, "_PATTERN_BYTES_MAX", 4096)  # so that matches overlap
    masker = masking.Masker(["ab" * 600, "ba" * 500 + "b"])
    content = as_conmon(b"ab" * 1_000_200 + b"\nnext\n")
    begun = time.process_time()
    entries = read_all(path, content, masker)
    assert time.process_time() - begun < 2
    assert entries.pop().msg == "next"
    rest = entries.pop().msg.replace("***", "")  # less than a value is no value
    assert len(rest) < 1001
    assert set("".join(entry.msg for entry in entries)) == {"*"}


def test_a_reader_that_goes_on_within_values_that_overlap_shows_nothing_of_them(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(masking, "_PATTERN_BYTES_MAX", 4096)
    masker = masking.Masker(["ab" * 600, "ba" * 500 + "b"])
    path.write_bytes(as_conmon(b"begin " + b"ab" * 60_000 + b"\nnext\n"))
    said, readers = "", 0
    cursors: dict[str, int] = {}
    while True:
        log = output_log.OutputLog(path, cursors, masker=masker)
        more = log.read(0, is_final=True)
        cursors = log.cursors
        log.close()
        if not more:
            break
        readers += 1
        said += "".join(entry.msg for entry in more)
    assert readers > 2
    shown = said.removeprefix("begin ").removesuffix("next")
    assert len(shown.lstrip("*")) < 1001
    assert "*" not in shown.lstrip("*")


def test_a_turn_in_which_much_is_masked_is_short(path: Path) -> None:
    masker = masking.Masker(["aaaa"])
    path.write_bytes(as_conmon(b"a" * 4000 + b"\n") * 1000)
    log = output_log.OutputLog(path, masker=masker)
    pieces, at_end = log.read_turn(4 << 20)
    log.close()
    count = sum(piece.count for piece in pieces)
    assert (0 < count <= output_log.SECRET_BYTES_MAX // 4000, at_end) == (True, False)


def test_what_a_job_registers_has_a_budget_of_its_own() -> None:
    masker = masking.Masker(f"{number:06}" * 600 for number in range(20))
    values = [f"{number:06}" * 600 for number in range(1_000_000 - 50, 1_000_000)]
    refused = [masker.add(value) for value in values]
    taken = refused.count(None)
    assert 2 < taken < 20
    assert refused[-1] is not None
    assert "bytes" in refused[-1]
    assert masker.mask_text(values[taken - 1]) == "***"
    assert masker.add(values[0]) is None


def test_a_new_value_compiles_only_its_own_pattern(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[int] = []
    real = re2.compile

    def compile_(pattern: bytes, options: Any) -> Any:
        compiled.append(len(pattern))
        return real(pattern, options)

    monkeypatch.setattr(re2, "compile", compile_)
    masker = masking.Masker(f"{number:06}" * 600 for number in range(6))
    assert not masker.finds(b"nothing")
    assert len(compiled) > 4
    compiled.clear()
    masker.add("one-more-value")
    assert masker.finds(b"one-more-value")
    assert len(compiled) == 1


def test_what_is_no_text_is_refused() -> None:
    masker = masking.Masker()
    assert masker.add("abcd\udc80efgh") is not None
    assert masker.margin == 0


def test_a_value_that_is_the_name_of_a_stream_harms_no_record(path: Path) -> None:
    masker = masking.Masker(["stdout", "2026-01-02T03"])
    said = [entry.msg for entry in read_all(path, as_conmon(b"a stdout\nb\n"), masker)]
    assert said == ["a ***", "b"]


def test_what_is_registered_before_it_is_written_is_masked(path: Path) -> None:
    masker = masking.Masker()
    path.write_bytes(as_conmon(f"{SECRET}\n".encode()))
    log = output_log.OutputLog(
        path, masker=masker, before_masking=lambda: (masker.add(SECRET), None)[1]
    )
    assert [entry.msg for entry in log.read(0)] == ["***"]
    log.close()


async def test_a_registered_value_is_masked_by_the_next_worker_too(
    server: fake_platform.FakePlatform, link: platform.Platform, tmp_path: Path
) -> None:
    assignment = fake_platform.an_assignment(job=JOB)
    folder = try_folder.TryFolder.create(tmp_path, assignment)
    held = assignments.HeldTry(JOB, 0)
    first = log_pump.LogPump(link, held, folder, masker=masking.of(assignment, folder.masked()))
    first.register(SECRET)
    first.say(f"first {SECRET}")
    first.close()
    assert (folder.path / "masked.json").stat().st_mode & 0o077 == 0
    again = try_folder.TryFolder(folder.path)
    second = log_pump.LogPump(link, held, again, masker=masking.of(assignment, again.masked()))
    second.say(base64.b64encode(SECRET.encode()).decode())
    second.add("system", [assignments.LogEntry(1, "SYSTEM", "METRICS", f'{{"x": "{SECRET}"}}')])
    second.add_messages(
        "bulk", [spool.Message(1, [assignments.LogEntry(9, "DX_APP", "INFO", "bulk")])]
    )
    second.finish()
    await second.run()
    said = "".join(server.messages(JOB))
    assert SECRET not in said
    assert said.count("***") == 3


async def test_a_value_that_cannot_be_masked_is_told_and_not_shown(
    server: fake_platform.FakePlatform, link: platform.Platform, tmp_path: Path
) -> None:
    folder = try_folder.TryFolder.create(tmp_path, fake_platform.an_assignment(job=JOB))
    pump = log_pump.LogPump(link, assignments.HeldTry(JOB, 0), folder)
    for _ in range(50):
        pump.register("zqx")
    pump.finish()
    await pump.run()
    assert len(server.messages(JOB)) == registered.REFUSED_TOLD_MAX
    assert server.lines[JOB][0].level == "WARNING"
    assert "zqx" not in "".join(server.messages(JOB))


async def test_a_value_registered_on_a_full_disk_is_masked_and_kept_when_there_is_room(
    server: fake_platform.FakePlatform,
    link: platform.Platform,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = try_folder.TryFolder.create(tmp_path, fake_platform.an_assignment(job=JOB))

    def full(_: try_folder.TryFolder, _values: list[str]) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    pump = log_pump.LogPump(link, assignments.HeldTry(JOB, 0), folder)
    with monkeypatch.context() as patched:
        patched.setattr(try_folder.TryFolder, "keep_masked", full)
        pump.register(SECRET)
    pump.say(f"a {SECRET}")
    assert folder.masked() == []
    pump.finish()
    await pump.run()
    assert server.messages(JOB) == ["a ***"]
    assert folder.masked() == [SECRET]
