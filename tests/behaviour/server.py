"""The server that the cases are called on: one of our own, or any other by its URL.

Where a case needs a job that has run, its own server's jobs end as the case says (a platform in
memory behind a real port, tests/worlds.py). Another server has to run them: their code does by
itself what the case says, so it needs an image of Ubuntu 24.04.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Coroutine, Iterator
from typing import Any, Protocol, Self

import httpx2
import uvicorn

from plasmid.api.http_protocol import HttpProtocol
from plasmid.cli.server import bind, url_of
from plasmid.domain.placement import Machine
from tests.worlds import ALICE, BOB, GIB, World

DEADLINE_SECONDS = 180.0
LOOK_SECONDS = 0.5


class Server(Protocol):
    """What the steps need of a server."""

    url: str
    tokens: dict[str, str]

    def end(self, job: str, output: dict[str, Any] | None, failure: dict[str, str] | None) -> None:
        """Wait until a job is over, with this output or failure."""

    def over(self, execution: str) -> None:
        """Wait until a job or an analysis that was told to end has done so."""

    def begin(self, job: str) -> str:
        """Wait until a job runs; return its token."""


class Given:
    """A server that somebody else runs."""

    def __init__(self, url: str, token: str, second_token: str) -> None:
        self.url = url
        self.tokens = {"owner": token, "second": second_token}

    def end(self, job: str, output: dict[str, Any] | None, failure: dict[str, str] | None) -> None:
        """Wait until its own code has ended it."""
        self.over(job)

    def over(self, execution: str) -> None:
        """Wait until it is: what runs has to be stopped first."""
        self._until(execution, lambda found: found["state"] in ("done", "failed", "terminated"))

    def begin(self, job: str) -> str:
        """Wait until its code has published the token that it runs with."""
        found = self._until(job, lambda found: "token" in found["properties"])
        return str(found["properties"]["token"])

    def _until(self, job: str, is_so: Any) -> dict[str, Any]:
        headers = {"authorization": f"Bearer {self.tokens['owner']}"}
        deadline = time.monotonic() + DEADLINE_SECONDS
        answer: dict[str, Any] = {"state": "unknown"}
        while time.monotonic() < deadline:
            answer = httpx2.post(f"{self.url}/{job}/describe", json={}, headers=headers).json()
            if is_so(answer):
                return answer
            threading.Event().wait(LOOK_SECONDS)
        raise AssertionError(f"{job} is {answer['state']} after {DEADLINE_SECONDS:.0f} s")


class _Quiet(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Own:
    """A platform in memory, served from a thread; its clock goes on by 1 ms with each call."""

    def __init__(self) -> None:
        self.tokens = {"owner": ALICE, "second": BOB}
        self.url = ""
        self.world: World  # made in its own thread, which its database belongs to
        self._loop = asyncio.new_event_loop()
        self._server: uvicorn.Server | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(60), "the server did not start"
        return self

    def __exit__(self, *failure: object) -> None:
        assert self._server is not None
        self._server.should_exit = True
        self._thread.join(60)

    def end(self, job: str, output: dict[str, Any] | None, failure: dict[str, str] | None) -> None:
        """Let the job end so, at once."""
        if failure is None:
            self._do(self.world.finish(job, output))
        else:
            self._do(self.world.fail(job, failure["type"], failure["message"]))

    def over(self, execution: str) -> None:
        """Nothing runs here, so nothing has to be stopped: it is over already."""

    def begin(self, job: str) -> str:
        """Lease the job to the one worker, which does nothing; return the token."""
        self._do(self.world.lease(job))
        return self.world.token_of(job)

    def _do(self, work: Coroutine[Any, Any, Any]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._run())
        finally:
            self._loop.close()

    async def _run(self) -> None:
        self.world = World()
        self.world.dispatcher.machine = Machine(GIB << 20, 1 << 20)
        await self.world.set_up()
        listener = bind("127.0.0.1", 0)
        self.url = url_of(listener)
        self.world.platform.own_url = self.url
        self._server = _Quiet(
            uvicorn.Config(
                self._app,
                interface="asgi3",
                log_level="warning",
                access_log=False,
                lifespan="off",
                http=HttpProtocol,
            )
        )
        self._ready.set()
        try:
            await self._server.serve(sockets=[listener])
        finally:
            await self.world.http.aclose()
            self.world.database.close()
            _close(listener)

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        self.world.clock.advance(1)
        await self.world.app(scope, receive, send)


def _close(listener: socket.socket) -> None:
    with contextlib.suppress(OSError):
        listener.close()


def from_environment() -> Server | None:
    """Return the server that `just behaviour` names, or None."""
    said = os.environ.get("BEHAVIOUR_SERVER")
    return Given(**json.loads(said)) if said else None
