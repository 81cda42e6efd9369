"""Machines under simulation: a worker with its disk, and the programs of jobs in its sandboxes.

The worker does what worker/run.py and worker/log_pump.py promise: what it holds is on its disk, a
try is started once, a batch whose outcome is unknown is asked for, a report is made until it is
acknowledged or refused. Its sandboxes outlive it; a power cut ends them, and what it wrote stays.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import msgspec

from plasmid.domain import failures
from tests.simulation.network import Answer, Network
from tests.simulation.timeline import Timeline

Held = tuple[str, int]
Call = tuple[str, Any, str]
LOST: Final = ("InvalidState", "ResourceNotFound")
BATCH_LINES_MAX: Final = 50
RETRIES_MAX: Final = 12


class Journal(msgspec.Struct):
    """What really happened, written where nothing is ever lost: the ground truth.

    `said` are the lines that a try has written, `made` the outputs that it has made, `reported`
    the tries whose end the platform has acknowledged with all of their log.
    """

    acknowledged: dict[str, str] = {}
    refused: Counter[str] = msgspec.field(default_factory=Counter)
    started: Counter[Held] = msgspec.field(default_factory=Counter)
    said: dict[Held, list[str]] = {}
    made: dict[Held, dict[str, Any]] = {}
    reported: set[Held] = msgspec.field(default_factory=set)
    watcher: Callable[[str, str], None] | None = None

    def happens(self, what: str, job: str) -> None:
        """Say that a job does something right now, to whoever wants to come in between."""
        if self.watcher is not None:
            self.watcher(what, job)


class Try:
    """A try on a worker's disk."""

    def __init__(self, assignment: dict[str, Any]) -> None:
        self.held: Held = (assignment["job"], assignment["attempt"])
        self.assignment = assignment
        self.program: Program | None = None
        self.finished: dict[str, Any] | None = None
        self.lines: list[str] = []
        self.started_ms = 0
        # what follows is in the worker's memory
        self.kept = 0
        self.is_sending = False
        self.is_reporting = False


