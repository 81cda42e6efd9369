"""kill -9 of the server or the worker while jobs run; what is terminated leaves nothing."""

from __future__ import annotations

import os
import signal

import pytest

from plasmid.cli import leftovers
from tests.e2e.driver import Dx, Site, until

pytestmark = pytest.mark.e2e

LINES = 100
# Speaks all the time, on both streams and the log sockets, and ends when the project says so.
TALKER = f"""
main() {{
  for i in $(seq {LINES}); do echo "out $i"; echo "err $i" >&2; sleep 0.02; done
  dx-log-stream -l warning -s DX_APP <<< "by socket"
  until dx ls $DX_PROJECT_CONTEXT_ID:/go 2> /dev/null; do sleep 0.1; done
  dx-jobutil-add-output o "$(seq {LINES} | md5sum | cut -c1-8)" --class string
}}
"""


def talking(site: Site, dx: Dx, *, name: str = "talker") -> str:
    """Start a job and wait until it has spoken a little."""
    job = dx.run(dx.applet(TALKER, name=name))
    next(frame for frame in site.frames(job) if frame["msg"] == "out 5")
    return job


def let_end(dx: Dx) -> None:
    dx.call(f"/{dx.project}/newFolder", {"folder": "/go", "parents": True})


def assert_done_in_one_try(site: Site, job: str) -> None:
    """Check a talker's end: each line once and in order, and nothing of the job is left."""
    ended = site.ended(job)
    assert (ended.state, ended.describe["try"]) == ("done", 0), ended.why
    assert ended.said("STDOUT") == [f"out {n}" for n in range(1, LINES + 1)]
    errors = [text for text in ended.said("STDERR") if text.startswith("err")]
    assert errors == [f"err {n}" for n in range(1, LINES + 1)]
    assert ended.said("WARNING") == ["by socket"]
    numbers = [entry.line for entry in ended.log]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    until(lambda: nothing_left(site, job))


def nothing_left(site: Site, job: str) -> bool:
    """Say whether the job's processes, mounts, cgroups and folders are gone."""
    groups_and_folders = [*leftovers.find_groups(job), *leftovers.find_tries(site.home)]
    return not (groups_and_folders or leftovers.find_mounts(site.data))


def processes_of(job: str) -> list[str]:
    return leftovers.find_processes(job)


def kill_worker(site: Site) -> int:
    (pid,) = until(site.worker_pids)
    os.kill(pid, signal.SIGKILL)
    return pid


def test_a_job_outlives_a_killed_server(own_site: Site, own_dx: Dx) -> None:
    job = talking(own_site, own_dx)
    own_site.stop(signal.SIGKILL)
    own_site.start()
    let_end(own_dx)
    assert_done_in_one_try(own_site, job)


def test_a_job_outlives_a_killed_worker(own_site: Site, own_dx: Dx) -> None:
    job = talking(own_site, own_dx)
    dead = kill_worker(own_site)
    until(lambda: [pid for pid in own_site.worker_pids() if pid != dead])
    let_end(own_dx)
    assert_done_in_one_try(own_site, job)


def test_a_job_outlives_both_and_may_end_while_nobody_looks(own_site: Site, own_dx: Dx) -> None:
    code = "main() { echo one; sleep 1; echo two; dx-jobutil-add-output o 1 --class int; }"
    job = own_dx.run(own_dx.applet(code))
    next(frame for frame in own_site.frames(job) if frame["msg"] == "one")
    own_site.stop(signal.SIGKILL)
    for pid in own_site.worker_pids():
        os.kill(pid, signal.SIGKILL)
    until(lambda: not processes_of(job))
    own_site.start()
    ended = own_site.ended(job)
    assert (ended.state, ended.output, ended.said()) == ("done", {"o": 1}, ["one", "two"])
    until(lambda: nothing_left(own_site, job))


def test_what_is_terminated_is_gone_within_seconds(own_site: Site, own_dx: Dx) -> None:
    code = "main() { setsid sleep 1000 & (trap '' TERM; sleep 1000) & echo on; sleep 1000; }"
    job = own_dx.run(own_dx.applet(code))
    next(frame for frame in own_site.frames(job) if frame["msg"] == "on")
    own_dx("terminate", job)
    assert own_site.state(job, "terminated", seconds=5) == "terminated"
    until(lambda: nothing_left(own_site, job), 5)
    assert not processes_of(job)


def test_a_job_that_was_terminated_while_its_worker_was_dead_goes_too(
    own_site: Site, own_dx: Dx
) -> None:
    job = own_dx.run(own_dx.applet("echo on; sleep 1000"))
    next(frame for frame in own_site.frames(job) if frame["msg"] == "on")
    kill_worker(own_site)
    own_dx("terminate", job)
    assert own_site.state(job, "terminated", seconds=20) == "terminated"
    until(lambda: nothing_left(own_site, job), 20)
