"""The platform under simulation: real methods, dispatcher and stores; time and crashes are ours.

A call is carried out as the HTTP door does it (api/asgi.py), without HTTP. The database is SQLite
in memory; a crash loses the transaction that is not committed yet, and everything that is not in a
store. `crash_at` names where the next transaction's process dies.
"""

from __future__ import annotations

import random
import sqlite3
import traceback
from collections import Counter
from typing import Any, Final
from unittest import mock

import msgspec

from plasmid.backends.local import LocalBackend
from plasmid.blobs.memory import MemoryStore
from plasmid.dispatcher import collect, expire, outlived, place, release, revoke
from plasmid.dispatcher.world import World
from plasmid.domain import errors
from plasmid.domain.access import Actor
from plasmid.domain.placement import Machine
from plasmid.executions import advance
from plasmid.integrity import at_start
from plasmid.integrity.around import NOT_HELD
from plasmid.integrity.finding import Stores
from plasmid.logs.memory import MemoryLogs
from plasmid.metadata import database as database_module
from plasmid.metadata import jobs
from plasmid.metadata.database import Database
from plasmid.methods import everything, registry
from plasmid.methods.call import Call, Limits, Platform, Request
from plasmid.methods.internal import HolderOfTry
from tests.simulation import analyses
from tests.simulation.network import Answer, Reply
from tests.simulation.timeline import Timeline, at_once

GIB: Final = 1 << 30
SYNC: Final = "/internal/worker/sync"
BEFORE, AFTER = "before commit", "after commit"
CHORES: Final = (
    (place.tick, 1_000),
    (expire.look, 1_000),
    (collect.tick, 15_000),
    (release.tick, 5_000),
    (revoke.tick, 5_000),
    (outlived.tick, 60_000),
)
MACHINE: Final = Machine(256 * GIB, 32)
# Many jobs become runnable together; the loop of the dispatcher, too, looks once for all of them.
GATHER_MS: Final = 100
# What must never happen, not even for the length of a transaction's statement.
TRIGGERS: Final = (
    (
        "CREATE TRIGGER ended_stays BEFORE UPDATE OF state ON jobs"
        " WHEN OLD.state IN ('done', 'failed', 'terminated') AND NEW.state IS NOT OLD.state"
        " BEGIN SELECT RAISE(ABORT, 'I3: the state of an ended job changes'); END"
    ),
    (
        "CREATE TRIGGER children_first BEFORE UPDATE OF state ON jobs"
        " WHEN NEW.state = 'done' AND EXISTS (SELECT 1 FROM jobs WHERE parent_job = NEW.id"
        " AND state NOT IN ('done', 'failed', 'terminated'))"
        " BEGIN SELECT RAISE(ABORT, 'I13: a parent is done before its child'); END"
    ),
)


class CrashError(BaseException):
    """The platform's process dies here."""


class Connection:
    """A connection on which the process can die: a commit happens or not, and nothing between."""

    def __init__(self) -> None:
        self.raw = sqlite3.connect(":memory:", isolation_level=None, cached_statements=512)
        self.crash_at: str | None = None
        self.execute_raw = self.raw.execute
        self.executemany = self.raw.executemany

    def execute(self, text: str, values: Any = ()) -> sqlite3.Cursor:
        """Run a statement, and die at a commit if it is time."""
        if text == "COMMIT":
            return self.commit()
        return self.execute_raw(text, values)

    def commit(self) -> sqlite3.Cursor:
        """Commit; a crash before it loses the transaction, one after it only the answer."""
        point, self.crash_at = self.crash_at, None
        if point == BEFORE:
            raise CrashError
        done = self.execute_raw("COMMIT")
        if point == AFTER:
            raise CrashError
        return done

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self.raw.in_transaction

    @property
    def total_changes(self) -> int:
        """How many rows have been changed."""
        return self.raw.total_changes

    def lose_what_is_open(self) -> None:
        """Do what the next process's start does to a transaction that was not committed."""
        if self.raw.in_transaction:
            self.execute_raw("ROLLBACK")

    def close(self) -> None:
        """The data outlives the process."""


class SimulatedLogs(MemoryLogs):
    """Logs that are durable when an append returns; a crash keeps a batch whole or not at all."""

    def __init__(self) -> None:
        super().__init__()
        self.crash_at: str | None = None
        self.unsynced: dict[tuple[str, int], tuple[int, dict[str, int]]] = {}

    async def append_lines(self, *given: Any, **named: Any) -> None:
        """Keep a batch."""
        point, self.crash_at = self.crash_at, None
        if point == BEFORE:
            raise CrashError
        await super().append_lines(*given, **named)
        if point == AFTER:
            raise CrashError

    def lose_what_is_open(self) -> None:
        """Lose what was not synced when the power went: nothing, unless a bug is put in."""
        for key, (count, cursors) in self.unsynced.items():
            del self._entries[key][count:]
            self._cursors[key] = cursors
        self.unsynced.clear()


