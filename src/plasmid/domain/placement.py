"""Which runnable jobs go to a machine: a pure function (contract F.2, F.4; reliability part 7).

**What a job counts for.** The memory, cores, disk and graphics cards of its instance type, but
never more than the machine shares out: so every job can run, the largest alone. Memory and cards
are given to one job each. Cores and disk are shared: a machine gives out several times what it has
(`cores_shared`, `disk_shared`), and the kernel divides the cores by weight.

**Who waits does not count.** A job with unfinished children waits for them, whether its process
polls or sleeps, and must not keep them from starting: it takes no memory, cores, card or place, and
none of its user's `user_jobs_max`, until its last child has ended. A parent and those below it can
so never block each other, however deep, on any machine that can run the largest of them alone.
Lest every head job starts before the first child, a user with as many waiting heads as the machine
has places (`HEADS_MIN` at least) begins another tree only when nothing else of theirs runs.

**The order.** Priority; then the user who holds the least of the machine, and of these the one
whose turn is the longest ago; then that user's own order: rank, trees that have begun before new
ones, age. Rank is within a user, for everybody may set it.

**Nobody starves.** What does not fit is passed by smaller jobs; once it is `PATIENCE_MS` old its
room is kept free. The oldest job of a priority of which nothing runs goes before all others once it
is `STARVED_MS` old.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

PATIENCE_MS: Final = 10 * 60 * 1000
STARVED_MS: Final = 60 * 60 * 1000
HEADS_MIN: Final = 4
PRIORITIES: Final = ("low", "normal", "high")
_HIGHEST: Final = len(PRIORITIES)


class Demand(msgspec.Struct, frozen=True):
    """A job that wants to run or runs, and what it counts for.

    `is_new` is true for the root of a tree that no job has started.
    """

    job: str
    memory_bytes: int
    created_ms: int
    gpus: int = 0
    cores: int = 0
    disk_bytes: int = 0
    user: str = ""
    priority: str = "normal"
    rank: int = 0
    is_new: bool = False


class Machine(msgspec.Struct, frozen=True):
    """What may be given to jobs: `cores` and `disk_bytes` to each of them, 0: without a limit.

    `cores_shared` and `disk_shared_bytes` are what all that run may add up to, `user_jobs_max` how
    many one user may run; 0: not counted. `gpus` are the names of devices (Container Device
    Interface), of which each job has its own; only a job that waits for its children shares them
    with these.
    """

    memory_bytes: int
    jobs_max: int
    cores: int = 0
    disk_bytes: int = 0
    gpus: tuple[str, ...] = ()
    cores_shared: int = 0
    disk_shared_bytes: int = 0
    user_jobs_max: int = 0


def place(
    machine: Machine,
    running: Sequence[Demand],
    runnable: Sequence[Demand],
    *,
    waiting: Collection[str],
    now_ms: int,
    served: Mapping[str, int] | None = None,
) -> list[str]:
    """Return the jobs to start now, in order.

    `waiting` names the running jobs that have unfinished children; `served` says of users when
    their last turn was, by any number that grows. Jobs that are equal in all start as they are
    given.
    """
    room = _Room(machine, running, waiting)
    chosen = []
    for demand in _in_order(room, running, runnable, now_ms=now_ms, served=served or {}):
        if room.places <= 0:
            break
        if not room.is_open_to(demand):
            continue
        if room.fits(demand):
            chosen.append(demand.job)
            room.take(demand)
        elif now_ms - demand.created_ms > PATIENCE_MS:
            room.keep_free_for(demand)
    return chosen


class _Room:
    """What is left of a machine, and what its users hold."""

    def __init__(
        self, machine: Machine, running: Iterable[Demand], waiting: Collection[str]
    ) -> None:
        self._machine = machine
        self.places = machine.jobs_max
        self._free = list(self._whole())
        self.shares: dict[str, float] = defaultdict(float)
        self._counted: dict[str, int] = defaultdict(int)
        self._heads: dict[str, int] = defaultdict(int)
        for demand in running:
            if demand.job in waiting:
                self._heads[demand.user] += 1
            else:
                self.take(demand)

    def _whole(self) -> tuple[int, ...]:
        machine = self._machine
        return (
            machine.memory_bytes,
            machine.cores_shared,
            machine.disk_shared_bytes,
            len(machine.gpus),
        )

    def _parts(self, demand: Demand) -> list[int]:
        """Return what a job counts for: nothing of what is not counted, nor more than all."""
        wanted = (demand.memory_bytes, demand.cores, demand.disk_bytes, demand.gpus)
        *shared, gpus = zip(wanted, self._whole(), strict=True)
        return [min(one, whole) for one, whole in shared] + [gpus[0]]

    def is_open_to(self, demand: Demand) -> bool:
        """Say whether a job's user may start another one, and another tree if it is one."""
        user, cap = demand.user, self._machine.user_jobs_max
        if demand.gpus > len(self._machine.gpus):
            return False  # they have been taken out since: it must not keep others waiting
        if cap and self._counted[user] >= cap:
            return False
        heads_max = max(self._machine.jobs_max, HEADS_MIN)
        return not demand.is_new or self._heads[user] < heads_max or not self._counted[user]

    def fits(self, demand: Demand) -> bool:
        """Say whether a job fits into what is left."""
        parts = zip(self._parts(demand), self._free, strict=True)
        return all(not part or part <= free for part, free in parts)

    def take(self, demand: Demand) -> None:
        """Give a job what it counts for."""
        self.keep_free_for(demand)
        self.places -= 1
        self._counted[demand.user] += 1
        parts = zip(self._parts(demand), self._whole(), strict=True)
        most = max(part / whole for part, whole in parts if whole) if any(self._whole()) else 0.0
        self.shares[demand.user] += max(most, 1 / self._machine.jobs_max)

    def keep_free_for(self, demand: Demand) -> None:
        """Take what a job counts for out of what others may have."""
        parts = zip(self._free, self._parts(demand), strict=True)
        self._free = [free - part for free, part in parts]


def _in_order(
    room: _Room,
    running: Sequence[Demand],
    runnable: Sequence[Demand],
    *,
    now_ms: int,
    served: Mapping[str, int],
) -> Iterator[Demand]:
    """Give the jobs by turns; whose turn is next depends on what the room's users have by then."""
    first = list(_starved(running, runnable, now_ms))
    yield from first
    queues: dict[str, list[Demand]] = defaultdict(list)
    for demand in sorted(runnable, key=_turn_of):
        if demand not in first:
            queues[demand.user].append(demand)
    for queue in queues.values():
        queue.reverse()
    while queues:
        user = min(
            queues,
            key=lambda user: (
                _class_of(queues[user][-1]),
                room.shares[user],
                served.get(user, -1),
            ),
        )
        yield queues[user].pop()
        if not queues[user]:
            del queues[user]


def _starved(
    running: Sequence[Demand], runnable: Sequence[Demand], now_ms: int
) -> Iterator[Demand]:
    """Give the oldest job of each priority of which none runs, if it has waited too long."""
    present = {demand.priority for demand in running}
    for priority in PRIORITIES:
        if priority not in present:
            own = [demand for demand in runnable if demand.priority == priority]
            oldest = min(own, key=lambda demand: demand.created_ms, default=None)
            if oldest is not None and now_ms - oldest.created_ms > STARVED_MS:
                yield oldest


def _turn_of(demand: Demand) -> tuple[int, int, bool, int]:
    return _class_of(demand), -demand.rank, demand.is_new, demand.created_ms


def _class_of(demand: Demand) -> int:
    return _HIGHEST - PRIORITIES.index(demand.priority)
