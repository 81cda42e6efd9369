"""`plasmid logs`: the whole log of a job, or of a tree, from a running server."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final

import httpx2
import msgspec

from plasmid.cli.log_choice import Form, Printer, Wanted
from plasmid.cli.trouble import CommandError
from plasmid.domain import ids, job_states, terminal_text
from plasmid.methods.log_messages import RECENT_MAX

FAILED: Final = 3
NOT_THERE: Final = 2
# How soon a running job is looked at again.
PAUSE_SECONDS: Final = 0.5
# A server that does not answer any more is waited for so long, with --follow.
AWAY_SECONDS_MAX: Final = 600.0
_NEXT: Final = "x-plasmid-next"
_HEAD: Final = b'{"job":'


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line asks for."""

    job: str
    wanted: Wanted
    attempt: int | None = None
    tree: bool = False
    follows: bool = False
    as_json: bool = False
    timestamps: bool = False


class Door(msgspec.Struct, frozen=True):
    """Where a server is, and a token for it."""

    url: str
    token: str


class Job(msgspec.Struct, frozen=True):
    """A job whose log is printed."""

    id: str
    name: str
    state: str
    attempt: int = msgspec.field(name="try")
    root: str = msgspec.field(name="rootExecution")
    parent: str | None = msgspec.field(default=None, name="parentJob")


class _Head(msgspec.Struct, frozen=True):
    """The line before those of a try."""

    job: str
    attempt: int = msgspec.field(name="try")
    line: int


class _Keys(msgspec.Struct):
    """What is needed of bootstrap.Keys, whose module brings the whole server along."""

    user_token: str


class _ServerFile(msgspec.Struct):
    """What is needed of serve.ServerFile."""

    url: str


class CutOffError(Exception):
    """The server does not answer, or has stopped in the middle."""


def find_door(given: Path | None, usual: Path) -> Door:
    """Return the server of a data folder, or of the DX_ variables; raises CommandError."""
    environ = os.environ
    if given is None and environ.get("DX_SECURITY_CONTEXT") and environ.get("DX_APISERVER_HOST"):
        protocol = environ.get("DX_APISERVER_PROTOCOL", "https")
        port = environ.get("DX_APISERVER_PORT", "443")
        try:
            token = msgspec.json.decode(environ["DX_SECURITY_CONTEXT"])["auth_token"]
        except (msgspec.DecodeError, KeyError, TypeError) as error:
            raise CommandError("DX_SECURITY_CONTEXT holds no auth_token", NOT_THERE) from error
        return Door(f"{protocol}://{environ['DX_APISERVER_HOST']}:{port}", str(token))
    data = given or usual
    try:
        keys = msgspec.json.decode((data / "keys.json").read_bytes(), type=_Keys)
        server = msgspec.json.decode((data / "server.json").read_bytes(), type=_ServerFile)
    except OSError as error:
        raise CommandError(
            f"no server runs on the data folder {data}; start one with: plasmid serve", NOT_THERE
        ) from error
    return Door(server.url, keys.user_token)


async def show(
    request: Request,
    find: Callable[[], Door],
    *,
    transport: httpx2.AsyncBaseTransport | None = None,
    pause_seconds: float = PAUSE_SECONDS,
) -> int:
    """Print the log and return the exit code; raises CommandError.

    `find` gives the server, again and again: after a restart it may be another.
    """
    if not ids.is_id(request.job, "job"):
        raise CommandError(
            f"{request.job} is no id of a job: job- and 24 letters or digits", NOT_THERE
        )
    timeout = httpx2.Timeout(30, connect=5)
    async with httpx2.AsyncClient(transport=transport, timeout=timeout, trust_env=False) as http:
        try:
            return await _Logs(request, _Server(http, find), pause_seconds).print_all()
        except BrokenPipeError:
            # who reads has seen enough; the interpreter must not try to write the rest
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0


