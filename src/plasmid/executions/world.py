"""What the logic of executions is given: a transaction, the time and randomness, never taken."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Final

import structlog

from plasmid.auth.tokens import Authenticator
from plasmid.domain import ids
from plasmid.domain.assignments import LogEntry
from plasmid.logs import topics
from plasmid.logs.store import LogStore, NoLogSpaceError
from plasmid.metadata.database import Transaction
from plasmid.metadata.rows import JobRow

_log: Final = structlog.get_logger()


class Moment:
    """One transaction at one time: every change of executions happens in one.

    `to_wake` names jobs that ended and objects that closed; `waking` looks at who waits for them.
    """

    def __init__(
        self,
        tx: Transaction,
        *,
        now_ms: int,
        randomness: Callable[[int], bytes],
        authenticator: Authenticator,
        logs: LogStore,
    ) -> None:
        self.tx = tx
        self.now_ms = now_ms
        self.randomness = randomness
        self.authenticator = authenticator
        self._logs = logs
        self.to_wake: list[str] = []

    def say(self, row: JobRow, text: str) -> None:
        """Put a line of the platform's into the log of a job that no worker will ever have.

        That is done after the commit; a crash between the two, or a full disk, loses the line.
        """
        entry = LogEntry(self.now_ms, "SYSTEM", "INFO", text)
        logs = self._logs

        async def keep() -> None:
            with contextlib.suppress(NoLogSpaceError):
                await logs.append(row.id, row.attempt, entries=[entry], cursors={})

        self.tx.following.append(keep)
        self.tx.notify(topics.log(row.id))

    def log(self, event: str, **told: str | int | None) -> None:
        """Put a line into the platform's own log, once it is true: after the commit."""

        async def write() -> None:
            _log.info(event, **told)

        self.tx.following.append(write)

    def mint(self, class_name: str) -> str:
        """Return a new id."""
        return ids.mint(class_name, self.randomness(15))
