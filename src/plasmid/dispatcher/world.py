"""What the chores of the dispatcher work on."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import AsyncIterator, Callable

import msgspec

from plasmid.auth.tokens import Authenticator
from plasmid.backends.backend import Backend
from plasmid.blobs.store import BlobStore
from plasmid.domain.placement import Machine
from plasmid.executions import waking
from plasmid.executions.world import Moment
from plasmid.logs.store import LogStore
from plasmid.metadata.changes import Changes
from plasmid.metadata.database import Database


class Summary(msgspec.Struct, frozen=True):
    """What a chore has done."""

    chore: str
    count: int


class World:
    """The stores and figures that the dispatcher needs.

    `served` says when users had their last turn, by the count of `turns`; a restart forgets it.
    `started_ms` is since when workers are heard without a break, `looked_ms` when the dispatcher
    last looked for silent ones. No job starts before it has been runnable for
    `queue_ms_min`.
    """

    def __init__(
        self,
        *,
        database: Database,
        blobs: BlobStore,
        logs: LogStore,
        backend: Backend,
        changes: Changes,
        authenticator: Authenticator,
        machine: Machine,
        randomness: Callable[[int], bytes],
        started_ms: int,
        queue_ms_min: int = 0,
    ) -> None:
        self.database = database
        self.blobs = blobs
        self.logs = logs
        self.backend = backend
        self.changes = changes
        self.authenticator = authenticator
        self.machine = machine
        self.randomness = randomness
        self.started_ms = started_ms
        self.queue_ms_min = queue_ms_min
        self.looked_ms: int | None = None
        self.served: dict[str, int] = {}
        self.turns = itertools.count()

    @contextlib.asynccontextmanager
    async def moment(self, now_ms: int) -> AsyncIterator[Moment]:
        """Give a transaction for executions; all that follows is done before it commits."""
        async with self.database.transaction() as tx:
            moment = Moment(
                tx,
                now_ms=now_ms,
                randomness=self.randomness,
                authenticator=self.authenticator,
                logs=self.logs,
            )
            async with waking.following(moment):
                yield moment
