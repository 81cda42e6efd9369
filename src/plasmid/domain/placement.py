"""Which runnable job goes to a machine: a pure function (contract F.4, users.md).

Policy. A job counts for the memory of its instance type, but never for more than the machine has
(it gets no more either, see fitting.py): so every job can run, the largest alone. Jobs that have
unfinished children do not count: they wait for them, and must not keep them from starting (a parent
and its sub-jobs never deadlock). Cores are shared by weight, not counted. The first that fits goes
first, by rank, then age; one that does not fit yet holds back none behind it for longer than
`PATIENCE_MS`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

import msgspec

PATIENCE_MS: Final = 10 * 60 * 1000


class Demand(msgspec.Struct, frozen=True):
    """A job that wants to run or runs, and what it counts for."""

    job: str
    memory_bytes: int
    created_ms: int
    gpus: int = 0


class Machine(msgspec.Struct, frozen=True):
    """What may be given to jobs at once; cores and disk to each of them, 0: without a limit.

    `gpus` are the names of devices (Container Device Interface), of which each job has its own;
    only a job that waits for its children shares them with these.
    """

    memory_bytes: int
    jobs_max: int
    cores: int = 0
    disk_bytes: int = 0
    gpus: tuple[str, ...] = ()


def place(
    machine: Machine,
    running: Sequence[Demand],
    runnable: Sequence[Demand],
    *,
    waiting: Collection[str],
    now_ms: int,
) -> list[str]:
    """Return the jobs to start now, in order; `runnable` comes in the order of their turn.

    `waiting` names the running jobs that have unfinished children.
    """
    counted = [demand for demand in running if demand.job not in waiting]
    free_bytes = machine.memory_bytes - sum(_counts_for(machine, demand) for demand in counted)
    free_slots = machine.jobs_max - len(counted)
    free_gpus = len(machine.gpus) - sum(demand.gpus for demand in counted)
    chosen = []
    for demand in runnable:
        if free_slots <= 0:
            break
        wanted_bytes = _counts_for(machine, demand)
        if demand.gpus > free_gpus:
            continue
        if wanted_bytes <= free_bytes:
            chosen.append(demand.job)
            free_bytes -= wanted_bytes
            free_slots -= 1
            free_gpus -= demand.gpus
        elif now_ms - demand.created_ms > PATIENCE_MS:
            break
    return chosen


def _counts_for(machine: Machine, demand: Demand) -> int:
    return min(demand.memory_bytes, machine.memory_bytes)
