"""A wide scatter and a chain of references, in real sandboxes; wider ones: `just scatter`."""

from __future__ import annotations

import pytest

from plasmid.domain import job_states
from tests.benchmarks import trees
from tests.e2e.driver import Dx, Ended

pytestmark = pytest.mark.e2e


def ran(dx: Dx, how: str, count: int) -> Ended:
    job = dx.run(
        dx.applet(trees.CODE, name=how, inputSpec=trees.INPUTS, outputSpec=trees.OUTPUTS),
        input={"how": how, "count": count},
    )
    dx.site.state(job, *job_states.TERMINAL, seconds=300)
    return dx.site.ended(job)


def test_72_sub_jobs_are_scattered_and_gathered(dx: Dx) -> None:
    ended = ran(dx, "wide", 72)
    assert ended.output == {"result": 72}, ended.why
    children = dx.call(
        "/system/findExecutions", {"parentJob": ended.describe["id"], "describe": True}
    )["results"]
    functions = [entry["describe"]["function"] for entry in children]
    assert (functions.count("work"), functions.count("gather")) == (72, 1)
    assert {entry["describe"]["state"] for entry in children} == {"done"}


def test_a_chain_of_references_ends_with_its_last_link(dx: Dx) -> None:
    ended = ran(dx, "deep", 12)
    assert ended.output == {"result": 12}, ended.why
