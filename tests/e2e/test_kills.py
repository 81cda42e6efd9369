"""kill -9 of the server or the worker while jobs run; what is terminated leaves nothing."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

import pytest

from plasmid.cli import leftovers
from plasmid.methods import log_messages
from tests.e2e.driver import Dx, Site, lines_of, until

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
    # Samples have lines too, which a reader that names no levels is not sent.
    numbers = [entry.line for entry in site.log(job, levels=sorted(log_messages.LEVELS))]
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


STORM = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


def test_a_storm_of_signals_ends_server_and_worker_in_good_order_and_no_job(
    own_site: Site, own_dx: Dx
) -> None:
    job = talking(own_site, own_dx)
    for round_number in range(len(STORM)):
        (worker,) = until(own_site.worker_pids)
        for number in (STORM[round_number:] + STORM[:round_number]) * 5:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, number)
            own_site.server.send_signal(number)
        assert own_site.server.wait(timeout=120) == 0, (own_site.home / "serve.log").read_text()
        until(lambda pid=worker: not Path(f"/proc/{pid}").exists())  # type: ignore[misc]
        own_site.start()
    let_end(own_dx)
    assert_done_in_one_try(own_site, job)


KILLS = 10
# All that a job says and asks, without a pause.
BUSY = """
import logging, sys, time, dxpy

@dxpy.entry_point("child")
def child(n):
    logging.warning("child %d", n)
    return {"n": n}

@dxpy.entry_point("main")
def main():
    n, children = 0, []
    here = dxpy.DXProject(dxpy.PROJECT_CONTEXT_ID)
    while not here.list_folder("/", only="folders")["folders"]:
        n += 1
        logging.warning("warning %d", n)
        logging.critical("critical %d", n)
        print("out %d" % n, flush=True)
        print("err %d" % n, file=sys.stderr, flush=True)
        assert dxpy.DXJob(dxpy.JOB_ID).describe()["id"] == dxpy.JOB_ID
        dxpy.new_dxrecord(name=str(n), close=True)
        if n % 5 == 1 and len(children) < 30:
            children.append(dxpy.new_dxjob({"n": n}, "child"))
    print("counted %d" % n)
    return {"n": n, "children": [child.get_output_ref("n") for child in children]}
"""
COUNTED = [
    {"name": "n", "class": "int"},
    {"name": "children", "class": "array:int"},
]


def test_a_job_that_calls_and_speaks_all_the_time_does_not_notice_that_its_worker_is_killed(
    own_site: Site, own_dx: Dx
) -> None:
    job = own_dx.run(own_dx.applet(BUSY, interpreter="python3"))
    frames = own_site.frames(job)
    dead = 0
    for _ in range(KILLS):
        next(frame for frame in frames if frame["msg"].startswith("warning "))
        (pid,) = until(lambda but=dead: [p for p in own_site.worker_pids() if p != but])  # type: ignore[misc]
        if dead:
            # What was said since shows that the new one has taken the job up.
            asked_ms = time.time() * 1000
            next(frame for frame in frames if frame["timestamp"] > asked_ms)
        os.kill(pid, signal.SIGKILL)
        dead = pid
    own_dx.call(f"/{own_dx.project}/newFolder", {"folder": "/go", "parents": True})
    ended = own_site.ended(job)
    assert (ended.state, ended.describe["try"]) == ("done", 0), ended.why
    count = ended.output["n"]
    assert ended.output["children"] == list(range(1, count + 1, 5))[:30]
    said = {level: ended.said(level) for level in ("STDOUT", "STDERR", "WARNING", "CRITICAL")}
    assert lines_of(said["STDOUT"], "out ") == [str(n) for n in range(1, count + 1)]
    assert lines_of(said["STDERR"], "err ") == [str(n) for n in range(1, count + 1)]
    assert lines_of(said["WARNING"], "warning ") == [str(n) for n in range(1, count + 1)]
    assert lines_of(said["CRITICAL"], "critical ") == [str(n) for n in range(1, count + 1)]
    until(lambda: nothing_left(own_site, job))


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


# What a job can do so that it is not ended: each runs beside the others.
STUBBORN = {
    "leads a session of its own": "setsid sleep 1000 &",
    "ignores signals": "(trap '' TERM INT HUP QUIT; sleep 1000) &",
    "is nobody's child": "(setsid sh -c 'sleep 1000 &' &)",
    "is stopped": "sleep 1000 & kill -STOP $!",
    "is traced by one that is stopped": """python3 -c '
import ctypes, os, signal, subprocess
child = subprocess.Popen(["sleep", "1000"])
assert ctypes.CDLL(None).ptrace(16, child.pid, None, None) == 0
os.kill(os.getpid(), signal.SIGSTOP)' &""",
    "takes orphans over": """python3 -c '
import ctypes, subprocess
ctypes.CDLL(None).prctl(36, 1)
subprocess.run(["sh", "-c", "sleep 1000 & sleep 1000"])' &""",
    "has asked for a real-time turn": "chrt -f 50 sleep 1000 & sleep 1000 &",
}


