"""No value that a caller sends, however wrong, is a bug of ours: every refusal has its words."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from plasmid.methods import everything
from plasmid.methods.registry import Method, Mode
from tests import prepared
from tests.prepared import Prepared
from tests.worlds import a_world


def _deep(levels: int) -> Any:
    value: Any = {}
    for _ in range(levels):
        value = {"a": [value]}
    return value


everything.declare()
VALUES: list[Any] = [
    None, 0, -1, 1.5, True, 10**30, -(10**30), "", "x", "\0", "é" * 3, [], ["x"], [1], [None],
    [{}], [["x"]], {}, {"x": 1}, {"x": None}, {"x": {"x": "x"}}, {"$and": 1}, {"$and": [1]},
    {"regexp": "("}, {"glob": 1}, {"$dnanexus_link": 1}, {"$dnanexus_link": {"job": 1}},
    "project-000000000000000000000000", ["file-000000000000000000000000"],
    {"$dnanexus_link": {"project": 1, "id": "file-000000000000000000000000"}}, _deep(300),
]  # fmt: skip


def _variants(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the body with each of its keys, also inner ones, replaced by each wrong value."""
    found: list[dict[str, Any]] = []
    for key, value in body.items():
        found += [{**body, key: wrong} for wrong in VALUES]
        if isinstance(value, dict):
            found += [{**body, key: inner} for inner in _variants(value)]
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            found += [{**body, key: [inner]} for inner in _variants(value[0])]
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ready() -> AsyncIterator[Prepared]:
    """One of everything, for all tests: each goes back to how it was."""
    async with a_world() as world:
        yield await prepared.prepare(world)


@pytest.fixture(scope="module")
def snapshot(ready: Prepared) -> prepared.Snapshot:
    """How all was."""
    return prepared.Snapshot(ready.world)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("method", prepared.methods(), ids=lambda method: method.route)
async def test_no_wrong_value_is_a_bug(
    method: Method, ready: Prepared, snapshot: prepared.Snapshot
) -> None:
    snapshot.restore()
    world = ready.world
    route, body = ready.call_of(method)
    as_ = ready.caller_of(method)
    assert (await world.answer(route, body, as_=as_)).status_code == 200
    snapshot.restore()
    broken = []
    for variant in [{}, *_variants(body), {**body, "x" * 5000: "y"}]:
        response = await world.answer(route, variant, as_=as_)
        assert response.status_code != 429, "such a refusal says nothing of the value"
        if response.status_code == 500:
            broken.append(variant)
        if response.status_code == 200 and method.mode is not Mode.READ:
            snapshot.restore()
    assert not broken
