"""What descends from a process is stopped, whoever came in besides goes on."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from plasmid.engines import stopping

FAMILY = """
sleep 1021 &
(sleep 1022 & wait) &
PLASMID_ENTERED=1 sh -c 'sleep 1023 & env -u PLASMID_ENTERED sleep 1024 & wait' &
until [ "$(pgrep -f -c 'sleep 102[1-4]$')" -ge 4 ]; do :; done
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
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            command = (process / "cmdline").read_text().strip("\0").replace("\0", " ")
        except OSError:
            continue
        if int(fields[3]) == first:
            name = command if command.startswith("sleep") else f"{process.name} {command[:20]}"
            found[name] = fields[0]
    return found


def test_all_that_descends_is_stopped_but_who_came_in_and_what_they_started(family: int) -> None:
    assert stopping.stop(family) == 3
    told = states(family)
    assert [told[f"sleep {number}"] for number in (1021, 1022)] == ["T", "T"]
    assert [told[f"sleep {number}"] for number in (1023, 1024)] == ["S", "S"]
    assert told[f"{family} /bin/bash -c \nsleep "] == "S"


def test_stopping_again_and_of_a_process_that_is_gone_is_fine(family: int) -> None:
    assert stopping.stop(family) == stopping.stop(family) == 3
    assert stopping.stop(2**22 + 1) == 0
