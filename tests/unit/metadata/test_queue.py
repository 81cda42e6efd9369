"""The queue: the first of each kind in order, who waits for children, and a cost that stays."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest

from plasmid.metadata import queue, schema
from plasmid.metadata.database import Database, Prepared
from plasmid.metadata.queue import Turn

_ADD = Prepared(schema.jobs.insert())
_NULLS = (
    "parent_job", "detached_from", "started_running_ms", "stopped_running_ms", "output",
    "failure_reason", "failure_message", "failure_from", "worker",
)  # fmt: skip
_numbers = itertools.count()


@pytest.fixture
async def database() -> AsyncIterator[Database]:
    made = Database(None)
    yield made
    made.close()


def a_row(name: str, **fields: Any) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(schema.jobs.columns.keys(), "x")
    row |= dict.fromkeys(_NULLS)
    row |= dict.fromkeys(("created_ms", "modified_ms", "attempt", "attempt_created_ms", "rank"), 0)
    row |= {
        "id": name, "state": "runnable", "launched_by": "user-a", "priority": "normal",
        "instance_type": "mem1", "created_ms": next(_numbers), "root_execution": name,
    }  # fmt: skip
    return row | fields


async def add(database: Database, *rows: dict[str, Any]) -> None:
    async with database.transaction() as tx:
        await tx.execute_many(_ADD, rows)


def names(turns: list[Turn]) -> str:
    return " ".join(turn.id for turn in turns)


async def test_a_kind_gives_its_first_by_rank_and_age_those_of_begun_trees_apart(
    database: Database,
) -> None:
    below = {"parent_job": "p"}
    await add(
        database,
        a_row("new"), a_row("newer"), a_row("ranked", rank=5), a_row("late", rank=-1),
        a_row("child", **below), a_row("second", **below), a_row("chosen", rank=9, **below),
        a_row("apart", detached_from="p"), a_row("gone", state="running"),
    )  # fmt: skip
    assert names(await queue.find_next(database.reader, 3)) == (
        "chosen child second ranked new newer"
    )
    found = await queue.find_next(database.reader, 9)
    assert names(found) == "chosen child second apart ranked new newer late"
    assert [turn.is_new for turn in found] == [False] * 4 + [True] * 4


async def test_every_kind_is_found_whatever_its_parts(database: Database) -> None:
    kinds = list(itertools.product(("a", "b", "z"), ("high", "low", "normal"), ("t", "u", "v w")))
    kinds.remove(("b", "low", "u"))
    rows = [
        a_row(f"{number}-{copy}", launched_by=user, priority=priority, instance_type=kind)
        for copy in range(3)
        for number, (user, priority, kind) in enumerate(kinds)
    ]
    await add(database, *rows)
    found = await queue.find_next(database.reader, 2)
    assert len(found) == 2 * len(kinds)
    assert {(turn.user, turn.priority, turn.instance_type) for turn in found} == set(kinds)
    assert all(turn.id.endswith(("-0", "-1")) for turn in found)


async def test_the_oldest_of_a_priority_is_of_any_kind(database: Database) -> None:
    await add(
        database,
        a_row("over", state="done"),
        a_row("first", launched_by="user-z", rank=-1024),
        a_row("second", rank=1023),
        a_row("low", priority="low"),
    )
    oldest = await queue.find_oldest(database.reader, "normal")
    assert oldest is not None
    assert oldest.id == "first"
    assert await queue.find_oldest(database.reader, "high") is None


async def test_a_parent_is_who_has_started_one_that_is_not_over(database: Database) -> None:
    held = ["waits", "polls", "left", "done", "none"]
    await add(
        database,
        *(a_row(name, state="running") for name in held),
        a_row("c1", parent_job="waits", state="done"),
        a_row("c2", parent_job="waits", state="waiting_on_input"),
        a_row("c3", parent_job="done", state="failed", failure_reason="AppError"),
        a_row("c4", detached_from="polls"),
        a_row("c5", detached_from="left", state="terminated"),
    )
    assert await queue.find_parents(database.reader, held) == {"waits", "polls"}
    assert await queue.find_parents(database.reader, []) == set()


@pytest.mark.parametrize("state", ["running", "terminating", "debug_hold"])
async def test_who_has_a_sandbox_is_held(database: Database, state: str) -> None:
    await add(database, a_row("one", state=state), a_row("other", state="waiting_on_output"))
    assert names(await queue.find_held(database.reader)) == "one"


async def test_a_tree_is_counted_with_all_that_is_over(database: Database) -> None:
    of_tree = {"root_execution": "r"}
    await add(database, a_row("r"), a_row("x", state="done", **of_tree), a_row("y", **of_tree))
    assert await queue.count_tree(database.reader, "r") == 3


async def steps(database: Database, work: Any) -> int:
    """Return how many hundred steps of its machine SQLite makes for some work."""
    count = 0

    def step() -> int:
        nonlocal count
        count += 1
        return 0

    database._writer.set_progress_handler(step, 100)
    await work()
    database._writer.set_progress_handler(None, 0)
    return count


async def test_what_placing_reads_does_not_grow_with_the_queue(database: Database) -> None:
    async def placing() -> None:
        await queue.find_held(database.reader)
        await queue.find_parents(database.reader, ["running"])
        await queue.find_next(database.reader, 16)
        await queue.find_oldest(database.reader, "low")

    await add(database, a_row("running", state="running"))
    costs = []
    for size in (2_000, 20_000):
        await add(
            database,
            *(
                a_row(
                    f"{size}-{number}",
                    launched_by=f"user-{number % 3}",
                    instance_type=f"t{number % 2}",
                    parent_job="running" if number % 5 == 0 else None,
                    priority=("low", "normal")[number % 7 == 0],
                )
                for number in range(size)
            ),
        )
        costs.append(await steps(database, placing))
    assert costs[1] <= 1.2 * costs[0], costs