class _Server:
    """The calls that are needed; each raises CommandError if refused, CutOffError if cut off."""

    def __init__(self, http: httpx2.AsyncClient, door: Callable[[], Door]) -> None:
        self._http = http
        self._doors = door
        self._was_there = False

    def _find_door(self) -> Door:
        try:
            door = self._doors()
        except CommandError as error:
            if self._was_there:  # it is being started again
                raise CutOffError(str(error)) from error
            raise
        self._was_there = True
        return door

    async def describe(self, job: str) -> Job:
        """Return a job as it is now."""
        fields = dict.fromkeys(("id", "name", "state", "try", "rootExecution", "parentJob"), True)
        return msgspec.convert(await self._call(f"/{job}/describe", {"fields": fields}), Job)

    async def tree_of(self, root: str) -> list[Job]:
        """Return the jobs of a tree, oldest first."""
        fields = dict.fromkeys(("id", "name", "state", "try", "rootExecution", "parentJob"), True)
        body: dict[str, Any] = {"class": "job", "rootExecution": root, "limit": 1000}
        body["describe"] = {"fields": fields}
        found: list[Job] = []
        while True:
            page = await self._call("/system/findExecutions", body)
            found += [msgspec.convert(each["describe"], Job) for each in page["results"]]
            if not page.get("next"):
                return found[::-1]
            body["starting"] = page["next"]

    async def _call(self, route: str, body: dict[str, Any]) -> dict[str, Any]:
        door = self._find_door()
        try:
            response = await self._http.post(door.url + route, json=body, headers=_headers(door))
        except httpx2.TransportError as error:
            raise CutOffError(f"{door.url} does not answer") from error
        _require_good(response.status_code, response.content)
        answer: dict[str, Any] = response.json()
        return answer

    @contextlib.asynccontextmanager
    async def log(
        self, job: str, query: dict[str, str]
    ) -> AsyncIterator[tuple[str, AsyncIterator[bytes]]]:
        """Give the cursor of the end and the blocks of a job's log."""
        door = self._find_door()
        url = f"{door.url}/{job}/getLog"
        try:
            async with self._http.stream(
                "GET", url, params=query, headers=_headers(door)
            ) as response:
                if response.status_code != httpx2.codes.OK:
                    _require_good(response.status_code, await response.aread())
                yield response.headers.get(_NEXT, ""), response.aiter_raw()
        except httpx2.TransportError as error:
            raise CutOffError(f"{door.url} does not answer") from error


def _headers(door: Door) -> dict[str, str]:
    return {"Authorization": f"Bearer {door.token}"}


def _require_good(status: int, content: bytes) -> None:
    if status == httpx2.codes.OK:
        return
    if status == httpx2.codes.TOO_MANY_REQUESTS or status >= httpx2.codes.INTERNAL_SERVER_ERROR:
        raise CutOffError(f"the server answers with status {status}")
    try:
        error = msgspec.json.decode(content)["error"]
        said = f"{error['type']}: {error['message']}"
    except (msgspec.DecodeError, KeyError, TypeError):
        said = f"the server answers with status {status}"
    raise CommandError(said, NOT_THERE)


