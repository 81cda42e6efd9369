"""What a check found, and what a repair may use."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

import msgspec

from plasmid.auth.tokens import Authenticator
from plasmid.blobs.store import BlobStore
from plasmid.executions import waking
from plasmid.executions.world import Moment
from plasmid.logs.store import LogStore
from plasmid.metadata.database import Database


class Workshop(Protocol):
    """What repairs work on."""

    @property
    def database(self) -> Database:
        """The database, for writing."""
        ...

    @property
    def blobs(self) -> BlobStore:
        """The bytes of files."""
        ...

    @property
    def logs(self) -> LogStore:
        """The lines of jobs."""
        ...

    def moment(self) -> contextlib.AbstractAsyncContextManager[Moment]:
        """Give a transaction for executions; all that follows is done before it commits."""
        ...


Repair = Callable[[Workshop], Awaitable[None]]
"""Puts one finding right; what has changed since it was found is looked at again first."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that must not be: which invariant, of what, in one line with the remedy."""

    invariant: str
    subject: str
    detail: str
    repair: Repair | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes two findings the same."""
        return self.invariant, self.subject, self.detail


class Stores:
    """A workshop over the stores of a platform."""

    def __init__(
        self,
        database: Database,
        blobs: BlobStore,
        logs: LogStore,
        *,
        now_ms: Callable[[], int],
        randomness: Callable[[int], bytes],
        authenticator: Authenticator,
    ) -> None:
        self.database = database
        self.blobs = blobs
        self.logs = logs
        self._now_ms = now_ms
        self._randomness = randomness
        self._authenticator = authenticator

    @contextlib.asynccontextmanager
    async def moment(self) -> AsyncIterator[Moment]:
        """Give a transaction for executions; all that follows is done before it commits."""
        async with self.database.transaction() as tx:
            moment = Moment(
                tx,
                now_ms=self._now_ms(),
                randomness=self._randomness,
                authenticator=self._authenticator,
                logs=self.logs,
            )
            async with waking.following(moment):
                yield moment
