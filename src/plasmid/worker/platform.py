"""What a worker says to the platform, as typed calls (domain/assignments.py has the forms)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from plasmid.client import api
from plasmid.domain import assignments, errors

T = TypeVar("T")

# The answers that say: this try is no longer this worker's.
_LOST_ERRORS: Final = (errors.InvalidState, errors.ResourceNotFound)


class _Batch(msgspec.Struct):
    """assignments.LogBatch without its lines."""

    worker: str
    attempt: int
    cursors: dict[str, int]
    since: dict[str, int] | None


class RevokedError(Exception):
    """The try is no longer this worker's: kill it and remove it."""


class Platform:
    """The platform as one worker sees it."""

    def __init__(self, client: api.ApiClient, worker: str) -> None:
        self._client = client
        self._worker = worker

    async def sync(
        self,
        holding: list[assignments.HeldTry],
        wait_ms: int,
        *,
        ssh: list[assignments.SshAccess] | None = None,
    ) -> assignments.SyncReply:
        """Return what to start and to stop, and what is new to who knows of the logins `ssh`.

        Waits for news up to `wait_ms`.
        """
        return await self._client.ask(
            "/internal/worker/sync",
            assignments.SyncRequest(self._worker, holding, wait_ms, ssh or []),
            assignments.SyncReply,
            retry=api.NO_RETRY,
            answer_seconds_max=wait_ms / 1000 + 10,
        )

    async def add_log(
        self,
        held: assignments.HeldTry,
        lines: Sequence[bytes],
        cursors: dict[str, int],
        *,
        since: dict[str, int] | None = None,
    ) -> None:
        """Append lines to a try's log; once only, since the outcome of a failure is unknown.

        They are in pieces, and as `LogBatch.lines` has them. With `since`, the cursors before
        them, the platform refuses them where they do not fit.
        """
        head = msgspec.json.encode(_Batch(self._worker, held.attempt, cursors, since))
        body = b"".join([head, b"\n", *lines])
        await self._ask(f"/internal/{held.job}/log", body, assignments.Acknowledged)

    async def log_cursors(self, held: assignments.HeldTry) -> dict[str, int]:
        """Return how far each source of a try's log has been kept."""
        answer = await self._ask(
            f"/internal/{held.job}/logCursors",
            {"worker": self._worker, "attempt": held.attempt},
            assignments.LogCursors,
        )
        return answer.cursors

    async def finish(self, held: assignments.HeldTry, finished: assignments.Finished) -> None:
        """Report how a try ended."""
        await self._ask(f"/internal/{held.job}/finished", finished, assignments.Acknowledged)

    async def hold(self, held: assignments.HeldTry, failed: assignments.Finished) -> None:
        """Report how a try has failed whose sandbox is held for debugging."""
        await self._ask(f"/internal/{held.job}/held", failed, assignments.Acknowledged)

    async def tell_doors(
        self,
        held: assignments.HeldTry,
        *,
        ssh_host: str = "",
        ssh_port: int = 0,
        ssh_host_key: str = "",
        app_socket: str = "",
        ssh_closed: bool = False,
    ) -> None:
        """Report where a try can be reached; what is empty stays as it was told before."""
        doors = assignments.Doors(
            self._worker,
            held.attempt,
            ssh_host,
            ssh_port,
            ssh_host_key,
            app_socket,
            ssh_closed,
        )
        await self._ask(f"/internal/{held.job}/doors", doors, assignments.Acknowledged)

    async def download(
        self, file_id: str, target: Path, *, token: str, workspace: str | None
    ) -> int:
        """Write a file's content to a path with a job's token; return its size.

        The copy in the job's workspace is asked for first, as the unmodified client does.
        """
        try:
            return await self._client.download(file_id, target, token=token, project=workspace)
        except errors.ResourceNotFound:
            return await self._client.download(file_id, target, token=token)

    async def may_download(self, file_id: str, *, token: str, workspace: str | None) -> None:
        """Return if a job's token may download a file, and raise ApiError if it may not."""
        body = {"preauthenticated": False}
        with_project = body | ({"project": workspace} if workspace else {})
        try:
            await self._client.call(f"/{file_id}/download", with_project, token=token)
        except errors.ResourceNotFound:
            await self._client.call(f"/{file_id}/download", body, token=token)

    async def _ask(self, route: str, body: object, answer_type: type[T]) -> T:
        try:
            return await self._client.ask(route, body, answer_type, retry=api.NO_RETRY)
        except _LOST_ERRORS as error:
            raise RevokedError(error.message) from error
