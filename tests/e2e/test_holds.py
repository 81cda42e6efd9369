"""A failed job is held for debugging with all that it left, until somebody ends it (H.5)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from plasmid.cli import leftovers
from plasmid.engines import choice
from tests.e2e.driver import Dx, Ended, Site, until

pytestmark = pytest.mark.e2e

TINY = {"systemRequirements": {"*": {"instanceType": "mem1_hdd2_x1"}}}
# Leaves a process that runs, one that is stopped, and one in a session of its own.
CRASH = """
echo made > /tmp/left
echo said; echo trouble >&2
sleep 1001 &
(trap '' TERM; while :; do sleep 1002; done) &
sleep 1003 &
until [ "$(cat /proc/$!/comm)" = sleep ]; do :; done
kill -STOP $!
setsid sleep 1004 &
exit 5
"""


def held(dx: Dx, code: str, *reasons: str, **fields: Any) -> str:
    """Run a program and wait until it is held."""
    applet = dx.applet(code, run=TINY, **fields)
    job = dx.run(applet, debug={"debugOn": list(reasons)})
    dx.site.state(job, "debug_hold")
    return job


def ended_by_termination(dx: Dx, job: str) -> Ended:
    dx("terminate", job)
    dx.site.state(job, "failed", "terminated")
    until(lambda: not leftovers.find_processes(job))
    return dx.site.ended(job)


def root_of(site: Site, job: str) -> Path:
    return site.data / "work" / f"{job}.0" / "sandbox" / "root"


def entered(site: Site, job: str, command: str) -> list[str]:
    """Run a command in a held job as who logs in does; gives the lines that it writes."""

    async def argv() -> Sequence[str]:
        sandbox = await choice.named("auto").adopt(root_of(site, job).parent)
        assert sandbox is not None
        login = ["/opt/plasmid/login", "-c", command]
        return sandbox.entry(login, environment={}, user="1000:1000")

    done = subprocess.run(
        asyncio.run(argv()), stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.decode().splitlines()


def sleepers(job: str) -> list[str]:
    """Return the states and arguments of the processes that the job has left."""
    found = []
    for line in leftovers.find_processes(job):
        process = Path("/proc", line.split()[1].removesuffix(":"))
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            state = (process / "stat").read_text().rpartition(")")[2].split()[0]
            arguments = (process / "cmdline").read_text().split("\0")
            found.append(f"{state} {' '.join(arguments).strip()}")
    return [entry for entry in found if "sleep 100" in entry and "bash" not in entry]


def test_a_held_job_keeps_its_processes_and_files_and_goes_when_terminated(dx: Dx) -> None:
    job = held(dx, CRASH, "AppInternalError")
    told = dx.site.describe(job)["plasmid"]["hold"]
    assert told["failureReason"] == "AppInternalError"
    assert "exit status 5" in told["failureMessage"]
    assert sorted(sleepers(job)) == [f"T sleep {number}" for number in (1001, 1002, 1003, 1004)]
    assert (root_of(dx.site, job) / "tmp/left").read_text() == "made\n"
    seen = entered(dx.site, job, "cat /tmp/left; pgrep -f 'sleep 1001'; sudo cat /proc/1/comm; pwd")
    assert (seen[0], seen[-2:]) == ("made", ["sh", "/home/dnanexus"])
    ended = ended_by_termination(dx, job)
    assert ended.why.startswith("AppInternalError: The app exited with non-zero exit status 5")
    (line,) = [line for line in ended.said("INFO") if "held for debugging" in line]
    assert f"`dx ssh {job}` leads into it" in line
    until(lambda: not root_of(dx.site, job).exists())


def test_a_hold_outlives_worker_and_server(own_site: Site, own_dx: Dx) -> None:
    job = held(own_dx, CRASH, "AppInternalError")
    before = sorted(sleepers(job))
    (pid,) = until(own_site.worker_pids)
    os.kill(pid, signal.SIGKILL)
    until(lambda: [other for other in own_site.worker_pids() if other != pid])
    own_site.stop(signal.SIGKILL)
    own_site.start()
    assert own_site.describe(job)["state"] == "debug_hold"
    assert sorted(sleepers(job)) == before
    assert entered(own_site, job, "cat /tmp/left") == ["made"]
    said = [f"bash running (job ID {job})", "said", "trouble"]
    until(lambda: entered(own_site, job, "cat dx_stdout dx_stderr") == said)
    # the worker that there is now takes the word that ends it
    ended = ended_by_termination(own_dx, job)
    assert ended.why.startswith("AppInternalError")
    assert ended.describe["try"] == 0


@pytest.mark.parametrize(
    ("reason", "code", "interpreter", "part"),
    [
        ("AppError", 'dx-jobutil-report-error "bad luck"', "bash", "bad luck"),
        (
            "AppInsufficientResourceError",
            "python3 -c 'bytearray(2 << 30)'",
            "bash",
            "used up its memory",
        ),
        ("ExecutionError", "print 1", "python2.7", "no python2.7"),
    ],
)
def test_each_reason_that_can_be_named_is_one_to_be_held_for(
    dx: Dx, reason: str, code: str, interpreter: str, part: str
) -> None:
    job = held(dx, code, reason, interpreter=interpreter)
    ended = ended_by_termination(dx, job)
    assert ended.why.startswith(f"{reason}: ")
    assert part in ended.why


def test_what_debug_on_does_not_name_fails_at_once(dx: Dx) -> None:
    applet = dx.applet(CRASH, run=TINY)
    job = dx.run(applet, debug={"debugOn": ["AppError", "ExecutionError"]})
    ended = dx.site.ended(job)
    assert ended.why.startswith("AppInternalError: The app exited with non-zero exit status 5")
    assert "debug_hold" not in [move["newState"] for move in ended.describe["stateTransitions"]]
    until(lambda: not leftovers.find_processes(job))
