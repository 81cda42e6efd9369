"""The one fixture to know: a whole platform in memory, driven through its real HTTP door.

`world.call(route, body, as_=token)` goes through the ASGI application, so headers, statuses and
the forms of errors are part of every test. Builders (`a_project`, `a_closed_file`, `a_job`, ...)
do what a client would do. When a test ends, `audit` checks what must be true of any platform.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import logging
import random
import re
from collections.abc import AsyncIterator
from typing import Any, Final

import httpx2
import msgspec
import pytest
import structlog

from plasmid.api import asgi
from plasmid.auth import tokens
from plasmid.backends.local import LocalBackend
from plasmid.blobs.memory import MemoryStore
from plasmid.dispatcher import collect, expire, outlived, place, release, revoke
from plasmid.dispatcher.world import World as DispatcherWorld
from plasmid.domain import errors, job_states
from plasmid.domain.access import Actor, Level
from plasmid.domain.job_states import State
from plasmid.domain.placement import Machine
from plasmid.integrity import checking
from plasmid.integrity.finding import Stores
from plasmid.logs.memory import MemoryLogs
from plasmid.metadata import jobs, projects, schema
from plasmid.metadata.database import Database, Prepared
from plasmid.metadata.rows import JobRow, UserRow
from plasmid.methods import built_in_apps, everything
from plasmid.methods.call import Platform

URL: Final = "http://platform.test"
START_MS: Final = 1_800_000_000_000
USERS: Final = ("alice", "bob", "eve")
ALICE: Final = "token-of-alice"
BOB: Final = "token-of-bob"
EVE: Final = "token-of-eve"
WORKER: Final = "token-of-the-worker"
OPERATOR: Final = "token-of-the-operator"
WORKER_NAME: Final = "local"
GIB: Final = 1 << 30
RUN_SPEC: Final[dict[str, Any]] = {
    "interpreter": "bash",
    "code": "main() { true; }",
    "distribution": "Ubuntu",
    "release": "24.04",
    "version": "0",
}
# Refusals are expected here: their stories would hide what a failing test has to say.
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
_JOBS: Final = Prepared(schema.jobs.select())
_REQUEST_ID: Final = re.compile(r"\d{13}-\d{1,6}")


class Clock:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now_ms = START_MS

    def __call__(self) -> int:
        return self.now_ms

    def advance(self, milliseconds: int) -> int:
        """Go on and return the new time."""
        self.now_ms += milliseconds
        return self.now_ms


class Refusal(msgspec.Struct, frozen=True):
    """How a call was refused."""

    type: str
    message: str
    status: int
    headers: dict[str, str]
    details: Any = None


class World:
    """A platform, its users, its one worker, and the means to drive them."""

    def __init__(self, *, seed: int = 1, database: Database | None = None) -> None:
        everything.declare()
        self.clock = Clock()
        self.blobs = MemoryStore()
        self.logs = MemoryLogs()
        self.database = database or Database(None)
        self.platform = Platform(
            database=self.database,
            blobs=self.blobs,
            logs=self.logs,
            backend=LocalBackend(),
            signing_key=b"k" * 32,
            now_ms=self.clock,
            randomness=random.Random(seed).randbytes,
        )
        self.dispatcher = DispatcherWorld(
            database=self.database,
            blobs=self.blobs,
            logs=self.logs,
            backend=self.platform.backend,
            changes=self.platform.changes,
            authenticator=self.platform.authenticator,
            machine=Machine(64 * GIB, 16),
            randomness=self.platform.randomness,
            started_ms=START_MS,
        )
        self.app = asgi.make_app(self.platform)
        self.http = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=self.app, client=("192.0.2.7", 4711)), base_url=URL
        )
        self.held: set[tuple[str, int]] = set()
        self.assignments: dict[str, dict[str, Any]] = {}

    async def set_up(self) -> None:
        """Add the users and the tokens."""
        async with self.database.transaction() as tx:
            for name in USERS:
                user = f"user-{name}"
                await tx.add(
                    UserRow(
                        id=user,
                        handle=name,
                        first=name.title(),
                        last="Test",
                        email=f"{name}@example.com",
                        bill_to=user,
                        ssh_public_key=None,
                        created_ms=START_MS,
                    )
                )
        for name in USERS:
            await self.add_token(f"token-of-{name}", Actor(user=f"user-{name}"))
        await self.add_token(WORKER, Actor(worker=WORKER_NAME))
        await self.add_token(OPERATOR, Actor(user="user-alice", is_operator=True))
        async with self.database.transaction() as tx:
            some = built_in_apps.CATALOGUE  # all of them take their time
            await built_in_apps.seed(tx, "user-alice", START_MS, wanted=some)

    async def add_token(self, token: str, actor: Actor, expires_ms: int | None = None) -> str:
        """Let a token stand for an actor; return the token."""
        async with self.database.transaction() as tx:
            await tokens.add(
                tx, token, actor, now_ms=self.clock.now_ms, expires_ms=expires_ms, label="test"
            )
        self.platform.authenticator.forget()
        return token

    # ------------------------------------------------------------------------------- calling

    async def answer(
        self,
        route: str,
        body: Any = None,
        *,
        as_: str | None = ALICE,
        headers: dict[str, str] | None = None,
        content: bytes | None = None,
    ) -> httpx2.Response:
        """Post a call and return the whole answer, whose form is that of every answer (A.4)."""
        sent = {"content-type": "application/json", **(headers or {})}
        if as_ is not None:
            sent.setdefault("authorization", f"Bearer {as_}")
        if content is None:
            content = msgspec.json.encode({} if body is None else body)
        response = await self.http.post(route, content=content, headers=sent)
        assert _REQUEST_ID.fullmatch(response.headers["x-request-id"])
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["content-type"].startswith("application/json")
        assert int(response.headers["content-length"]) == len(response.content)
        return response

    async def call(self, route: str, body: Any = None, *, as_: str | None = ALICE) -> Any:
        """Make a call that must succeed and return its answer."""
        response = await self.answer(route, body, as_=as_)
        assert response.status_code == 200, f"{route}: {response.text}"
        return response.json()

    async def refused(self, route: str, body: Any = None, *, as_: str | None = ALICE) -> Refusal:
        """Make a call that must be refused, and not by a bug; return how."""
        response = await self.answer(route, body, as_=as_)
        assert response.status_code != 200, f"{route} was not refused: {response.text}"
        error = response.json()["error"]
        kind = getattr(errors, error["type"])
        assert issubclass(kind, errors.ApiError)
        assert response.status_code == kind.status
        assert error["type"] != "InternalError", f"{route}: {response.text}"
        return Refusal(
            type=error["type"],
            message=error["message"],
            status=response.status_code,
            headers=dict(response.headers),
            details=error.get("details"),
        )

    # ------------------------------------------------------------------------------ building

    async def new(self, route: str, body: dict[str, Any], *, as_: str = ALICE) -> str:
        """Make something whose constructor answers exactly with its id."""
        answer = await self.call(route, body, as_=as_)
        assert list(answer) == ["id"]
        return str(answer["id"])

    async def a_project(self, *, as_: str = ALICE, **body: Any) -> str:
        """Make a project."""
        return await self.new("/project/new", {"name": "a project", **body}, as_=as_)

    async def a_member(self, project: str, level: str, *, user: str = "user-bob") -> None:
        """Give a user a level on one of alice's projects."""
        await self.call(f"/{project}/invite", {"invitee": user, "level": level})

    async def a_record(self, project: str, *, as_: str = ALICE, **body: Any) -> str:
        """Make a record, open unless `close` is given."""
        return await self.new("/record/new", {"project": project, **body}, as_=as_)

    async def many_records(self, project: str, count: int) -> list[str]:
        """Make many closed records at once, behind the back of the platform."""
        numbers = (
            "WITH RECURSIVE n(value) AS"
            f" (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < {count})"
        )
        made = "printf('record-%024d', value)"
        await self.rows(
            f"INSERT INTO objects {numbers} SELECT {made}, 'record', 'closed', 0, '[]', '{{}}',"
            " '[]', 0, 'user-alice', NULL, NULL, NULL, NULL, '{}' FROM n"
        )
        await self.rows(
            f"INSERT INTO placements {numbers} SELECT '{project}', {made}, '/', 'many', '[]',"
            " '{}', 0, NULL, NULL FROM n"
        )
        return [f"record-{number:024d}" for number in range(1, count + 1)]

    async def an_open_file(self, project: str, *, as_: str = ALICE, **body: Any) -> str:
        """Make a file and leave it open."""
        return await self.new("/file/new", {"project": project, **body}, as_=as_)

    async def put_part(
        self, file: str, content: bytes, *, index: int = 1, as_: str = ALICE
    ) -> httpx2.Response:
        """Upload one part as the client does: ask for a URL, put the bytes without a token."""
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        asked = {"index": index, "size": len(content), "md5": md5}
        place = await self.call(f"/{file}/upload", asked, as_=as_)
        return await self.http.put(place["url"], content=content, headers=place["headers"])

    async def a_closed_file(
        self, project: str, content: bytes = b"hello", *, as_: str = ALICE, **body: Any
    ) -> str:
        """Make a file, upload its bytes and close it."""
        file = await self.an_open_file(project, as_=as_, **body)
        response = await self.put_part(file, content, as_=as_)
        assert response.status_code == 200, response.text
        await self.call(f"/{file}/close", as_=as_)
        return file

    async def read(self, file: str, *, as_: str = ALICE, **body: Any) -> bytes:
        """Download a file as the client does."""
        place = await self.call(f"/{file}/download", body, as_=as_)
        response = await self.http.get(place["url"], headers=place["headers"])
        assert response.status_code == 200, response.text
        return bytes(response.content)

    async def an_applet(self, project: str, *, as_: str = ALICE, **body: Any) -> str:
        """Make an applet; what `runSpec` gives is added to a small bash one."""
        run_spec = {**RUN_SPEC, **body.pop("runSpec", {})}
        given = {"project": project, "name": "an applet", "runSpec": run_spec, **body}
        return await self.new("/applet/new", given, as_=as_)

    async def a_workflow(
        self, project: str, *stages: dict[str, Any], as_: str = ALICE, **body: Any
    ) -> str:
        """Make a workflow of some stages, open."""
        given = {"project": project, "name": "a workflow", "stages": list(stages), **body}
        return str((await self.call("/workflow/new", given, as_=as_))["id"])

    async def an_app(self, applet: str, *, as_: str = ALICE, **body: Any) -> str:
        """Make a version of an app from an applet; `users` and `publish` open it to others."""
        users, is_published = body.pop("users", []), body.pop("publish", False)
        given = {"applet": applet, "name": "an_app", "version": "1.0.0", **body}
        app = await self.new("/app/new", given, as_=as_)
        if users:
            await self.call(f"/{app}/addAuthorizedUsers", {"authorizedUsers": users}, as_=as_)
        if is_published:
            await self.call(f"/{app}/publish", as_=as_)
        return app

    async def a_job(
        self,
        applet: str,
        input: dict[str, Any] | None = None,
        *,
        as_: str = ALICE,
        project: str | None = None,
        **body: Any,
    ) -> str:
        """Run an applet, in its own project unless another is given."""
        if project is None:
            project = (await self.call(f"/{applet}/describe", as_=as_))["project"]
        given = {"project": project, "input": input or {}, **body}
        return await self.new(f"/{applet}/run", given, as_=as_)

    async def a_subjob(
        self, parent: str, function: str = "work", input: dict[str, Any] | None = None, **body: Any
    ) -> str:
        """Start a sub-job with the token of a running job."""
        given = {"function": function, "input": input or {}, **body}
        return await self.new("/job/new", given, as_=self.token_of(parent))

    async def describe(self, entity: str, *, as_: str = ALICE, **body: Any) -> dict[str, Any]:
        """Describe anything."""
        answer = await self.call(f"/{entity}/describe", body, as_=as_)
        assert isinstance(answer, dict)
        return answer

    async def state(self, job: str) -> str:
        """Return a job's state, whoever may see it."""
        return (await self.job_row(job)).state

    async def job_row(self, job: str) -> JobRow:
        """Return a job's row."""
        row = await jobs.find_job(self.database.reader, job)
        assert row is not None
        return row

    # ------------------------------------------------------------------- dispatcher and worker

    async def sync(self, *, as_: str = WORKER, worker: str = WORKER_NAME) -> dict[str, Any]:
        """Let the worker say which tries it holds; it takes what it is given to start."""
        holding = [{"job": job, "attempt": attempt} for job, attempt in sorted(self.held)]
        body = {"worker": worker, "holding": holding, "wait_ms": 0}
        reply = await self.call("/internal/worker/sync", body, as_=as_)
        for assignment in reply["start"]:
            self.held.add((assignment["job"], assignment["attempt"]))
            self.assignments[assignment["job"]] = assignment
        assert isinstance(reply, dict)
        return reply

    async def place(self) -> int:
        """Let the dispatcher place what fits; return how many jobs it placed."""
        return (await place.tick(self.clock.now_ms, self.dispatcher)).count

    async def expire(self) -> int:
        """Let the dispatcher take jobs from silent workers; return how many."""
        return (await expire.tick(self.clock.now_ms, self.dispatcher)).count

    async def release(self) -> int:
        """Let the dispatcher end the holds that are over; return how many."""
        return (await release.tick(self.clock.now_ms, self.dispatcher)).count

    async def hold(self, job: str, reason: str = "AppInternalError", message: str = "odd") -> str:
        """Lease a job if it is not, let its try fail and be held, and return its state."""
        if (await self.state(job)) == State.RUNNABLE:
            await self.lease(job)
        body = {
            "worker": WORKER_NAME,
            "attempt": self.assignments[job]["attempt"],
            "failure_reason": reason,
            "failure_message": message,
        }
        await self.call(f"/internal/{job}/held", body, as_=WORKER)
        return await self.state(job)

    async def remove_outlived(self) -> int:
        """Let the dispatcher remove the containers whose time has come; return how many."""
        return (await outlived.tick(self.clock.now_ms, self.dispatcher)).count

    async def collect(self) -> int:
        """Let the dispatcher remove what nothing refers to; return how many parts went."""
        return (await collect.tick(self.clock.now_ms, self.dispatcher)).count

    async def lease(self, job: str) -> dict[str, Any]:
        """Bring a runnable job to the worker; return its assignment."""
        await self.sync()
        await self.place()
        await self.sync()
        attempt = (await self.job_row(job)).attempt
        assert (job, attempt) in self.held, f"{job} was not leased: it is {await self.state(job)}"
        return self.assignments[job]

    async def revoke(self) -> int:
        """Let the dispatcher end the tokens whose time is over; return how many."""
        return (await revoke.tick(self.clock.now_ms, self.dispatcher)).count

    def token_of(self, job: str) -> str:
        """Return the token of a job's latest try."""
        return str(self.assignments[job]["token"])

    async def report(self, job: str, **how: Any) -> dict[str, Any]:
        """Report the end of a try as its worker."""
        attempt = how.pop("attempt", None)
        if attempt is None:
            attempt = self.assignments[job]["attempt"]
        body = {"worker": WORKER_NAME, "attempt": attempt, **how}
        answer = await self.call(f"/internal/{job}/finished", body, as_=WORKER)
        self.held.discard((job, attempt))
        assert isinstance(answer, dict)
        return answer

    async def finish(self, job: str, output: dict[str, Any] | None = None) -> str:
        """Lease a job if it is not, let it end well, and return its state."""
        if (await self.state(job)) == State.RUNNABLE:
            await self.lease(job)
        await self.report(job, output=output or {})
        return await self.state(job)

    async def fail(self, job: str, reason: str = "AppError", message: str = "it broke") -> str:
        """Lease a job if it is not, let its try fail, and return its state."""
        if (await self.state(job)) == State.RUNNABLE:
            await self.lease(job)
        await self.report(job, failure_reason=reason, failure_message=message)
        return await self.state(job)

    async def log(self, job: str, *lines: str, level: str = "STDOUT", cursor: int = 0) -> None:
        """Send a batch of lines as the worker."""
        entries = [
            {"timestamp": self.clock.now_ms, "source": "DX_APP_STREAM", "level": level, "msg": line}
            for line in lines
        ]
        attempt = self.assignments[job]["attempt"]
        body = {
            "worker": WORKER_NAME,
            "attempt": attempt,
            "entries": entries,
            "cursors": {"stdout": cursor},
        }
        await self.call(f"/internal/{job}/log", body, as_=WORKER)

    # ----------------------------------------------------------------------------- the audit

    async def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query in SQL."""
        return self.database._writer.execute(statement).fetchall()

    def stored(self) -> checking.Stored:
        """Return what `plasmid fsck` looks at."""
        return checking.Stored(
            picture=lambda: contextlib.nullcontext(self.database.reader),
            blobs=self.blobs,
            logs=self.logs,
            now_ms=self.clock,
        )

    def workshop(self) -> Stores:
        """Return what the repairs of `plasmid fsck` work on."""
        return Stores(
            self.database,
            self.blobs,
            self.logs,
            now_ms=self.clock,
            randomness=self.platform.randomness,
            authenticator=self.platform.authenticator,
        )

    async def audit(self) -> None:
        """Raise AssertionError for whatever must never be."""
        await self._audit_jobs()
        await self._audit_objects()
        await self._audit_blobs()
        found = await checking.find(self.stored())
        assert not found, "\n".join(f"{one.invariant} {one.subject} {one.detail}" for one in found)

    async def _audit_jobs(self) -> None:
        every = await self.database.reader.structs(JobRow, _JOBS)
        moves = {(row.state, row.next) for row in job_states.TRANSITIONS}
        waiting = {row[0] for row in await self.rows("SELECT job FROM waits")}
        with_token = {row[0] for row in await self.rows("SELECT job FROM tokens")} - {None}
        for row in every:
            path = [State.IDLE, *(State(move["newState"]) for move in row.state_transitions)]
            for before, after in itertools.pairwise(path):
                assert (before, after) in moves, f"{row.id} went from {before} to {after}"
            assert path[-1] == row.state, f"{row.id} is {row.state} but moved to {path[-1]}"
            times = [move["setAt"] for move in row.state_transitions]
            assert times == sorted(times), f"the moves of {row.id} are out of order"
            is_waiting = row.state in (State.WAITING_ON_INPUT, State.WAITING_ON_OUTPUT)
            assert (row.id in waiting) == is_waiting, f"waits of {row.id}, which is {row.state}"
            if row.state not in (State.RUNNING, State.DEBUG_HOLD, State.TERMINATING):
                assert row.id not in with_token, f"{row.id} is {row.state} and has a token"
            else:
                assert row.worker is not None, f"{row.id} is {row.state} with no worker"
            await self._audit_workspace(row)

    async def _audit_workspace(self, row: JobRow) -> None:
        """A workspace is there while its tree lives, and gone when all of it is over."""
        tree = await jobs.find_tree(self.database.reader, row.root_execution)
        lives = any(not job_states.is_terminal(member.state) for member in tree)
        kept = any(member.settings.get("delayWorkspaceDestruction") for member in tree)
        found = await projects.find_container(self.database.reader, row.workspace) is not None
        assert found or not lives, f"{row.id} lives without its workspace"
        assert lives or kept or not found, f"the tree of {row.id} is over, its workspace is not"

    async def _audit_objects(self) -> None:
        for what, statement in {
            "a placement without object": (
                "SELECT * FROM placements WHERE object NOT IN (SELECT id FROM objects)"
            ),
            "a placement without container": (
                "SELECT * FROM placements WHERE container NOT IN (SELECT id FROM containers)"
            ),
            "an object that lies nowhere": (
                "SELECT id FROM objects WHERE id NOT IN (SELECT object FROM placements)"
                " AND class_name NOT IN ('app', 'globalworkflow')"
            ),
            "a placement in a folder that is not there": (
                "SELECT * FROM placements p WHERE folder != '/' AND NOT EXISTS (SELECT 1 FROM"
                " folders f WHERE f.container = p.container AND f.path = p.folder)"
            ),
            "an alias of no version": (
                "SELECT * FROM app_aliases WHERE app NOT IN"
                " (SELECT id FROM apps WHERE deleted_ms IS NULL)"
            ),
            "a version of an app that has nothing to run": (
                "SELECT id FROM apps WHERE id NOT IN (SELECT id FROM objects)"
            ),
            "a container of no app": (
                "SELECT id FROM containers WHERE app NOT IN (SELECT id FROM apps)"
            ),
            "a cache without project": (
                "SELECT id FROM containers WHERE kind = 'cache' AND project NOT IN"
                " (SELECT id FROM containers)"
            ),
            "a folder without container": (
                "SELECT * FROM folders WHERE container NOT IN (SELECT id FROM containers)"
            ),
            "a member without container": (
                "SELECT * FROM members WHERE container NOT IN (SELECT id FROM containers)"
            ),
            "links of an object that is gone": (
                "SELECT * FROM links WHERE source NOT IN (SELECT id FROM objects)"
            ),
            "waits of a job that is gone": (
                "SELECT * FROM waits WHERE job NOT IN (SELECT id FROM jobs)"
            ),
        }.items():
            assert await self.rows(statement) == [], what

    async def _audit_blobs(self) -> None:
        """After collection every part has its file, and every blob is a part's."""
        while await self.collect():
            pass
        orphans = "SELECT * FROM parts WHERE object NOT IN (SELECT id FROM objects)"
        assert await self.rows(orphans) == []
        named = {row[0] for row in await self.rows("SELECT blob FROM parts")} - {None}
        assert named == set(self.blobs._blobs), "bytes and parts do not agree"


def level_names() -> list[str]:
    """Return the levels that can be given, lowest first."""
    return [level.name for level in Level if level is not Level.NONE]


@contextlib.asynccontextmanager
async def a_world(*, seed: int = 1) -> AsyncIterator[World]:
    """Give a world for the length of a block, without an audit."""
    made = World(seed=seed)
    await made.set_up()
    try:
        yield made
    finally:
        await made.http.aclose()
        made.database.close()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A platform in memory; the test ends with an audit of it."""
    async with a_world() as made:
        yield made
        await made.audit()