class Worker:
    """One machine: its worker can die and freeze, and so can the machine."""

    def __init__(
        self,
        name: str,
        *,
        network: Network,
        timeline: Timeline,
        rng: random.Random,
        journal: Journal,
    ) -> None:
        self.name = name
        self.token = f"token-of-{name}"
        self.network = network
        self.timeline = timeline
        self.rng = rng
        self.journal = journal
        self.disk: dict[Held, Try] = {}
        self.is_alive = False
        self.is_frozen = False
        self._life = 0
        self._frozen: list[tuple[Callable[..., None], tuple[Any, ...]]] = []

    # ------------------------------------------------------------------------ living and dying

    def start(self) -> None:
        """Start the worker's process: it adopts what is on its disk."""
        if self.is_alive:
            return
        self.is_alive = True
        self._life += 1
        for held in list(self.disk.values()):
            held.is_sending = held.is_reporting = False
            self._recover(held)
            if held.finished is None:
                again = self._watch if held.program else self._set_up
                again(held)
        self._ask()

    def crash(self) -> None:
        """Kill the worker's process; its sandboxes run on."""
        self.is_alive = False
        self._life += 1

    def lose_power(self) -> None:
        """Stop the machine: its sandboxes are gone, and nobody knows how they ended."""
        self.crash()
        for held in self.disk.values():
            if held.program is not None and held.finished is None:
                held.program.is_over = True
                held.finished = _failed(failures.UNRESPONSIVE_WORKER, "lost its supervisor")

    def freeze(self) -> None:
        """Stop all of the machine's processes without their knowing."""
        self.is_frozen = True

    def thaw(self) -> None:
        """Let them go on: what waited happens now."""
        self.is_frozen = False
        waiting, self._frozen = self._frozen, []
        for do, given in waiting:
            do(*given)

    def on_machine(self, do: Callable[..., None], *given: Any) -> None:
        """Do something on this machine, now or when it is thawed."""
        if self.is_frozen:
            self._frozen.append((do, given))
        else:
            do(*given)

    def later(self, delay_ms: int, do: Callable[..., None], *given: Any) -> None:
        """Let the worker's process do something after a time, unless it is dead by then."""
        self.timeline.after(delay_ms, self.on_machine, self._in_life, self._life, do, *given)

    def _in_life(self, life: int, do: Callable[..., None], *given: Any) -> None:
        if life == self._life:
            do(*given)

    def _call(
        self,
        route: str,
        body: dict[str, Any],
        then: Callable[[Answer | None], None],
        timeout_ms: int = 10_000,
    ) -> None:
        life = self._life

        def answered(answer: Answer | None) -> None:
            self.on_machine(self._in_life, life, then, answer)

        request = (route, {"worker": self.name, **body}, self.token)
        self.network.ask(self.name, request, answered, timeout_ms=timeout_ms)

    # -------------------------------------------------------------------------- asking for news

    def _ask(self) -> None:
        holding = [{"job": job, "attempt": attempt} for job, attempt in self.disk]
        body = {"holding": holding, "wait_ms": 0}
        self._call("/internal/worker/sync", body, self._told, timeout_ms=5_000)

    def _told(self, answer: Answer | None) -> None:
        if answer is None or answer.is_refused or answer.error is not None:
            self.later(self.rng.randint(100, 1_000), self._ask)
            return
        for assignment in answer.value["start"]:
            held = Try(assignment)
            if held.held not in self.disk:
                self.disk[held.held] = held
                self._set_up(held)
        for entry in answer.value["stop"]:
            found = self.disk.get((entry["job"], entry["attempt"]))
            if found is not None:
                self._stop(found)
            else:
                self._report_gone(entry["job"], entry["attempt"])
        self.later(20, self._ask)

    def _report_gone(self, job: str, attempt: int) -> None:
        body = {"attempt": attempt, **_failed(failures.TERMINATED, "not here")}
        self._call(f"/internal/{job}/finished", body, lambda _: None)

    # ----------------------------------------------------------------------------- running tries

    def _set_up(self, held: Try) -> None:
        self.later(self.rng.randint(50, 400), self._start_program, held)

    def _start_program(self, held: Try) -> None:
        if self.disk.get(held.held) is not held or held.finished is not None:
            return
        held.program = Program(self, held)
        held.started_ms = self.timeline.now_ms
        self.journal.started[held.held] += 1
        held.program.run()
        self._watch(held)

    def _watch(self, held: Try) -> None:
        """End a try when its time is over."""
        over_ms = held.started_ms + int(held.assignment["timeout_ms"])
        self.later(max(0, over_ms - self.timeline.now_ms), self._time_out, held)

    def _time_out(self, held: Try) -> None:
        if held.finished is None and self.disk.get(held.held) is held:
            self.ended(held, _failed(failures.JOB_TIMEOUT_EXCEEDED, "it took too long"))

    def _stop(self, held: Try) -> None:
        if held.finished is None:
            self.ended(held, _failed(failures.TERMINATED, "stopped"))

    def ended(self, held: Try, finished: dict[str, Any]) -> None:
        """Keep on disk how a try ended, and report it; conmon does the keeping if we are dead."""
        self.journal.happens("failure" if "failure_reason" in finished else "end", held.held[0])
        if held.program is not None:
            held.program.is_over = True
        held.finished = finished
        if self.is_alive:
            self._send(held)

    def wrote(self, held: Try) -> None:
        """Note that a program has written a line."""
        if self.is_alive and not held.is_sending:
            held.is_sending = True
            self.later(100, self._send_now, held)

    def _send(self, held: Try) -> None:
        if not held.is_sending:
            held.is_sending = True
            self._send_now(held)

    def _send_now(self, held: Try) -> None:
        if self.disk.get(held.held) is not held:
            return
        batch = held.lines[held.kept : held.kept + BATCH_LINES_MAX]
        if not batch:
            held.is_sending = False
            if held.finished is not None:
                self._report(held)
            return
        until = held.kept + len(batch)
        entries = [
            {"timestamp": self.timeline.now_ms, "source": "APP", "level": "STDOUT", "msg": line}
            for line in batch
        ]
        body = {
            "attempt": held.held[1],
            "entries": entries,
            "cursors": {"stdout": until},
            "since": {"stdout": held.kept},
        }

        def sent(answer: Answer | None) -> None:
            if answer is None or answer.is_refused or answer.error is not None:
                if not self._is_lost(held, answer):
                    self.later(100, self._recover, held)
                return
            held.kept = until
            self._send_now(held)

        self._call(f"/internal/{held.held[0]}/log", body, sent)

    def _recover(self, held: Try) -> None:
        held.is_sending = True

        def told(answer: Answer | None) -> None:
            if answer is None or answer.is_refused or answer.error is not None:
                if not self._is_lost(held, answer):
                    self.later(self.rng.randint(100, 2_000), self._recover, held)
                return
            held.kept = answer.value["cursors"].get("stdout", 0)
            self._send_now(held)

        body = {"attempt": held.held[1]}
        self._call(f"/internal/{held.held[0]}/logCursors", body, told)

    def _report(self, held: Try) -> None:
        if held.is_reporting or held.finished is None:
            return
        held.is_reporting = True

        def told(answer: Answer | None) -> None:
            held.is_reporting = False
            if answer is None or answer.is_refused or answer.error is not None:
                if not self._is_lost(held, answer):
                    self.later(self.rng.randint(100, 2_000), self._report, held)
                return
            if held.finished and held.finished.get("failure_reason") != failures.TERMINATED:
                self.journal.reported.add(held.held)
            self.disk.pop(held.held, None)
            self._probe(held)

        body = {"attempt": held.held[1], **held.finished}
        self._call(f"/internal/{held.held[0]}/finished", body, told)

    def _probe(self, held: Try) -> None:
        """Call with the token of a try that is over: the platform notes it if that passes (I9)."""
        request: Call = (f"/{held.held[0]}/describe", {}, held.assignment["token"])
        self.network.ask(self.name, request, lambda _: None)

    def _is_lost(self, held: Try, answer: Answer | None) -> bool:
        """Say whether the platform has taken a try back; then it is killed and removed."""
        if answer is None or answer.error not in LOST:
            return False
        if held.program is not None:
            held.program.is_over = True
        if self.disk.get(held.held) is held:
            del self.disk[held.held]
        return True


