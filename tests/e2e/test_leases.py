"""A worker that is silent for too long loses its jobs, and nothing that it says later counts."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plasmid.cli import leftovers
from plasmid.worker.resident import EXIT_IN_USE
from tests.e2e.driver import ROOT, Dx, Ended, Line, Site, opened, until, user

# A lease of two seconds is one that a worker keeps beside its own jobs, not beside other tests; and
# one of these takes all of the machine.
pytestmark = [pytest.mark.e2e, pytest.mark.alone]

LEASE_MS = 2000
# How long a job keeps a small machine busy; `just busy` takes longer.
BUSY_SECONDS = int(os.environ.get("BUSY_SECONDS", "5"))


@pytest.fixture
def leased(images_folder: Path) -> Iterator[Site]:
    """A server that takes jobs from a worker after two seconds of silence."""
    with opened(images_folder, PLASMID_JOBS_LEASE_MS=str(LEASE_MS)) as site:
        yield site


@pytest.fixture
def leased_dx(leased: Site, tmp_path: Path) -> Dx:
    return user(leased, tmp_path, "leases")


@contextlib.contextmanager
def stopped(pids: list[int]) -> Iterator[None]:
    """Stop processes for the time of the block."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def processes_of(name: str) -> list[int]:
    return [
        int(line.split()[1].removesuffix(":"))
        for line in leftovers.find_processes(name)
        if "conmon" not in line
    ]


def log_of_try(site: Site, job: str, number: int) -> list[Line]:
    asked: dict[str, Any] = {"try": number}
    return site.log(job, **asked)


def assert_second_try_alone_counts(site: Site, job: str) -> Ended:
    """Check the end of a job whose first worker was taken for lost."""
    ended = site.ended(job)
    assert (ended.state, ended.describe["try"]) == ("done", 1), ended.why
    assert ended.describe["failureCounts"] == {"UnresponsiveWorker": 1}
    first = site.describe(job, **{"try": 0})
    assert (first["state"], first["failureReason"]) == ("restarted", "UnresponsiveWorker")
    assert not first.get("output")
    moves = [move["newState"] for move in ended.describe["stateTransitions"]]
    assert moves.count("done") == 1
    until(lambda: not leftovers.find_tries(site.home) and not leftovers.find_groups(job))
    assert not leftovers.find_processes(job)
    return ended


@pytest.mark.parametrize("with_sandbox", [False, True], ids=["worker", "worker-and-sandbox"])
def test_a_worker_that_wakes_after_its_lease_changes_nothing(
    leased: Site, leased_dx: Dx, *, with_sandbox: bool
) -> None:
    """Stopped alone, its job ends unseen; stopped with it, the job goes on beside the next try."""
    code = (
        "main() { read -r id </proc/sys/kernel/random/uuid; echo $id; sleep 6; echo end $id\n"
        "dx-jobutil-add-output o $id --class string; }"
    )
    job = leased_dx.run(leased_dx.applet(code))
    first_id = next(f["msg"] for f in leased.frames(job) if f["msg"].count("-") == 4)
    name = f"{job}.0"
    sandbox = processes_of(name)
    assert sandbox
    begin = time.monotonic()
    with stopped([*leased.worker_pids(), *(sandbox if with_sandbox else [])]):
        until(lambda: leased.describe(job, fields={"try": True})["try"] == 1)
        assert time.monotonic() - begin < LEASE_MS / 1000 + 10
        if not with_sandbox:
            until(lambda: not processes_of(name))
    ended = assert_second_try_alone_counts(leased, job)
    assert ended.output["o"] != first_id
    first, second = (
        [line.msg for line in log_of_try(leased, job, n) if line.level == "STDOUT"]
        for n in range(2)
    )
    assert first[-1] == first_id, "a line came to a try that was over"
    assert second[-2:] == [ended.output["o"], f"end {ended.output['o']}"]
    assert first_id not in second


