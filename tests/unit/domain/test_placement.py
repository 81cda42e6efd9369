"""Which job starts next: small machines, parents that wait for children, patience."""

from __future__ import annotations

import pytest

from plasmid.domain import placement
from plasmid.domain.placement import PATIENCE_MS, STARVED_MS, Demand, Machine

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


def wants(text: str) -> list[Demand]:
    """Read `a1:high:5:old` as a job 1 of user a, priority high, rank 5, of a tree that has begun.

    Those that are named later were made later.
    """
    found = []
    for age, word in enumerate(text.split()):
        name, *rest = word.split(":")
        priority = next((text for text in rest if text in placement.PRIORITIES), "normal")
        rank = next((int(text) for text in rest if text.lstrip("-").isdigit()), 0)
        found.append(
            Demand(
                name, GIB, age, user=name[0], priority=priority, rank=rank, is_new="old" not in rest
            )
        )
    return found


@pytest.mark.parametrize(
    ("running", "runnable", "chosen"),
    [
        # priority, whoever it is
        ("", "a1:low a2 a3:high", "a3 a2 a1"),
        ("b1", "a1:low b2:high", "b2 a1"),
        # the least share first, and those who are equal in turns
        ("", "a1 a2 a3 b1", "a1 b1 a2 a3"),
        ("a0", "a1 a2 b1 b2 b3", "b1 a1 b2 a2 b3"),
        ("a0 a9 b0", "a1 b1 c1 c2", "c1 b1 c2 a1"),
        # rank is within a user
        ("", "a1 a2:5 a3:-5", "a2 a1 a3"),
        ("b0", "a1 b1:1023", "a1 b1"),
        # what has begun before what is new, and the oldest first
        ("", "a1 a2:old a3:old a4", "a2 a3 a1 a4"),
        ("", "a1:5 a2:old", "a1 a2"),
    ],
)
def test_whose_turn_it_is(running: str, runnable: str, chosen: str) -> None:
    found = placement.place(
        Machine(64 * GIB, 64), wants(running), wants(runnable), waiting=(), now_ms=0
    )
    assert " ".join(found) == chosen


def test_on_a_machine_for_one_job_users_take_turns() -> None:
    left, served, order = wants("a1 a2 a3 a4 b1 b2"), dict[str, int](), list[str]()
    while left:
        (name,) = placement.place(Machine(GIB, 1), [], left, waiting=(), now_ms=0, served=served)
        served[name[0]] = len(order)
        order.append(name)
        left = [demand for demand in left if demand.job != name]
    assert order == ["a1", "b1", "a2", "b2", "a3", "a4"]


@pytest.mark.parametrize(
    ("running", "runnable", "waiting", "chosen"),
    [
        ("", "a1 a2 a3 b1", "", "a1 b1 a2"),
        ("a8 a9", "a1 b1", "", "b1"),
        ("a8 a9", "a1 b1", "a9", "b1 a1"),
        ("a8 a9", "a1:old a2:old", "a8 a9", "a1 a2"),
    ],
)
def test_a_user_runs_no_more_than_the_cap_beside_parents_that_wait(
    running: str, runnable: str, waiting: str, chosen: str
) -> None:
    found = placement.place(
        Machine(64 * GIB, 64, user_jobs_max=2),
        wants(running),
        wants(runnable),
        waiting=waiting.split(),
        now_ms=0,
    )
    assert " ".join(found) == chosen


@pytest.mark.parametrize(
    ("machine", "running", "runnable", "chosen"),
    [
        (Machine(GIB, 9, cores_shared=8), [], [2, 2, 2, 2, 2], 4),
        (Machine(GIB, 9, cores_shared=8), [4], [4, 2], 1),
        (Machine(GIB, 9, cores_shared=8), [], [64, 1], 1),
        (Machine(GIB, 9, cores_shared=8), [1], [64], 0),
        (Machine(GIB, 9), [64], [64], 1),
        (Machine(GIB, 9, disk_shared_bytes=8), [], [4, 4, 4], 2),
        (Machine(GIB, 9, disk_shared_bytes=8), [1], [64], 0),
        (Machine(GIB, 9, disk_shared_bytes=8), [], [64], 1),
    ],
)
def test_cores_and_disk_are_counted_where_they_are_shared_out(
    machine: Machine, running: list[int], runnable: list[int], chosen: int
) -> None:
    held = [Demand(f"r{n}", 0, 0, cores=n, disk_bytes=n) for n in running]
    wanted = [Demand(f"w{i}", 0, 0, cores=n, disk_bytes=n) for i, n in enumerate(runnable)]
    assert len(placement.place(machine, held, wanted, waiting=(), now_ms=0)) == chosen


def test_a_job_whose_cards_have_been_taken_out_keeps_nobody_waiting() -> None:
    gone = Demand("gone", GIB, 0, gpus=2)
    later = Demand("later", GIB, PATIENCE_MS)
    machine = Machine(GIB, 4, gpus=("x.org/gpu=0",))
    assert placement.place(machine, [], [gone, later], waiting=(), now_ms=2 * PATIENCE_MS) == [
        "later"
    ]


def test_the_oldest_of_a_priority_of_which_none_runs_goes_first_after_an_hour() -> None:
    low, high = Demand("low", GIB, 0, priority="low"), Demand("high", GIB, 9, priority="high")
    held = [Demand("other", GIB, 0, priority="high")]
    for now_ms, first in ((STARVED_MS, "high"), (STARVED_MS + 1, "low")):
        found = placement.place(Machine(2 * GIB, 9), held, [high, low], waiting=(), now_ms=now_ms)
        assert found == [first]
    held = [Demand("other", GIB, 0, priority="low")]
    assert placement.place(
        Machine(2 * GIB, 9), held, [high, low], waiting=(), now_ms=STARVED_MS + 1
    ) == ["high"]


@pytest.mark.parametrize(
    ("running", "runnable", "waiting", "chosen"),
    [
        ("a1 a2 a3", "a4 a5", "a1 a2 a3", "a4 a5"),
        ("a1 a2 a3 a4", "a5 a6", "a1 a2 a3 a4", "a5"),
        ("a1 a2 a3 a4 a5", "a6 a7:old", "a1 a2 a3 a4", "a7"),
        ("a1 a2 a3 a4 a5", "a6 b1 b2", "a1 a2 a3 a4", "b1 b2"),
    ],
)
def test_a_user_whose_heads_wait_begins_another_tree_only_if_nothing_else_of_theirs_runs(
    running: str, runnable: str, waiting: str, chosen: str
) -> None:
    found = placement.place(
        Machine(64 * GIB, 4), wants(running), wants(runnable), waiting=waiting.split(), now_ms=0
    )
    assert " ".join(found) == chosen
