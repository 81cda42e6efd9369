"""Clients: they submit, end and remove things, and write down each answer that they get."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Final

from tests.simulation import workflows
from tests.simulation.machines import Journal
from tests.simulation.network import Answer, Network
from tests.simulation.timeline import Timeline
from tests.simulation.workflows import Workflow

REASONS: Final = (
    "AppError",
    "AppInternalError",
    "ExecutionError",
    "AppInsufficientResourceError",
)


class Client:
    """One user's program; every call is made with the same nonce until it is answered."""

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
        self.project = ""
        self.applets: list[str] = []
        self.workflows: list[Workflow] = []
        # what was run, with the leaves of an analysis
        self.roots: list[tuple[str, list[str]]] = []
        # what was run without a reference, and of what
        self.plans: list[tuple[str, dict[str, Any]]] = []
        self._network = network
        self._timeline = timeline
        self._rng = rng
        self._journal = journal

    def ask(
        self, route: str, body: dict[str, Any], then: Callable[[Any], None], tries: int = 0
    ) -> None:
        """Call until there is an answer; `then` gets it, unless it is a refusal."""

        def answered(answer: Answer | None) -> None:
            if answer is None or answer.is_refused or answer.error == "ServiceUnavailable":
                delay_ms = min(20_000, 100 * 2 ** min(tries, 8))
                self._timeline.after(delay_ms, self.ask, route, body, then, tries + 1)
            elif answer.error is not None:
                self._journal.refused[answer.error] += 1
            else:
                then(answer.value)

        self._network.ask(self.name, (route, body, self.token), answered)

    def make_workflows(self) -> None:
        """Make workflows of the applets that there are, one after the other."""
        number = len(self.workflows)
        if number == workflows.COUNT:
            return
        body, leaves = workflows.body_of(self._rng, self.applets, self.workflows)
        named = {"project": self.project, "name": f"workflow {number}", "nonce": f"flow {number}"}

        def made(answer: dict[str, Any]) -> None:
            self.workflows.append(Workflow(answer["id"], leaves))
            self.make_workflows()

        self.ask("/workflow/new", {**named, **body}, made)

    def submit(self, name: str) -> None:
        """Run an applet with a random plan, some of it on what other jobs put out."""
        rng = self._rng
        if rng.random() < 0.15:
            self._run_workflow(name)
            return
        if self.plans and rng.random() < 0.12:
            self._run_again(name)
            return
        plan = self._plan(name, depth=0)
        body: dict[str, Any] = {
            "project": self.project,
            "name": name,
            "input": plan,
            "nonce": name,
        }
        luck = rng.random()
        if self.roots and luck < 0.25:
            source = rng.choice(self.roots[-30:])
            if luck < 0.12:
                body["dependsOn"] = [source[0]]
            else:
                plan["given"] = workflows.reference(rng, *source)
        elif luck < 0.32:
            self._with_record(name, body)
            return
        applet = rng.choice(self.applets)
        if luck >= 0.32:
            self.plans.append((applet, plan))
        self._run(name, body, applet)

    def _run_workflow(self, name: str) -> None:
        """Run a workflow with a plan for each stage, some of it as an earlier one."""
        rng = self._rng
        workflow = rng.choice(self.workflows)
        body: dict[str, Any] = {"project": self.project, "name": name, "nonce": name}
        known = [plan for of, plan in self.plans if of == workflow.id]
        if known and rng.random() < 0.3:
            body |= {"input": rng.choice(known[-3:]), "properties": {"plasmid.reuse": "true"}}
        else:
            body["input"] = self._plans(name, workflow)
            self.plans.append((workflow.id, body["input"]))
        luck = rng.random()
        if luck < 0.1:
            body["executionPolicy"] = {"onNonRestartableFailure": "failStage"}
        elif luck < 0.2:
            body["rerunStages"] = ["*"]
        elif self.roots and luck < 0.3:
            body["dependsOn"] = [rng.choice(self.roots[-30:])[0]]
        self._run(name, body, workflow.id, workflow.leaves)

    def _plans(self, name: str, workflow: Workflow, depth: int = 1) -> dict[str, Any]:
        """Return the input of a workflow: a plan for each of its leaves."""
        plans = {leaf: self._plan(f"{name} {leaf}", depth) for leaf in workflow.leaves}
        return {f"{leaf}.{key}": plan[key] for leaf, plan in plans.items() for key in plan}

    def _run_again(self, name: str) -> None:
        """Run what was run before, which need not have ended yet, if its outputs cannot be had."""
        applets = [(of, plan) for of, plan in self.plans[-40:] if of in self.applets]
        applet, plan = self._rng.choice(applets or self.plans[-1:])
        asked = {"plasmid.reuse": "true"}
        body = {
            "project": self.project,
            "name": name,
            "input": plan,
            "nonce": name,
            "properties": asked,
        }
        self._run(name, body, applet)

    def _run(
        self,
        name: str,
        body: dict[str, Any],
        executable: str | None = None,
        leaves: list[str] | None = None,
    ) -> None:
        def made(answer: dict[str, Any]) -> None:
            self._journal.acknowledged[name] = answer["id"]
            self.roots.append((answer["id"], leaves or []))
            stages = answer.get("stages", [])
            if self._rng.random() < (0.2 if stages else 0.06):
                ended = self._rng.choice([answer["id"], *stages])
                self._timeline.after(self._rng.randint(1, 30_000), self.terminate, ended)

        self.ask(f"/{executable or self._rng.choice(self.applets)}/run", body, made)

    def terminate(self, execution: str) -> None:
        """End a job or an analysis with all below it."""
        self.ask(f"/{execution}/terminate", {}, lambda _: None)

    def _with_record(self, name: str, body: dict[str, Any]) -> None:
        """Run on a record that is open: it is closed later, or removed."""
        asked = {"project": self.project, "name": f"of {name}", "nonce": f"record {name}"}

        def made(answer: dict[str, Any]) -> None:
            record = answer["id"]
            body["dependsOn"] = [record]
            self._run(name, body)
            delay_ms = self._rng.randint(1, 40_000)
            if self._rng.random() < 0.25:
                removal = {"objects": [record], "force": True}
                route = f"/{self.project}/removeObjects"
            else:
                removal, route = {}, f"/{record}/close"
            self._timeline.after(delay_ms, self.ask, route, removal, lambda _: None)

        self.ask("/record/new", asked, made)

    def _plan(self, name: str, depth: int) -> dict[str, Any]:
        rng = self._rng
        plan: dict[str, Any] = {
            "name": name,
            "work_ms": int(rng.expovariate(1 / 800)) + 50,
            "lines": rng.randint(0, 6),
        }
        if rng.random() < 0.15:
            plan["record"] = True
        if rng.random() < 0.15:
            tries = rng.randint(1, 3)
            plan["fails"] = {str(number): rng.choice(REASONS) for number in range(tries)}
        if rng.random() < 0.01:
            plan["hangs"] = True
        if depth == 0 and rng.random() < 0.08:
            workflow = rng.choice(self.workflows)
            inner = self._plans(f"{name} flow", workflow, depth=2)
            plan["flow"] = {"workflow": workflow.id, "leaves": workflow.leaves, "input": inner}
            plan["gathers"] = True
        if depth < 3 and rng.random() < (0.3, 0.25, 0.1)[depth]:
            plan["kids"] = [self._plan(name, depth + 1) for _ in range(rng.randint(1, 5))]
            plan["gathers"] = rng.random() < 0.6
            for kid in plan["kids"][1:]:
                if rng.random() < 0.3:
                    kid["after_sibling"] = rng.choice(("reference", "end"))
        return plan