@pytest.mark.alone  # for its five seconds
def test_what_is_terminated_is_gone_within_seconds(own_site: Site, own_dx: Dx) -> None:
    begun = "until ps axo stat= | grep -q '^[Tt]'; do :; done; echo on; sleep 1000"
    code = "main() {\n" + "\n".join(STUBBORN.values()) + f"\n{begun}\n}}"
    job = own_dx.run(own_dx.applet(code))
    next(frame for frame in own_site.frames(job) if frame["msg"] == "on")
    assert len(processes_of(job)) > len(STUBBORN)
    own_dx("terminate", job)
    assert own_site.state(job, "terminated", seconds=5) == "terminated"
    until(lambda: nothing_left(own_site, job), 5)
    assert not processes_of(job)


# A file system that answers the first question only. Who looks at it waits in the kernel, deaf to
# SIGKILL, and holds open what would end the wait if it were closed.
MUTE = """
import ctypes, os, struct, sys, threading
libc = ctypes.CDLL(None, use_errno=True)
os.makedirs("/tmp/mute", exist_ok=True)
fd = os.open("/dev/fuse", os.O_RDWR)
options = f"fd={fd},rootmode=40000,user_id=0,group_id=0".encode()
if libc.mount(b"mute", b"/tmp/mute", b"fuse", 0, options):
    sys.exit(os.strerror(ctypes.get_errno()))
asked = os.read(fd, 1 << 20)
unique, = struct.unpack_from("Q", asked, 8)
init = struct.pack("IIIIHHIIHHI7I", 7, 31, 0, 0, 0, 0, 4096, 1, 0, 0, 0, *[0] * 7)
os.write(fd, struct.pack("IiQ", 16 + len(init), 0, unique) + init)
if os.fork() == 0:
    os.listdir("/tmp/mute")
os.read(fd, 1 << 20)
print("stuck", flush=True)
os.wait()
"""


def test_who_waits_in_the_kernel_for_a_file_system_that_never_answers_is_ended(
    own_site: Site, own_dx: Dx
) -> None:
    code = f"# dxfuse, so that it may mount\nmain() {{ python3 -c '{MUTE}'; }}"
    job = own_dx.run(own_dx.applet(code))
    told = next(f for f in own_site.frames(job) if f["msg"] == "stuck" or f["level"] == "STDERR")
    assert told["msg"] == "stuck"
    own_dx("terminate", job)
    assert own_site.state(job, "terminated") == "terminated"
    until(lambda: nothing_left(own_site, job))
    assert not processes_of(job)


def supervisor_of(site: Site, job: str) -> int:
    (path,) = site.data.glob(f"work/{job}.*/sandbox/conmon.pid")
    return int(path.read_text())


@pytest.mark.alone  # for its five seconds
@pytest.mark.parametrize("restarts_max", [0, 1])
def test_a_killed_supervisor_fails_its_try_and_leaves_no_process(
    own_site: Site, own_dx: Dx, restarts_max: int
) -> None:
    code = "main() { setsid sleep 1000 & (setsid sh -c 'sleep 1000 &' &); echo on; sleep 1000; }"
    job = own_dx.run(own_dx.applet(code), executionPolicy={"maxRestarts": restarts_max})
    next(frame for frame in own_site.frames(job) if frame["msg"] == "on")
    assert processes_of(f"{job}.0")
    os.kill(supervisor_of(own_site, job), signal.SIGKILL)
    until(lambda: not processes_of(f"{job}.0"), 5)
    if restarts_max:
        until(lambda: own_site.describe(job)["try"] == 1)
        first = own_site.describe(job, **{"try": 0})
        assert (first["state"], first["failureReason"]) == ("restarted", "UnresponsiveWorker")
        own_dx("terminate", job)
    ended = own_site.ended(job)
    if not restarts_max:
        assert ended.why.startswith("UnresponsiveWorker: sandbox")
        assert "has lost its supervisor" in ended.why
    until(lambda: nothing_left(own_site, job))


KILLED_FROM_INSIDE = "main() { setsid sleep 1000 & echo on; kill -9 $$; }"
WAITS = "main() { setsid sleep 1000 & echo on; sleep 1000; }"


@pytest.mark.parametrize("is_inside", [True, False], ids=["inside", "outside"])
def test_killed_code_is_told_by_its_signal_and_its_daemons_go_with_it(
    own_site: Site, own_dx: Dx, *, is_inside: bool
) -> None:
    code = KILLED_FROM_INSIDE if is_inside else WAITS
    job = own_dx.run(own_dx.applet(code), executionPolicy={"restartOn": {}})
    next(frame for frame in own_site.frames(job) if frame["msg"] == "on")
    if not is_inside:
        for line in processes_of(job):
            if f"/home/dnanexus/{job}" in line:
                os.kill(int(line.split()[1].removesuffix(":")), signal.SIGKILL)
    ended = own_site.ended(job)
    assert ended.why.startswith("AppInternalError"), ended.why
    assert "SIGKILL" in ended.why or "signal 9" in ended.why, ended.why
    until(lambda: nothing_left(own_site, job))
    assert not processes_of(job)


def test_a_job_that_was_terminated_while_its_worker_was_dead_goes_too(
    own_site: Site, own_dx: Dx
) -> None:
    job = own_dx.run(own_dx.applet("echo on; sleep 1000"))
    next(frame for frame in own_site.frames(job) if frame["msg"] == "on")
    kill_worker(own_site)
    own_dx("terminate", job)
    assert own_site.state(job, "terminated") == "terminated"
    until(lambda: nothing_left(own_site, job))
