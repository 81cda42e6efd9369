"""One run: jobs are started, something bad happens to a process, and the jobs end all the same."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import msgspec

from tests.faults import ground, plan, processes, workload

FIRE_SECONDS_MAX: Final = 30.0
END_SECONDS_MAX: Final = 240.0
SHORT_STOP_SECONDS: Final = 0.6
SETTLE_MS: Final = 1_000
AFTER_END_SECONDS: Final = 0.2


class Outcome(msgspec.Struct, kw_only=True):
    """What a run has shown; `fired_ms` 0 if its fault found nothing to hit."""

    fault: plan.Fault
    fired_ms: int = 0
    recovery_ms: int = 0
    jobs: list[workload.Started] = msgspec.field(default_factory=list)
    troubles: list[str] = msgspec.field(default_factory=list)


def now_ms() -> int:
    """Return the time."""
    return time.time_ns() // 1_000_000


class Runner:
    """Runs faults on one platform, from several threads."""

    def __init__(self, place: ground.Ground) -> None:
        self.place = place
        self.charges: list[tuple[int, int]] = []
        self._gate = threading.Lock()
        self._kinds: dict[str, Callable[[Outcome, workload.Project], None]] = {
            plan.KILL_AT_STEP: self._at_step,
            plan.ERROR: self._at_step,
            plan.STOP_AT_STEP: self._beyond_lease,
            plan.KILL: self._kill,
            plan.STOP: self._stop,
            plan.POWER: self._power,
            plan.SECOND: self._second,
        }

    def run(self, fault: plan.Fault, project: workload.Project) -> Outcome:
        """Run one fault to the end of its jobs; what does not come about is a trouble."""
        outcome = Outcome(fault=fault)
        try:
            if fault.is_platform_wide:
                with self._gate:
                    self._kinds[fault.kind](outcome, project)
            else:
                self._to_own_job(outcome, project)
            self._let_end(outcome, project)
        except (processes.TooLateError, ground.RefusedError) as error:
            outcome.troubles.append(str(error))
        return outcome

    def _start(self, outcome: Outcome, project: workload.Project) -> None:
        fault = outcome.fault
        outcome.jobs = workload.start_shape(
            project, fault.run, fault.shape, rng=fault.rng(), restarts=fault.restarts
        )

    @contextlib.contextmanager
    def _charged(self) -> Iterator[None]:
        begun_ms = now_ms()
        try:
            yield
        finally:
            self.charges.append((begun_ms, now_ms() + SETTLE_MS))

    # faults of the platform's processes

    def _pids(self, actor: str) -> tuple[int | None, int | None]:
        """Return the pids of those of server and worker that are to be hit."""
        server = self.place.server_pid() if actor != plan.WORKER else None
        worker = self.place.worker_pid() if actor != plan.SERVER else None
        return server, worker

    def _at_step(self, outcome: Outcome, project: workload.Project) -> None:
        fault = outcome.fault
        server, worker = self._pids(fault.actor)
        is_charged = fault.kind in plan.CHARGED
        with self._charged() if is_charged else contextlib.nullcontext():
            self.place.arm(fault.failpoint)
            try:
                self._start(outcome, project)
                mark = self._fired(outcome, project)
            finally:
                self.place.disarm()
            outcome.fired_ms = mark["at_ms"] if mark else 0
            if mark and fault.kind == plan.KILL_AT_STEP:
                self.place.wait_replaced(server, worker)
                outcome.recovery_ms = now_ms() - outcome.fired_ms

    def _fired(self, outcome: Outcome, project: workload.Project) -> dict[str, Any] | None:
        """Return the failpoint's mark, once it has fired; None if it was not reached."""
        path = self.place.mark_of(outcome.fault.failpoint)
        deadline = time.monotonic() + FIRE_SECONDS_MAX
        asks = [job for job in outcome.jobs if job.kind == "asks"]
        while time.monotonic() < deadline:
            with contextlib.suppress(FileNotFoundError, ValueError):
                return dict(json.loads(path.read_text()))
            if path.exists():
                continue
            if all(project.state(job.id) in workload.TERMINAL for job in outcome.jobs):
                # What follows the end of a job, and the second half of a mark, come at once.
                processes.pause(AFTER_END_SECONDS)
                return dict(json.loads(path.read_text())) if path.exists() else None
            for job in asks:
                if project.state(job.id) == "running":
                    project.terminate(job.id)
            processes.pause(0.01)
        return None

    def _beyond_lease(self, outcome: Outcome, project: workload.Project) -> None:
        fault = outcome.fault
        server, worker = self._pids(fault.actor)
        pid = worker or server
        # A server that was stopped has heard nobody: that is no worker's loss.
        is_charged = fault.actor == plan.WORKER
        with self._charged() if is_charged else contextlib.nullcontext():
            if fault.failpoint:
                if not self._stopped_at_step(outcome, project, pid):
                    return
            else:
                self._start(outcome, project)
                processes.pause(fault.after_ms / 1000)
                if pid is None or not processes.send(pid, signal.SIGSTOP):
                    return
            outcome.fired_ms = now_ms()
            processes.pause(ground.LEASE_SECONDS + 2.5)
            if pid is not None:
                processes.send(pid, signal.SIGCONT)
            outcome.recovery_ms = now_ms() - outcome.fired_ms

    def _stopped_at_step(
        self, outcome: Outcome, project: workload.Project, pid: int | None
    ) -> bool:
        """Say whether the process has stopped at the step; else it runs, and will not stop."""
        mark = None
        self.place.arm(outcome.fault.failpoint)
        try:
            self._start(outcome, project)
            mark = self._fired(outcome, project)
        finally:
            self.place.disarm()
            if mark is None and pid is not None:
                # it may be about to stop, having looked just before
                processes.pause(AFTER_END_SECONDS)
                processes.send(pid, signal.SIGCONT)
        return mark is not None

    def _kill(self, outcome: Outcome, project: workload.Project) -> None:
        self._start(outcome, project)
        processes.pause(outcome.fault.after_ms / 1000)
        server, worker = self._pids(outcome.fault.actor)
        sent = [processes.send(pid, signal.SIGKILL) for pid in (server, worker) if pid]
        if any(sent):
            outcome.fired_ms = now_ms()
            self.place.wait_replaced(server, worker)
            outcome.recovery_ms = now_ms() - outcome.fired_ms

    def _stop(self, outcome: Outcome, project: workload.Project) -> None:
        self._start(outcome, project)
        processes.pause(outcome.fault.after_ms / 1000)
        server, worker = self._pids(outcome.fault.actor)
        self._stop_and_continue(outcome, worker or server)

    def _stop_and_continue(self, outcome: Outcome, pid: int | None) -> None:
        if pid is not None and processes.send(pid, signal.SIGSTOP):
            outcome.fired_ms = now_ms()
            processes.pause(SHORT_STOP_SECONDS)
            processes.send(pid, signal.SIGCONT)
            outcome.recovery_ms = now_ms() - outcome.fired_ms

    def _power(self, outcome: Outcome, project: workload.Project) -> None:
        with self._charged(), ThreadPoolExecutor(1) as thread:
            # What is under way when the lights go out; the calls are made again afterwards.
            starting = thread.submit(self._start, outcome, project)
            processes.pause(outcome.fault.after_ms / 1000)
            outcome.fired_ms = now_ms()
            self.place.cut_power()
            self.place.wait_replaced(-1, -1)
            outcome.recovery_ms = now_ms() - outcome.fired_ms
            starting.result()

    def _second(self, outcome: Outcome, project: workload.Project) -> None:
        """Start a second server or worker on the same folder: it is refused, the first goes on."""
        self._start(outcome, project)
        is_server = outcome.fault.actor == plan.SERVER
        words = ("serve", "--port", "0") if is_server else ("worker",)
        outcome.fired_ms = now_ms()
        done = subprocess.run(
            self.place.command(*words),
            env=self.place.environ(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        outcome.recovery_ms = now_ms() - outcome.fired_ms
        if done.returncode == 0 or "another" not in done.stdout + done.stderr:
            outcome.troubles.append(f"a second {words[0]} ended with {done.returncode}: {done}")

    # faults of a job's own processes

    def _to_own_job(self, outcome: Outcome, project: workload.Project) -> None:
        fault = outcome.fault
        self._start(outcome, project)
        job = outcome.jobs[-1].id
        find = self._conmon_of if fault.actor == plan.SUPERVISOR else self._users_of
        deadline = time.monotonic() + FIRE_SECONDS_MAX
        while not find(job, fault.target) and time.monotonic() < deadline:
            if project.state(job) in workload.TERMINAL:
                return
            processes.pause(0.01)
        processes.pause(fault.after_ms / 1000)
        pids = find(job, fault.target)
        if fault.kind == plan.STOP:
            self._stop_and_continue(outcome, pids[0] if pids else None)
        elif sum(processes.send(pid, signal.SIGKILL) for pid in pids):
            outcome.fired_ms = now_ms()

    def _conmon_of(self, job: str, target: str) -> list[int]:
        if target == "running" and not self._users_of(job, "template"):
            return []
        for file in self.place.data.glob(f"work/{job}.*/sandbox/conmon.pid"):
            with contextlib.suppress(OSError, ValueError):
                pid = int(file.read_text())
                if "conmon" in processes.command_of(pid):
                    return [pid]
        return []

    def _users_of(self, job: str, target: str) -> list[int]:
        """Return what is to be killed of a job, once its own code runs."""
        commands = {pid: processes.command_of(pid) for pid in processes.of_job(job)}
        template = [pid for pid, said in commands.items() if said.startswith("bash /home/")]
        if not template:
            return []
        if target == "first":
            return [min(commands)]
        if target == "last":
            return [max(commands)]
        if target == "all but a daemon":
            return [pid for pid, said in commands.items() if said != "sleep 1000"]
        return template[:1]

    # the end of a run

    def _let_end(self, outcome: Outcome, project: workload.Project) -> None:
        for job in outcome.jobs:
            if job.kind == "asks":
                processes.until(
                    lambda job=job: project.state(job.id) != "runnable",  # type: ignore[misc]
                    END_SECONDS_MAX,
                    f"{job.id} runs",
                    every=0.03,
                )
                project.terminate(job.id)
            processes.until(
                lambda job=job: project.state(job.id) in workload.TERMINAL,  # type: ignore[misc]
                END_SECONDS_MAX,
                f"{job.id} ends",
                every=0.03,
            )
        if not outcome.fired_ms:
            return
        for job in outcome.jobs:
            fields = {"fields": {"stateTransitions": True}}
            moved = self.place.call(f"/{job.id}/describe", fields)["stateTransitions"]
            ended_ms = moved[-1]["setAt"] if moved else 0
            outcome.recovery_ms = max(outcome.recovery_ms, ended_ms - outcome.fired_ms)
