"""A platform in memory: the routes that workers and the client inside of jobs call."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from plasmid.domain import assignments, errors
from plasmid.logs import store

_decode_lines = msgspec.json.Decoder(assignments.LogEntry).decode_lines
WORKER_TOKEN = "worker-token"
JOB = "job-BBBBBBBBBBBBBBBBBBBBBBB1"
HELD = assignments.HeldTry(JOB, 0)


class FakePlatform:
    """What was said to it is in its attributes; `broken` makes calls fail."""

    def __init__(self) -> None:
        self.to_start: list[assignments.Assignment] = []
        self.to_stop: list[assignments.HeldTry] = []
        self.held: list[assignments.HeldTry] = []
        self.syncs = 0
        self.is_stopping = False
        self.ssh: list[assignments.SshAccess] = []
        self.ssh_known: list[assignments.SshAccess] = []
        self.doors: dict[str, assignments.Doors] = {}
        self.lines: dict[str, list[assignments.LogEntry]] = defaultdict(list)
        self.cursors: dict[str, dict[str, int]] = defaultdict(dict)
        self.finished: dict[str, assignments.Finished] = {}
        self.reports_of_holds: dict[str, assignments.Finished] = {}
        self.files: dict[str, tuple[str, bytes]] = {}
        self.descriptions: dict[str, dict[str, Any]] = {}
        self.api_calls: list[tuple[str, dict[str, Any]]] = []
        self.revoked: set[str] = set()
        # Called with the route before and after a call takes effect; may raise.
        self.before: Callable[[str], None] = lambda _: None
        self.after: Callable[[str], None] = lambda _: None
        self.news = asyncio.Condition()
        self.app = Starlette(
            routes=[
                Route("/download/{file_id}", self._bytes, methods=["GET"]),
                Route("/{target:path}", self._call, methods=["POST"]),
            ]
        )

    async def assign(self, *given: assignments.Assignment) -> None:
        for assignment in given:
            description = assignment.job_description
            self.descriptions[assignment.job] = {"id": assignment.job, **description}
            executable = assignment.executable_description
            self.descriptions[str(executable.get("id"))] = executable
        self.to_start += given
        await self._tell()

    async def stop(self, *held: assignments.HeldTry) -> None:
        self.to_stop += held
        await self._tell()

    async def until(self, condition: Callable[[], bool], seconds: float = 120) -> None:
        """Wait until something said to the platform makes a condition true."""
        async with asyncio.timeout(seconds), self.news:
            await self.news.wait_for(condition)

    def messages(self, job: str, *levels: str) -> list[str]:
        return [line.msg for line in self.lines[job] if not levels or line.level in levels]

    async def _tell(self) -> None:
        async with self.news:
            self.news.notify_all()

    async def _call(self, request: Request) -> Response:
        route = "/" + request.path_params["target"]
        body = await request.body()
        try:
            self.before(route)
            answer = await self._answer(route, body)
            self.after(route)
        except errors.ApiError as error:
            content = {"error": {"type": error.type, "message": error.message}}
            return Response(msgspec.json.encode(content), error.status)
        finally:
            await self._tell()
        return Response(msgspec.json.encode(answer), media_type="application/json")

    async def _answer(self, route: str, body: bytes) -> Any:
        _, target, *rest = route.split("/")
        if target == "internal":
            job, verb = rest
            if job in self.revoked:
                raise errors.InvalidState("The try is no longer yours")
            match verb:
                case "sync":
                    return await self._sync(msgspec.json.decode(body, type=assignments.SyncRequest))
                case "log":
                    head, _, lines = body.partition(b"\n")
                    batch = msgspec.json.decode(head, type=assignments.LogBatch)
                    batch.entries += _decode_lines(lines)
                    return self._log(job, batch)
                case "logCursors":
                    return assignments.LogCursors(self.cursors[job])
                case "doors":
                    self.doors[job] = msgspec.json.decode(body, type=assignments.Doors)
                case "held":
                    report = msgspec.json.decode(body, type=assignments.Finished)
                    self.reports_of_holds[job] = report
                case _:
                    self.finished[job] = msgspec.json.decode(body, type=assignments.Finished)
            return assignments.Acknowledged(job)
        given = msgspec.json.decode(body) if body else {}
        self.api_calls.append((route, given))
        return self._api(target, rest[0], given)

    def _api(self, target: str, verb: str, given: dict[str, Any]) -> Any:
        if target in self.files:
            name, content = self.files[target]
            if verb == "download":
                return {"url": f"http://127.0.0.1:8124/download/{target}", "headers": {}}
            return {"id": target, "class": "file", "name": name, "size": len(content)}
        if target in self.descriptions and verb == "describe":
            return self.descriptions[target]
        raise errors.ResourceNotFound(f"The entity {target} could not be found")

    async def _sync(self, asked: assignments.SyncRequest) -> assignments.SyncReply:
        self.held = asked.holding
        self.ssh_known = asked.ssh
        self.syncs += 1
        try:
            async with asyncio.timeout(asked.wait_ms / 1000), self.news:
                self.news.notify_all()
                await self.news.wait_for(
                    lambda: self.to_start or self.to_stop or self.ssh != asked.ssh
                )
        except TimeoutError:
            pass
        ssh = None if self.ssh == asked.ssh else self.ssh
        reply = assignments.SyncReply(self.to_start, self.to_stop, self.is_stopping, ssh)
        self.to_start, self.to_stop = [], []
        return reply

    def _log(self, job: str, batch: assignments.LogBatch) -> assignments.Acknowledged:
        try:
            store.require_place(job, 0, kept=self.cursors[job], since=batch.since)
        except store.OutOfPlaceError as error:
            raise errors.InvalidInput(str(error)) from error
        self.lines[job] += batch.entries
        self.cursors[job] = dict(batch.cursors)
        return assignments.Acknowledged(job)

    async def _bytes(self, request: Request) -> Response:
        content = self.files[request.path_params["file_id"]][1]
        wanted = request.headers.get("range")
        if wanted is None:
            return Response(content)
        start = int(wanted.removeprefix("bytes=").partition("-")[0])
        return Response(content[start:], 206)


def an_assignment(
    code: str = "",
    *,
    job: str = JOB,
    interpreter: str = "bash",
    function: str = "main",
    input: dict[str, Any] | None = None,
    input_files: dict[str, str] | None = None,
    input_spec: Iterable[dict[str, Any]] = (),
    network: Iterable[str] = (),
    bundled_depends: Iterable[dict[str, Any]] = (),
    exec_depends: Iterable[dict[str, Any]] = (),
    timeout_ms: int = 60_000,
    memory_bytes: int = 512 * 1024 * 1024,
) -> assignments.Assignment:
    """Return what a worker is given for one job."""
    applet = "applet-BBBBBBBBBBBBBBBBBBBBBBB1"
    given = input or {}
    return assignments.Assignment(
        job=job,
        attempt=0,
        token=f"token-of-{job}",
        function=function,
        interpreter=interpreter,
        code=code,
        distribution="Ubuntu",
        release="20.04",
        version="0",
        environment={},
        job_description={
            "id": job,
            "class": "job",
            "name": "test",
            "function": function,
            "input": given,
            "applet": applet,
            "executable": applet,
            "workspace": "container-BBBBBBBBBBBBBBBBBBBBBBB1",
            "project": "project-BBBBBBBBBBBBBBBBBBBBBBB1",
        },
        executable_description={
            "id": applet,
            "class": "applet",
            "name": "test",
            "inputSpec": list(input_spec),
            "runSpec": {"release": "20.04"},
        },
        input=given,
        input_files=input_files or {},
        bundled_depends=list(bundled_depends),
        exec_depends=list(exec_depends),
        network=list(network),
        resources=assignments.Resources(memory_bytes, 1, 1 << 30),
        timeout_ms=timeout_ms,
    )