class _Logs:
    """Prints what is not printed yet, of one job or of those of a tree."""

    def __init__(self, request: Request, server: _Server, pause_seconds: float) -> None:
        self._request = request
        self._pause_seconds = pause_seconds
        self._server = server
        form = Form(request.as_json, request.timestamps, sys.stdout.isatty())
        self._printer = Printer(request.wanted, form)
        # the cursor behind what is printed, by job
        self._cursors: dict[str, str] = {}
        self._last: deque[tuple[Job, _Head, bytes]] | None = None
        self._shown: tuple[str, int] | None = None

    async def print_all(self) -> int:
        """Print the log, with --follow to its end; return the exit code."""
        request, is_first, away = self._request, True, 0.0
        if request.wanted.tail is not None:
            self._last = deque(maxlen=request.wanted.tail)
        while True:
            try:
                members = await self._members()
                is_first = False
                for member in members:
                    await self._print(member)
            except CutOffError as error:
                away += self._pause_seconds
                if is_first:
                    raise CommandError(f"{error}; is it running?", NOT_THERE) from error
                if away > AWAY_SECONDS_MAX:
                    raise CommandError(f"{error} any more", NOT_THERE) from error
            else:
                away = 0.0
                self._flush_last()
                is_over = all(job_states.is_terminal(member.state) for member in members)
                if is_over or not request.follows:
                    return self._code(members[0])
            await asyncio.sleep(self._pause_seconds)

    def _code(self, job: Job) -> int:
        has_failed = job.state in (job_states.State.FAILED, job_states.State.TERMINATED)
        return FAILED if self._request.follows and has_failed else 0

    async def _members(self) -> list[Job]:
        """Return the job, and with --tree those below it, nearer ones first."""
        job = await self._server.describe(self._request.job)
        if not self._request.tree:
            return [job]
        others = await self._server.tree_of(job.root)
        found = [job]
        for member in found:
            found += [other for other in others if other.parent == member.id]
        return found

    async def _print(self, job: Job) -> None:
        """Print what is new in the log of a job."""
        request, query = self._request, {}
        if request.attempt is not None:
            query["try"] = str(request.attempt)
        if job.id in self._cursors:
            query["starting"] = self._cursors[job.id]
        elif request.wanted.tail is not None:
            if request.wanted.is_filter or request.wanted.tail > RECENT_MAX:
                query.setdefault("try", str(job.attempt))
            else:
                query["numRecentMessages"] = str(request.wanted.tail)
        async with self._server.log(job.id, query) as (following, blocks):
            await self._print_blocks(job, blocks)
            self._cursors[job.id] = following

    async def _print_blocks(self, job: Job, blocks: AsyncIterator[bytes]) -> None:
        rest: list[bytes] = []
        head = _Head(job.id, 0, 0)
        async for block in blocks:
            cut = block.rfind(b"\n") + 1
            if cut:
                head = self._print_lines(job, head, b"".join((*rest, block[:cut])))
                self._cursors[job.id] = f"{head.attempt}.{head.line}"
                rest.clear()
            rest.append(block[cut:])

    def _print_lines(self, job: Job, head: _Head, data: bytes) -> _Head:
        """Print whole lines, some of which begin a try; return where the next one is."""
        begin = 0
        while begin < len(data):
            end = begin
            if not data.startswith(_HEAD, begin):
                end = data.find(b"\n" + _HEAD, begin) + 1 or len(data)
                lines = data[begin:end]
                self._print_some(job, head, lines)
                head = msgspec.structs.replace(head, line=head.line + lines.count(b"\n"))
            begin = end
            if begin < len(data):
                begin = data.index(b"\n", end) + 1
                head = msgspec.json.decode(data[end:begin], type=_Head)
        return head

    def _print_some(self, job: Job, head: _Head, data: bytes) -> None:
        """Print whole lines of one try."""
        if self._printer.is_plain and self._last is None:
            if text := self._printer.text_of(data):
                _write(b"".join((*(line + b"\n" for line in self._title(job, head)), text)))
            return
        printed = self._printer.printed(data.split(b"\n")[:-1], job.id, head.attempt, head.line)
        if not printed:
            return
        if self._last is not None:
            self._last += ((job, head, line) for line in printed)
        else:
            _write(b"\n".join((*self._title(job, head), *printed)) + b"\n")

    def _title(self, job: Job, head: _Head) -> list[bytes]:
        """Return the line before those of another job or try, if there is one to be printed."""
        if self._request.as_json or self._shown == (job.id, head.attempt):
            return []
        self._shown = (job.id, head.attempt)
        is_one = job.attempt == 0 and not self._request.tree
        if is_one or self._request.attempt is not None:
            return []
        return [f"==> {terminal_text.shown(job.name)} ({job.id}) try {head.attempt} <==".encode()]

    def _flush_last(self) -> None:
        if self._last is not None:
            # only now it is known above which lines there are titles, which count as none
            told: list[bytes] = []
            for job, head, line in self._last:
                told += (*self._title(job, head), line)
            _write(b"".join(line + b"\n" for line in told))
            self._last = None


def _write(text: bytes) -> None:
    if text:
        sys.stdout.buffer.write(text)
        sys.stdout.buffer.flush()
