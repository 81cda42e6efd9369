"""Which job starts next: small machines, parents that wait for children, patience."""

from __future__ import annotations

import pytest

from plasmid.domain import placement
from plasmid.domain.placement import PATIENCE_MS, Demand, Machine

GIB = 1 << 30


def demands(text: str, *, created_ms: int = 0) -> list[Demand]:
    """Read `a:4 b` as jobs named a (4 GiB) and b (1 GiB)."""
    found = []
    for word in text.split():
        name, _, gib = word.partition(":")
        found.append(Demand(name, int(gib or 1) * GIB, created_ms))
    return found


@pytest.mark.parametrize(
    ("machine", "running", "runnable", "waiting", "chosen"),
    [
        # nothing to do
        ((4, 4), "", "", "", ""),
        ((4, 4), "a", "", "", ""),
        # memory and slots are limits, each by itself
        ((4, 4), "", "a b c d e", "", "a b c d"),
        ((4, 2), "", "a b c", "", "a b"),
        ((4, 4), "a:2", "b:2 c", "", "b"),
        ((4, 4), "a:3", "b:2 c", "", "c"),
        ((4, 1), "a", "b", "", ""),
        ((4, 4), "a:4", "b", "", ""),
        # a job that is larger than the machine runs, alone
        ((4, 4), "", "a:64", "", "a"),
        ((4, 4), "", "a:64 b", "", "a"),
        ((4, 4), "b", "a:64", "", ""),
        ((4, 4), "a:64", "b", "", ""),
        ((4, 4), "", "b a:64 c", "", "b c"),
        # who waits for children does not keep them from starting
        ((1, 1), "parent", "child", "parent", "child"),
        ((1, 1), "parent:64", "child:64", "parent", "child"),
        ((1, 1), "parent child", "grandchild", "parent child", "grandchild"),
        ((1, 1), "parent child", "grandchild second", "parent child", "grandchild"),
        ((1, 1), "parent child", "second", "parent", ""),
        # two trees at once, each with a parent that waits
        ((1, 1), "p q", "c d", "p q", "c"),
        ((1, 1), "p q c", "d", "p q", ""),
        ((2, 2), "p q", "c d", "p q", "c d"),
        ((2, 2), "p q c", "d", "p q c", "d"),
        # a parent whose children are all there already counts again
        ((1, 1), "parent", "other", "", ""),
        # who waits is counted by name, not by number
        ((2, 2), "a b", "c", "x y", ""),
    ],
)
def test_what_starts_now(
    machine: tuple[int, int], running: str, runnable: str, waiting: str, chosen: str
) -> None:
    found = placement.place(
        Machine(machine[0] * GIB, machine[1]),
        demands(running),
        demands(runnable),
        waiting=waiting.split(),
        now_ms=0,
    )
    assert " ".join(found) == chosen


@pytest.mark.parametrize(
    ("waited_ms", "chosen"),
    [(0, ["small"]), (PATIENCE_MS, ["small"]), (PATIENCE_MS + 1, [])],
)
def test_a_large_job_is_overtaken_only_for_a_while(waited_ms: int, chosen: list[str]) -> None:
    found = placement.place(
        Machine(4 * GIB, 4),
        demands("a:2"),
        [*demands("large:4"), *demands("small:1", created_ms=waited_ms)],
        waiting=(),
        now_ms=waited_ms,
    )
    assert found == chosen


def test_a_large_job_that_has_waited_starts_when_the_machine_is_free() -> None:
    found = placement.place(
        Machine(4 * GIB, 4), [], demands("large:4 small"), waiting=(), now_ms=PATIENCE_MS * 2
    )
    assert found == ["large"]


@pytest.mark.parametrize("slots", [1, 2])
@pytest.mark.parametrize("memory_gib", [1, 2])
def test_trees_of_any_depth_end_on_the_smallest_machine(slots: int, memory_gib: int) -> None:
    """Each job makes two children, waits for them, then ends; two trees start at once."""
    machine = Machine(memory_gib * GIB, slots)
    children = {name: [name + "0", name + "1"] if len(name) < 4 else [] for name in names("ab", 4)}
    turns, running = ["a", "b"], list[str]()
    started, over = set[str](), set[str]()
    for _ in range(1000):
        unfinished = {job for job in running if set(children[job]) - over}
        chosen = placement.place(
            machine,
            demands(" ".join(running)),
            demands(" ".join(turns)),
            waiting=unfinished,
            now_ms=0,
        )
        for job in chosen:
            turns.remove(job)
            running.append(job)
        ending = [job for job in running if not set(children[job]) - over and job in started]
        for job in [job for job in running if job not in started]:
            started.add(job)
            turns += children[job]
        if not (chosen or ending or unfinished - started):
            break
        for job in ending[:1]:
            running.remove(job)
            over.add(job)
    assert over == set(children)


def names(roots: str, depth: int) -> list[str]:
    found = list(roots)
    for name in found:
        if len(name) < depth:
            found += [name + "0", name + "1"]
    return found


@pytest.mark.parametrize(
    ("running", "runnable", "waiting", "chosen"),
    [
        ([], [1, 1, 0], "", "0 1 2"),
        ([], [2, 1, 0], "", "0 2"),
        ([1], [2, 1, 0], "", "1 2"),
        ([2], [1, 0, 1], "", "1"),
        ([2], [1, 0, 1], "r0", "0 1 2"),
        ([], [3, 0], "", "1"),
    ],
)
def test_graphics_cards_are_given_to_one_job_each(
    running: list[int], runnable: list[int], waiting: str, chosen: str
) -> None:
    found = placement.place(
        Machine(64 * GIB, 8, gpus=("x.org/gpu=0", "x.org/gpu=1")),
        [Demand(f"r{number}", GIB, 0, gpus) for number, gpus in enumerate(running)],
        [Demand(str(number), GIB, 0, gpus) for number, gpus in enumerate(runnable)],
        waiting=waiting.split(),
        now_ms=0,
    )
    assert " ".join(found) == chosen
