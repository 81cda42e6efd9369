"""What descends from a process is stopped, whoever came in besides goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from plasmid.engines import stopping

FAMILY = """
sleep 1021 &
(sleep 1022 & wait) &
PLASMID_ENTERED=1 sh -c 'sleep 1023 & env -u PLASMID_ENTERED sleep 1024 & wait' &
until [ "$(pgrep -s 0 -f -c '^sleep 102[1-4]$')" -ge 4 ]; do :; done
echo ready
wait
"""


@pytest.fixture
def family() -> Iterator[int]:
    with subprocess.Popen(
        ["/bin/bash", "-c", FAMILY], stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process.pid
        os.killpg(process.pid, signal.SIGKILL)


def states(first: int) -> dict[str, str]:
    """Return the states of the processes of a session, by what they run."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            fields = (process / "stat").read_bytes().rpartition(b")")[2].decode().split()
            arguments = (process / "cmdline").read_bytes().strip(b"\0").split(b"\0")
        except OSError:
            continue
        if int(fields[3]) == first:
            command = b" ".join(arguments).decode()
            name = command if command.startswith("sleep") else f"{process.name} {command[:20]}"
            found[name] = fields[0]
    return found


def once_stopped(first: int, *names: str) -> dict[str, str]:
    """Return the states of a session as soon as those are stopped: a signal takes its time."""
    deadline = time.monotonic() + 120
    while any((told := states(first)).get(name) != "T" for name in names):
        assert time.monotonic() < deadline, told
        os.sched_yield()
    return told


def test_all_that_descends_is_stopped_but_who_came_in_and_what_they_started(family: int) -> None:
    assert stopping.stop(family) == 3
    told = once_stopped(family, "sleep 1021", "sleep 1022")
    assert [told[f"sleep {number}"] for number in (1023, 1024)] == ["S", "S"]
    assert told[f"{family} /bin/bash -c \nsleep "] == "S"


def test_stopping_again_and_of_a_process_that_is_gone_is_fine(family: int) -> None:
    assert stopping.stop(family) == stopping.stop(family) == 3
    assert stopping.stop(2**22 + 1) == 0


NAMED = r"""
open("/proc/self/comm", "wb").write(b"\xff) \xfe")
print("ready", flush=True)
input()
"""


def test_a_process_of_somebody_else_whose_name_is_no_text_does_no_harm(family: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", NAMED], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"ready\n"
        assert stopping.stop(family) == 3
        other.communicate(b"\n")


@pytest.mark.parametrize("line", [b"", b"1 (sh) S", b"1 (sh) S x 1", b"nothing"])
def test_what_no_stat_says_is_no_process(
    line: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "stat").write_bytes(line)
    monkeypatch.setattr(stopping, "_PROC", tmp_path)
    assert stopping.stop(1) == 0