def test_what_a_lost_try_may_call_is_nothing(leased: Site, leased_dx: Dx) -> None:
    code = (
        "import os, sys, dxpy, time\n"
        '@dxpy.entry_point("main")\n'
        "def main():\n"
        "    print('token ' + ' '.join(dxpy.SECURITY_CONTEXT['auth_token']), flush=True)\n"
        "    while not dxpy.find_one_data_object(name='go', project=dxpy.PROJECT_CONTEXT_ID,"
        " zero_ok=True): pass\n"
        "    return {'o': 1}\n"
    )
    job = leased_dx.run(leased_dx.applet(code, interpreter="python3"))
    said = next(f["msg"] for f in leased.frames(job) if f["msg"].startswith("token "))
    token = said.removeprefix("token ").replace(" ", "")  # as it is, it would be masked
    workspace = leased.describe(job)["workspace"]
    assert leased.call(f"/{workspace}/describe", token=token)["id"] == workspace
    with stopped(leased.worker_pids()):
        until(lambda: leased.describe(job, fields={"try": True})["try"] == 1)
        for route, body in (
            (f"/{workspace}/describe", {}),
            ("/file/new", {"project": workspace}),
            ("/record/new", {"project": workspace}),
            ("/job/new", {"function": "main", "input": {}}),
        ):
            with pytest.raises(Exception, match="InvalidAuthentication"):
                leased.call(route, body, token=token)
    leased_dx.call("/record/new", {"project": leased_dx.project, "name": "go"})
    assert_second_try_alone_counts(leased, job)


BUSY = f"""
main() {{
  python3 -c '
import threading, time
end = time.time() + {BUSY_SECONDS}
kept = bytearray(600 << 20)
def spin():
    while time.time() < end:
        kept[hash(time.time()) % len(kept)] = 1
        sum(range(1000))
for _ in range(200): threading.Thread(target=spin).start()
' &
  for i in $(seq 32); do timeout {BUSY_SECONDS} sh -c "while :; do :; done" & done
  timeout {BUSY_SECONDS} sh -c "while dd if=/dev/zero of=/tmp/x bs=1M count=200; do :; done" &
  wait
}}
"""


def test_a_busy_job_is_not_taken_for_a_lost_one(leased: Site, leased_dx: Dx) -> None:
    """With a lease of a fifth of the usual one, while two jobs take all of the machine."""
    jobs = [leased_dx.run(leased_dx.applet(BUSY)) for _ in range(2)]
    for job in jobs:
        leased.state(job, "done", "failed", seconds=BUSY_SECONDS + 80)
        ended = leased.ended(job)
        assert (ended.state, ended.describe["try"]) == ("done", 0), ended.why
        assert not ended.describe["failureCounts"]


def command(*words: str) -> list[str]:
    return [sys.executable, "-P", "-m", "plasmid", *words]


def test_a_second_worker_or_server_of_a_folder_ends_and_the_first_does_not_notice(
    own_site: Site, own_dx: Dx
) -> None:
    (worker,) = until(own_site.worker_pids)
    environ = os.environ | {"PLASMID_HOME": str(own_site.home), "PYTHONPATH": str(ROOT / "src")}
    until(lambda: own_dx.ran("echo works").state == "done")
    for words, code, said in (
        (("worker", "--data", str(own_site.data)), EXIT_IN_USE, "another worker works in"),
        (("serve", "--port", "0"), 1, "another server uses the data folder"),
    ):
        second = subprocess.run(
            command(*words), env=environ, capture_output=True, text=True, timeout=60, check=False
        )
        assert (second.returncode, said in second.stderr) == (code, True), second.stderr
    assert own_site.worker_pids() == [worker]
    assert own_dx.ran("echo works").state == "done"


def test_of_two_servers_that_start_at_once_one_serves(images_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "images").symlink_to(images_folder)
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("PLASMID_", "DX_"))}
    environ |= {"PLASMID_HOME": str(tmp_path), "PYTHONPATH": str(ROOT / "src")}
    logs = [(tmp_path / f"{n}.log").open("w+") for n in range(2)]
    both = [
        subprocess.Popen(command("serve", "--port", "0"), env=environ, stdout=log, stderr=log)
        for log in logs
    ]
    try:
        (loser,) = until(lambda: [one for one in both if one.poll() is not None])
        (winner,) = [one for one in both if one is not loser]
        assert loser.returncode == 1
        assert "another server uses" in (tmp_path / f"{both.index(loser)}.log").read_text()
        said = tmp_path / f"{both.index(winner)}.log"
        until(lambda: "Plasmid serves at" in said.read_text())
    finally:
        for one in both:
            one.terminate()
            one.wait(timeout=60)
        for log in logs:
            log.close()
