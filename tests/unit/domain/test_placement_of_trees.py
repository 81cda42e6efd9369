"""No tree of jobs on any machine ever blocks itself or another: a model that runs all to the end.

A job may start children at any time while it runs, and then wait for them in its process, or end
and let the platform wait. Any job may wait for the end of others before it starts, wherever they
are. The dispatcher knows only what it knows of real jobs.
"""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plasmid.domain import placement
from plasmid.domain.placement import PRIORITIES, STARVED_MS, Demand, Machine

MINUTE_MS = 60_000


class Job(msgspec.Struct):
    """What a job of the model is and does; `ends_after` are jobs that it waits for to start."""

    name: int
    parent: int | None
    demand: Demand
    polls: bool
    is_detached: bool = False
    starts_after: tuple[int, ...] = ()
    end: int = 0


class Model:
    """A platform that has nothing but jobs, and a machine."""

    def __init__(self, machine: Machine, jobs: list[Job], seed: int) -> None:
        self.machine = machine
        self.jobs = jobs
        self.random = random.Random(seed)
        self.now_ms = 0
        self.made = {job.name for job in jobs if job.parent is None}
        self.unborn = {
            job.name: [child.name for child in jobs if child.parent == job.name] for job in jobs
        }
        self.held: list[int] = []
        self.exited: set[int] = set()
        self.over: set[int] = set()
        self.served: dict[str, int] = {}

    def run(self) -> None:
        """Run all jobs to their ends; AssertionError if nothing can happen any more."""
        while len(self.over) < len(self.jobs):
            self.now_ms += self.random.choice((1, MINUTE_MS, 30 * MINUTE_MS))
            progress = bool(self.place())
            moves = [*self._births(), *self._ends()]
            if moves:
                name, what = self.random.choice(moves)
                what(name)
            assert progress or moves, self._told()

    def place(self) -> list[int]:
        """Start what the dispatcher starts."""
        runnable = [job.demand for job in self.jobs if self._is_runnable(job)]
        self.random.shuffle(runnable)
        running = [self.jobs[name].demand for name in self.held]
        waiting = {str(name) for name in self.held if self._unfinished(name)}
        chosen = placement.place(
            self.machine, running, runnable, waiting=waiting, now_ms=self.now_ms,
            served=self.served,
        )  # fmt: skip
        self._check(chosen, waiting)
        for name in chosen:
            self.served[self.jobs[int(name)].demand.user] = self.now_ms
            self.held.append(int(name))
        return [int(name) for name in chosen]

    def _check(self, chosen: list[str], waiting: set[str]) -> None:
        """A machine gives what it has; a user's running jobs are no more than their cap.

        A parent whose children have ended since it started counts again, whatever is free.
        """
        names = [name for name in map(str, self.held) if name not in waiting] + chosen
        counted = [self.jobs[int(name)].demand for name in names]
        assert len(set(chosen)) == len(chosen)
        if not chosen:
            return
        assert len(counted) <= self.machine.jobs_max
        memory = [min(d.memory_bytes, self.machine.memory_bytes) for d in counted]
        assert sum(memory) <= self.machine.memory_bytes
        assert sum(demand.gpus for demand in counted) <= len(self.machine.gpus)
        for user in {self.jobs[int(name)].demand.user for name in chosen}:
            cap = self.machine.user_jobs_max or len(self.jobs)
            assert sum(demand.user == user for demand in counted) <= cap

    def _is_runnable(self, job: Job) -> bool:
        is_fresh = job.name in self.made and job.name not in {*self.held, *self.exited, *self.over}
        return is_fresh and self.over.issuperset(job.starts_after)

    def _unfinished(self, name: int, *, with_detached: bool = True) -> list[int]:
        return [
            job.name
            for job in self.jobs
            if job.parent == name
            and (with_detached or not job.is_detached)
            and job.name in self.made - self.over
        ]

    def _births(self) -> list[tuple[int, Any]]:
        return [(name, self._bear) for name in self.held if self.unborn[name]]

    def _bear(self, name: int) -> None:
        self.made.add(self.unborn[name].pop(0))

    def _ends(self) -> list[tuple[int, Any]]:
        ready = [name for name in self.held if not self.unborn[name]]
        exiting = [
            (name, self._exit)
            for name in ready
            if not (self.jobs[name].polls and self._unfinished(name))
        ]
        settled = [n for n in self.exited if not self._unfinished(n, with_detached=False)]
        return exiting + [(name, self._settle) for name in settled]

    def _exit(self, name: int) -> None:
        self.held.remove(name)
        self.exited.add(name)

    def _settle(self, name: int) -> None:
        self.exited.remove(name)
        self.over.add(name)

    def _told(self) -> str:
        waiting = [job.name for job in self.jobs if self._is_runnable(job)]
        return f"stuck: {self.held} hold, {waiting} want to run, of {self.jobs}"


