"""Workflows that people run: their stages, how these are linked, and what falls with which."""

from __future__ import annotations

import random
from typing import Any, Final

import msgspec

COUNT: Final = 6
POLICIES: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"onNonRestartableFailure": "failAllStages"},
    {"onNonRestartableFailure": "failStage"},
    {"onNonRestartableFailure": "failStage", "restartOn": {"*": 1}},
)


class Workflow(msgspec.Struct, frozen=True):
    """A workflow that there is, and its stages that are jobs: `a`, or `a.b` for those within."""

    id: str
    leaves: list[str]


def body_of(
    rng: random.Random, applets: list[str], known: list[Workflow]
) -> tuple[dict[str, Any], list[str]]:
    """Return what a workflow of two to four stages is made from, and its leaves.

    One of the stages may be a workflow that is known.
    """
    stages: list[dict[str, Any]] = []
    leaves: list[str] = []
    inner = rng.choice(known) if known and rng.random() < 0.4 else None
    falls = rng.choice(("each", "all", "alone"))
    for number in range(rng.randint(2, 4)):
        stage_id = f"s{number}"
        stage: dict[str, Any] = {"id": stage_id, "executionPolicy": _policy(rng, falls)}
        if inner is not None and number == 0:
            leaves += [f"{stage_id}.{leaf}" for leaf in inner.leaves]
            stages.append({**stage, "executable": inner.id})
            continue
        bound = _bound(rng, stages, leaves)
        leaves.append(stage_id)
        stages.append({**stage, "executable": rng.choice(applets), "input": bound})
    body: dict[str, Any] = {"stages": stages}
    if rng.random() < 0.3:
        source = _output(rng.choice(leaves))
        body["outputs"] = [{"name": "result", "class": "string", "outputSource": source}]
    return body, leaves


def _policy(rng: random.Random, falls: str) -> dict[str, Any]:
    if falls == "each":
        return rng.choice(POLICIES)
    return POLICIES[rng.randint(2, 3) if falls == "alone" else rng.randint(0, 1)]


def _bound(rng: random.Random, stages: list[dict[str, Any]], leaves: list[str]) -> dict[str, Any]:
    """Return what a stage is bound to: outputs and inputs of earlier ones."""
    luck = rng.random()
    if not leaves or luck < 0.3:
        return {}
    if luck < 0.7:
        return {"given": _output(rng.choice(leaves))}
    if luck < 0.8:
        return {"given": [_output(leaf) for leaf in leaves]}
    if luck < 0.85:  # which the stage before it need not have
        return {"given": _output(rng.choice(leaves), "record")}
    linked = [stage["id"] for stage in stages if "given" in stage.get("input", {})]
    if not linked:
        return {"given": _output(leaves[-1])}
    link = {"stage": rng.choice(linked), "inputField": "given"}
    return {"given": {"$dnanexus_link": link}}


def _output(leaf: str, field: str = "effect") -> dict[str, Any]:
    stage, _, inner = leaf.partition(".")
    return {"$dnanexus_link": {"stage": stage, "outputField": f"{inner}.{field}".lstrip(".")}}


def reference(rng: random.Random, execution: str, leaves: list[str]) -> dict[str, Any]:
    """Return a reference to what an analysis, or a job that has no leaves, puts out."""
    if not leaves:
        return {"$dnanexus_link": {"job": execution, "field": "effect"}}
    field = f"{rng.choice(leaves)}.effect"
    return {"$dnanexus_link": {"analysis": execution, "field": field}}