class Program:
    """What runs in a sandbox: it writes lines, calls the API with its token, and ends.

    Its plan is its job's input: `work_ms`, `lines`, `kids` (plans of sub-jobs), `records`,
    `flow` (a workflow, its leaves and its input), `fails` (by try), `hangs`.
    """

    def __init__(self, worker: Worker, held: Try) -> None:
        self.worker = worker
        self.held = held
        self.is_over = False
        self.plan = held.assignment["input"]
        self.kids: list[str] = []
        self.record: str | None = None
        self.flow: str | None = None
        job, attempt = held.held
        self._said = worker.journal.said.setdefault((job, attempt), held.lines)
        steps: list[Callable[[], None]] = [self._say] * int(self.plan.get("lines", 2))
        steps += [lambda kid=kid: self._new_kid(kid) for kid in self.plan.get("kids", ())]  # type: ignore[misc]
        if self.plan.get("flow"):
            steps.append(self._new_flow)
        if self.plan.get("record"):
            steps.append(self._new_record)
        self._steps = steps
        self._pause_ms = max(1, int(self.plan.get("work_ms", 1000)) // (len(steps) + 1))

    def run(self) -> None:
        """Begin."""
        self._go_on()

    def _go_on(self) -> None:
        self.worker.timeline.after(self._pause_ms, self.worker.on_machine, self._next)

    def _next(self) -> None:
        if self.is_over:
            return
        if self._steps:
            self._steps.pop(0)()
        elif not self.plan.get("hangs"):
            self._end()

    def _say(self) -> None:
        self.held.lines.append(f"line {len(self.held.lines)}")
        self.worker.wrote(self.held)
        self._go_on()

    def _ask(
        self, route: str, body: dict[str, Any], then: Callable[[str], None], tries: int = 0
    ) -> None:
        """Call the API as the client does: the same nonce until there is an answer."""

        def answered(answer: Answer | None) -> None:
            self.worker.on_machine(self._answered, answer, (route, body, then, tries))

        if not self.worker.is_alive:  # the relay is gone until the next worker opens it
            answered(None)
            return
        request = (route, body, self.held.assignment["token"])
        self.worker.network.ask(self.worker.name, request, answered)

    def _answered(self, answer: Answer | None, asked: tuple[Any, ...]) -> None:
        route, body, then, tries = asked
        if self.is_over:
            return
        if answer is not None and not answer.is_refused and answer.error is None:
            then(answer.value["id"])
        elif answer is not None and answer.error not in (
            None,
            "InternalError",
            "ServiceUnavailable",
        ):
            self._fail(failures.APP_INTERNAL_ERROR, f"{answer.error}: {answer.message}")
        elif tries >= RETRIES_MAX:
            self._fail(failures.APP_INTERNAL_ERROR, "the platform cannot be reached")
        else:
            delay_ms = min(30_000, 200 * 2**tries)
            again = (route, body, then, tries + 1)
            self.worker.timeline.after(delay_ms, self.worker.on_machine, self._retry, again)

    def _retry(self, asked: tuple[Any, ...]) -> None:
        if not self.is_over:
            self._ask(*asked)

    def _new_kid(self, plan: dict[str, Any]) -> None:
        job, attempt = self.held.held
        name = f"{job}.{attempt}/{len(self.kids)}"
        body: dict[str, Any] = {
            "function": "work",
            "name": name,
            "input": {**plan, "name": name},
            "nonce": name,
        }
        if plan.get("after_sibling") and self.kids:
            if plan["after_sibling"] == "reference":
                reference = {"job": self.kids[-1], "field": "effect"}
                body["input"]["given"] = {"$dnanexus_link": reference}
            else:
                body["dependsOn"] = [self.kids[-1]]

        def made(kid: str) -> None:
            self.worker.journal.acknowledged[name] = kid
            self.kids.append(kid)
            self._go_on()

        self.worker.journal.happens("child creation", job)
        self._ask("/job/new", body, made)

    def _new_flow(self) -> None:
        job, attempt = self.held.held
        name = f"{job}.{attempt}/flow"
        body = {"name": name, "input": self.plan["flow"]["input"], "nonce": name}

        def made(analysis: str) -> None:
            self.worker.journal.acknowledged[name] = analysis
            self.flow = analysis
            self._go_on()

        self._ask(f"/{self.plan['flow']['workflow']}/run", body, made)

    def _new_record(self) -> None:
        job, attempt = self.held.held
        name = f"record of {job}.{attempt}"
        body = {
            "project": self.held.assignment["environment"]["DX_WORKSPACE_ID"],
            "name": name,
            "close": True,
            "nonce": name,
        }

        def made(record: str) -> None:
            self.record = record
            self._go_on()

        self._ask("/record/new", body, made)

    def _end(self) -> None:
        job, attempt = self.held.held
        reason = (self.plan.get("fails") or {}).get(str(attempt))
        if reason is not None:
            self._fail(reason, "as it was planned")
            return
        output: dict[str, Any] = {"effect": f"{job}.{attempt}"}
        if self.record is not None:
            output["record"] = {"$dnanexus_link": self.record}
        if self.kids and self.plan.get("gathers"):
            output["kids"] = [
                {"$dnanexus_link": {"job": kid, "field": "effect"}} for kid in self.kids
            ]
        if self.flow is not None and self.plan.get("gathers"):
            field = f"{self.plan['flow']['leaves'][-1]}.effect"
            output["flow"] = {"$dnanexus_link": {"analysis": self.flow, "field": field}}
        self.worker.journal.made[self.held.held] = output
        self.worker.ended(self.held, {"output": output})

    def _fail(self, reason: str, message: str) -> None:
        self.worker.ended(self.held, _failed(reason, message))


def _failed(reason: str, message: str) -> dict[str, Any]:
    return {"failure_reason": reason, "failure_message": message}