class Server:
    """The platform's process: it can die, and be started again on its stores."""

    def __init__(self, timeline: Timeline, rng: random.Random, faults: Counter[str]) -> None:
        everything.declare()
        self.timeline = timeline
        self.faults = faults
        self.connection = Connection()
        self.blobs = MemoryStore()
        self.logs = SimulatedLogs()
        self.is_alive = False
        self.clock_offset_ms = 0
        self.crash_chance = 0.0
        self.broken: list[str] = []
        self.calls = 0
        self._rng = rng
        self._life = 0
        self._parked: dict[str, tuple[bytes, str, Reply, int]] = {}
        self._is_place_due = False
        self.start()
        for trigger in (*TRIGGERS, *analyses.TRIGGERS):
            self.connection.execute_raw(trigger)

    def wall_ms(self) -> int:
        """Return what the platform's clock shows."""
        return self.timeline.now_ms + self.clock_offset_ms

    # ------------------------------------------------------------------------ living and dying

    def start(self) -> None:
        """Start on what the stores have, with nothing in memory."""
        if self.is_alive:
            return
        self.connection.lose_what_is_open()
        self.connection.crash_at = self.logs.crash_at = None
        with mock.patch.object(database_module, "_connect", return_value=self.connection):
            database = Database(None)
        self.platform = Platform(
            database=database,
            blobs=self.blobs,
            logs=self.logs,
            backend=LocalBackend(),
            signing_key=b"k" * 32,
            limits=Limits(machine=MACHINE),
            now_ms=self.wall_ms,
            randomness=self._rng.randbytes,
        )
        self.world = World(
            database=database,
            blobs=self.blobs,
            logs=self.logs,
            backend=self.platform.backend,
            changes=self.platform.changes,
            authenticator=self.platform.authenticator,
            machine=MACHINE,
            randomness=self._rng.randbytes,
            started_ms=self.wall_ms(),
        )
        database.listeners.append(self._noticed)
        self.is_alive = True
        self._life += 1
        self._parked.clear()
        self._check_start()
        for chore, every_ms in CHORES:
            self.timeline.after(
                self._rng.randint(0, every_ms), self._tick, chore, every_ms, self._life
            )

    def _check_start(self) -> None:
        """What a crash has left must need no repair: all that follows was in its transaction."""
        stores = Stores(
            self.platform.database,
            self.blobs,
            self.logs,
            now_ms=self.wall_ms,
            randomness=self._rng.randbytes,
            authenticator=self.platform.authenticator,
        )

        async def look() -> list[str]:
            found = [finding async for finding in at_start.check(stores.database.reader)]
            return [f"{one.invariant} at start: {one.subject} {one.detail}" for one in found]

        self.broken += at_once(look())

    def crash(self) -> None:
        """Die; whoever waits for an answer gets none. It is started again after a while."""
        if not self.is_alive:
            return
        self.is_alive = False
        self._life += 1
        self._parked.clear()
        self._is_place_due = False
        self.connection.lose_what_is_open()
        self.logs.lose_what_is_open()
        self.timeline.after(self._rng.randint(200, 8_000), self.start)

    # --------------------------------------------------------------------------------- calls

    def receive(self, route: str, body: bytes, token: str, reply: Reply) -> None:
        """Answer a request, unless dead; a worker's question for news may wait."""
        if not self.is_alive:
            reply(Answer(is_refused=True))
            return
        if route == SYNC:
            self._sync(body, token, reply, self.timeline.now_ms + 3_000)
            return
        answer = self._guarded(route, body, token)
        if answer is not None:
            reply(answer)

    def _sync(self, body: bytes, token: str, reply: Reply, until_ms: int) -> None:
        answer = self._guarded(SYNC, body, token)
        if answer is None:
            return
        has_news = answer.error is not None or answer.value["start"] or answer.value["stop"]
        if has_news or self.timeline.now_ms >= until_ms:
            reply(answer)
            return
        worker = msgspec.json.decode(body)["worker"]
        self._parked[worker] = (body, token, reply, until_ms)
        wait_ms = until_ms - self.timeline.now_ms
        self.timeline.after(wait_ms, self._resume, worker, until_ms, self._life)

    def _resume(self, worker: str, until_ms: int | None, life: int) -> None:
        parked = self._parked.get(worker)
        if life != self._life or parked is None or until_ms not in (None, parked[3]):
            return
        del self._parked[worker]
        self._sync(*parked)

    def _guarded(self, route: str, body: bytes, token: str) -> Answer | None:
        """Return the answer; None if the process has died on the way."""
        self.calls += 1
        if self.crash_chance and self._rng.random() < self.crash_chance:
            point = self._rng.choice((BEFORE, AFTER))
            self.connection.crash_at = self.logs.crash_at = point
            self.faults[f"crash {point}"] += 1
        try:
            return self._answer(route, body, token)
        except CrashError:
            self.crash()
            return None
        finally:
            self.connection.crash_at = self.logs.crash_at = None

    def _answer(self, route: str, body: bytes, token: str) -> Answer:
        try:
            value = at_once(self._call(route, body, token))
            return Answer(msgspec.json.decode(msgspec.json.encode(value)))
        except errors.ApiError as error:
            return Answer(error=type(error).__name__, message=error.message)
        except Exception as error:  # noqa: BLE001 - as the HTTP door does; here it is a finding
            self._break(route, error)
            return Answer(error="InternalError", message=str(error))

    def _break(self, where: str, error: Exception) -> None:
        last = traceback.extract_tb(error.__traceback__)[-1]
        named = str(error) if str(error)[:2] in ("I3", "I1") else f"500: {error!r}"
        self.broken.append(f"{named} ({where}, {last.filename.rpartition('/')[2]}:{last.lineno})")

    async def _call(self, route: str, body: bytes, token: str) -> Any:
        platform, now_ms = self.platform, self.wall_ms()
        actor = await platform.authenticator.actor_of(
            platform.database.reader, f"Bearer {token}", now_ms
        )
        stale = await self._stale_token(actor) or await self._stale_report(route, body)
        call = Call(platform, actor, Request(), now_ms=now_ms)
        value = await registry.answer(call, route, body)
        if stale is not None:
            self.broken.append(stale)
        return value

    async def _stale_token(self, actor: Actor) -> str | None:
        """Return what is wrong if a call with this token passes now."""
        if actor.job is None:
            return None
        row = await jobs.find_job(self.platform.database.reader, actor.job)
        if row is not None and row.attempt == actor.attempt and row.state not in NOT_HELD:
            return None
        return f"I9: a call with the token of try {actor.attempt} of {actor.job} passed"

    async def _stale_report(self, route: str, body: bytes) -> str | None:
        """Return what is wrong if this report of a worker passes now."""
        if not route.startswith("/internal/job-"):
            return None
        job, verb = route.removeprefix("/internal/").split("/")
        row = await jobs.find_job(self.platform.database.reader, job)
        said = msgspec.json.decode(body, type=HolderOfTry)
        if row is not None and (row.worker, row.attempt) == (said.worker, said.attempt):
            return None
        return f"I2: {said.worker} does not hold try {said.attempt} of {job}; its {verb} passed"

    # -------------------------------------------------------------------------------- chores

    def _noticed(self, topic: str) -> None:
        if topic == advance.PLACEABLE_TOPIC and not self._is_place_due:
            self._is_place_due = True
            self.timeline.after(GATHER_MS, self._place, self._life)
        elif topic.startswith("worker:") and topic[7:] in self._parked:
            self.timeline.after(1, self._resume, topic[7:], None, self._life)

    def _place(self, life: int) -> None:
        if life == self._life:
            self._is_place_due = False
            self._run(place.tick)

    def _tick(self, chore: Any, every_ms: int, life: int) -> None:
        if life == self._life:
            self.timeline.after(every_ms, self._tick, chore, every_ms, life)
            self._run(chore)

    def _run(self, chore: Any) -> None:
        if self.crash_chance and self._rng.random() < self.crash_chance / 4:
            point = self._rng.choice((BEFORE, AFTER))
            self.connection.crash_at = point
            self.faults[f"crash {point}"] += 1
        try:
            at_once(chore(self.wall_ms(), self.world))
        except CrashError:
            self.crash()
        except errors.ApiError as error:
            self._break(chore.__module__, error)
        except (sqlite3.Error, RuntimeError, AssertionError, KeyError, ValueError) as error:
            self._break(chore.__module__, error)
        finally:
            self.connection.crash_at = None

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query in SQL."""
        return self.connection.execute_raw(statement).fetchall()