@st.composite
def forests(draw: st.DrawFn) -> list[Job]:
    """Give jobs in the order of a walk through their trees, parents before children."""
    count = draw(st.integers(1, 14))
    jobs: list[Job] = []
    path: list[int] = []
    for name in range(count):
        keep = draw(st.integers(0, len(path)))
        for left in path[keep:]:
            jobs[left].end = name
        path = path[:keep]
        parent = path[-1] if path else None
        is_detached = parent is not None and draw(st.integers(0, 5)) == 0
        # what lies wholly before it cannot wait for it
        earlier = [job.name for job in jobs if job.name not in path and job.end]
        after = draw(st.lists(st.sampled_from(earlier), max_size=2)) if earlier else []
        demand = Demand(
            job=str(name),
            memory_bytes=draw(st.sampled_from((1, 1, 2, 3, 9))),
            created_ms=0,
            gpus=draw(st.sampled_from((0, 0, 0, 1))),
            cores=draw(st.sampled_from((1, 2, 4, 64))),
            disk_bytes=draw(st.sampled_from((1, 5, 50))),
            user=jobs[parent].demand.user if parent is not None else draw(st.sampled_from("ab")),
            priority=draw(st.sampled_from(PRIORITIES)),
            rank=draw(st.sampled_from((0, 0, 5))),
            is_new=parent is None,
        )
        job = Job(name, parent, demand, draw(st.booleans()), is_detached, tuple(after))
        jobs.append(job)
        path.append(name)
    for left in path:
        jobs[left].end = count
    return jobs


machines = st.builds(
    Machine,
    memory_bytes=st.sampled_from((1, 2, 4, 16)),
    jobs_max=st.sampled_from((1, 1, 2, 5)),
    gpus=st.sampled_from((("one",), ("one", "two"))),
    cores_shared=st.sampled_from((0, 1, 2, 8)),
    disk_shared_bytes=st.sampled_from((0, 1, 50)),
    user_jobs_max=st.sampled_from((0, 1, 1, 2)),
)


@settings(max_examples=400, deadline=None)
@given(machine=machines, jobs=forests(), seed=st.integers(0, 2**32))
def test_any_trees_run_to_their_ends_on_any_machine(
    machine: Machine, jobs: list[Job], seed: int
) -> None:
    Model(machine, jobs, seed).run()


def chain(length: int, **fields: Any) -> list[Job]:
    """Give a job that starts one that starts one, each as large as the machine, all polling."""
    return [
        Job(name, name - 1 if name else None, a_demand(str(name), is_new=not name, **fields), True)
        for name in range(length)
    ]


def a_demand(job: str, **fields: Any) -> Demand:
    return Demand(**{"job": job, "memory_bytes": 1, "created_ms": 0, "user": "a", **fields})


@pytest.mark.parametrize("machine", [Machine(1, 1, user_jobs_max=1), Machine(64, 16)])
def test_a_chain_of_parents_that_poll_ends_where_one_of_them_fits(machine: Machine) -> None:
    Model(machine, chain(60, memory_bytes=64), 1).run()


def test_many_trees_whose_heads_are_small_and_children_large_do_not_all_begin() -> None:
    """Else a thousand sandboxes would wait beside the one that runs."""
    jobs = []
    for tree in range(200):
        head = Job(2 * tree, None, a_demand(str(2 * tree), is_new=True), True)
        jobs += [
            head,
            Job(2 * tree + 1, 2 * tree, a_demand(str(2 * tree + 1), memory_bytes=9), True),
        ]
    model = Model(Machine(10, 5), jobs, 1)
    most = 0
    ends = model._ends

    def at_last() -> list[tuple[int, Any]]:
        nonlocal most
        most = max(most, len(model.held))
        return [] if model._births() else ends()

    model._ends = at_last  # type: ignore[method-assign]
    model.run()
    assert most <= 10


@pytest.mark.parametrize(
    "starving",
    [
        {"priority": "low"},
        {"priority": "low", "memory_bytes": 4},
        {"memory_bytes": 4},
        {"memory_bytes": 4, "user": "b"},
        {"cores": 8, "user": "b"},
        {"gpus": 2, "memory_bytes": 2},
    ],
)
def test_nobody_starves_however_many_others_keep_coming(starving: dict[str, Any]) -> None:
    machine = Machine(4, 4, cores_shared=8, gpus=("one", "two"))
    wanted = a_demand("wanted", **starving)
    running: list[tuple[int, Demand]] = []
    number, now_ms = 0, 0
    while now_ms < 2 * STARVED_MS:
        now_ms += MINUTE_MS
        running = [(ends, demand) for ends, demand in running if ends > now_ms]
        fresh = [
            a_demand(f"{number + i}", created_ms=now_ms, priority="high", gpus=i % 2, cores=1)
            for i in range(8)
        ]
        if starving.get("priority") is None:
            fresh = [msgspec.structs.replace(demand, priority="normal") for demand in fresh]
        number += len(fresh)
        runnable = [wanted, *fresh]
        chosen = placement.place(
            machine, [demand for _, demand in running], runnable, waiting=(), now_ms=now_ms
        )
        if "wanted" in chosen:
            return
        by_name = {demand.job: demand for demand in runnable}
        running += [(now_ms + 5 * MINUTE_MS + i, by_name[n]) for i, n in enumerate(chosen)]
    raise AssertionError("it never ran")
