"""What workers call: leases, logs, reports (reliability I2; contract I.1, F.9)."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from plasmid.domain.access import Actor
from plasmid.domain.assignments import Assignment, LogEntry, SyncReply
from plasmid.logs.store import Lines
from tests.worlds import START_MS, WORKER, WORKER_NAME, World

NOBODY = "job-" + "0" * 24
NOTHING: dict[str, Any] = {"start": [], "stop": [], "is_last": False, "ssh": None}
ENDS: list[dict[str, Any]] = [
    {"output": {}}, {"failure_reason": "AppError", "failure_message": "m"}
]  # fmt: skip


@pytest.fixture
async def applet(world: World) -> str:
    return await world.an_applet(await world.a_project(), name="hello")


async def held_log(world: World, job: str, attempt: int = 0) -> list[str]:
    """Return the lines that are kept of a try."""
    piece = await world.logs.read(job, attempt, offset=0, first_line=0)
    return [entry.msg for entry in piece.entries]


# -------------------------------------------------------------------------------------- sync


async def test_an_assignment_holds_all_that_a_try_needs(world: World) -> None:
    project = await world.a_project()
    bundle = await world.a_closed_file(project, hidden=True)
    file = await world.a_closed_file(project, name="in.txt")
    bundles = [{"name": "b.tar.gz", "id": {"$dnanexus_link": bundle}}]
    applet = await world.an_applet(
        project,
        name="hello",
        access={"network": ["*"]},
        runSpec={
            "code": "main() { echo; }",
            "execDepends": [{"name": "jq"}],
            "bundledDepends": bundles,
            "timeoutPolicy": {"*": {"hours": 1}},
            "systemRequirements": {"*": {"instanceType": "mem1_ssd1_x2"}},
        },
    )
    job = await world.a_job(applet, {"f": {"$dnanexus_link": file}})
    assignment = msgspec.convert(await world.lease(job), Assignment)
    workspace = (await world.describe(job))["workspace"]
    assert (assignment.job, assignment.attempt, assignment.function) == (job, 0, "main")
    assert (assignment.interpreter, assignment.code) == ("bash", "main() { echo; }")
    release = (assignment.distribution, assignment.release, assignment.version)
    assert release == ("Ubuntu", "24.04", "0")
    assert assignment.environment == {
        "DX_JOB_ID": job, "DX_WORKSPACE_ID": workspace, "DX_PROJECT_CONTEXT_ID": project
    }  # fmt: skip
    assert assignment.input == {"f": {"$dnanexus_link": file}}
    assert assignment.input_files == {file: "in.txt"}
    assert assignment.bundled_depends == bundles
    assert assignment.exec_depends == [{"name": "jq"}]
    assert assignment.network == ["*"]
    assert (assignment.resources.cores, assignment.timeout_ms) == (2, 3_600_000)
    described = await world.describe(job)
    same = ("id", "project", "folder", "name", "instanceType", "region", "state")
    assert {key: assignment.job_description[key] for key in same} == {
        key: described[key] for key in same
    }
    assert assignment.executable_description["name"] == "hello"
    assert "code" not in assignment.executable_description["runSpec"]


async def test_an_assignment_that_never_arrived_is_given_again_with_a_new_token(
    world: World, applet: str
) -> None:
    job = await world.a_job(applet)
    first = await world.lease(job)
    world.held.clear()
    second = (await world.sync())["start"][0]
    assert {**first, "token": ""} == {**second, "token": ""}
    assert (await world.refused("/system/whoami", as_=first["token"])).status == 401
    assert await world.call("/system/whoami", as_=second["token"]) == {"id": "user-alice"}


async def test_a_try_that_is_held_is_not_given_again(world: World, applet: str) -> None:
    job = await world.a_job(applet)
    token = (await world.lease(job))["token"]
    for _ in range(3):
        assert await world.sync() == NOTHING
    assert await world.call("/system/whoami", as_=token) == {"id": "user-alice"}


async def test_a_worker_is_told_to_stop_what_was_terminated(world: World, applet: str) -> None:
    job = await world.a_job(applet)
    await world.lease(job)
    await world.call(f"/{job}/terminate")
    for _ in range(2):
        assert (await world.sync())["stop"] == [{"job": job, "attempt": 0}]
    await world.report(job, failure_reason="Terminated", failure_message="stopped")
    assert await world.state(job) == "terminated"
    assert await world.sync() == NOTHING


async def test_a_worker_that_lost_its_folder_ends_what_is_to_stop(
    world: World, applet: str
) -> None:
    """It holds nothing of the try any more, and is told all the same: it has to report."""
    job = await world.a_job(applet)
    await world.lease(job)
    world.held.clear()
    await world.call(f"/{job}/terminate")
    assert (await world.sync())["stop"] == [{"job": job, "attempt": 0}]


@pytest.mark.parametrize("attempt", [0, 7])
async def test_a_worker_drops_what_is_not_its_own(world: World, applet: str, attempt: int) -> None:
    job = await world.a_job(applet)
    await world.finish(job)
    world.held.update({(job, attempt), (NOBODY, 0)})
    stop = (await world.sync())["stop"]
    assert {(held["job"], held["attempt"]) for held in stop} == {(job, attempt), (NOBODY, 0)}


async def test_a_sync_waits_for_news_and_then_comes_at_once(world: World, applet: str) -> None:
    await world.sync()
    body = {"worker": WORKER_NAME, "holding": [], "wait_ms": 10_000}
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        waiting = group.create_task(world.call("/internal/worker/sync", body, as_=WORKER))
        job = await world.a_job(applet)
        await world.place()
        reply = msgspec.convert(await waiting, SyncReply)
    assert [assignment.job for assignment in reply.start] == [job]
    world.held.add((job, 0))


async def test_a_call_that_waits_is_one_sign_of_life(
    world: World, applet: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its worker may have been stopped right after it, so that its end says nothing."""
    await world.sync()
    signs: list[int] = []
    monkeypatch.setattr(world.platform.backend, "seen", lambda _, now_ms: signs.append(now_ms))
    body = {"worker": WORKER_NAME, "holding": [], "wait_ms": 10_000}
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        waiting = group.create_task(world.call("/internal/worker/sync", body, as_=WORKER))
        job = await world.a_job(applet)
        await world.place()
        await waiting
    assert len(signs) == 1
    world.held.add((job, 0))
    world.assignments[job] = {"attempt": 0}
    await world.log(job, "a line is a sign")
    assert len(signs) == 2


async def a_turn_of_the_loop() -> None:
    turned = asyncio.Event()
    asyncio.get_running_loop().call_soon(turned.set)
    await turned.wait()


async def test_of_two_syncs_only_the_later_gets_jobs(world: World, applet: str) -> None:
    """The earlier one is of a worker that was killed: its jobs' tokens must not count."""
    await world.sync()
    body = {"worker": WORKER_NAME, "holding": [], "wait_ms": 10_000}
    waiting = []
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for number in range(4):
            call = world.call("/internal/worker/sync", body, as_=WORKER)
            waiting.append(group.create_task(call))
            while not world.platform.backend.is_turn(WORKER_NAME, number + 2):
                await a_turn_of_the_loop()
        job = await world.a_job(applet)
        await world.place()
    replies = [msgspec.convert(one.result(), SyncReply) for one in waiting]
    assert [len(reply.start) for reply in replies] == [0, 0, 0, 1]
    (given,) = replies[-1].start
    assert (await world.call(f"/{job}/describe", as_=given.token))["id"] == job
    world.held.add((job, 0))


async def test_a_sync_is_answered_when_the_server_stops(world: World) -> None:
    body = {"worker": WORKER_NAME, "holding": [], "wait_ms": 10_000}
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        waiting = group.create_task(world.call("/internal/worker/sync", body, as_=WORKER))
        await world.call("/system/greet")
        world.platform.stop()
        assert await waiting == {**NOTHING, "is_last": True}


async def test_a_worker_speaks_for_itself_only(world: World, applet: str) -> None:
    """Its name is its token's, so that no worker takes or ends the jobs of another."""
    job = await world.a_job(applet)
    await world.lease(job)
    other = await world.add_token("other", Actor(worker="other"))
    holder = {"worker": WORKER_NAME, "attempt": 0}
    for route, body in {
        "/internal/worker/sync": {"worker": WORKER_NAME, "holding": [], "wait_ms": 0},
        f"/internal/{job}/log": {**holder, "entries": [], "cursors": {}},
        f"/internal/{job}/logCursors": holder,
        f"/internal/{job}/finished": {**holder, "output": {}},
    }.items():
        assert (await world.refused(route, body, as_=other)).type == "PermissionDenied"
    assert await world.state(job) == "running"
    assert (await world.sync(as_=other, worker="other"))["start"] == []


# ------------------------------------------------------------------------------ lease fencing


def reports(worker: str, attempt: int) -> dict[str, dict[str, Any]]:
    """Return a report of each kind."""
    holder = {"worker": worker, "attempt": attempt}
    entry = {"timestamp": 1, "source": "s", "level": "STDOUT", "msg": "m"}
    return {
        "log": {**holder, "entries": [entry], "cursors": {"stdout": 1}},
        "logCursors": holder,
        "finished": {**holder, "output": {"x": 1}},
    }


@pytest.mark.parametrize("verb", ["log", "logCursors", "finished"])
@pytest.mark.parametrize("attempt", [0, 2])
async def test_a_report_of_another_try_is_refused(
    world: World, applet: str, verb: str, attempt: int
) -> None:
    job = await world.a_job(applet)
    await world.fail(job, "ExecutionError", "once")
    await world.lease(job)
    body = reports(WORKER_NAME, attempt)[verb]
    refusal = await world.refused(f"/internal/{job}/{verb}", body, as_=WORKER)
    assert refusal.type == "InvalidState"
    assert (await world.state(job), await held_log(world, job, attempt)) == ("running", [])


@pytest.mark.parametrize("verb", ["log", "logCursors", "finished"])
async def test_a_report_of_another_worker_is_refused(world: World, applet: str, verb: str) -> None:
    job = await world.a_job(applet)
    await world.lease(job)
    other = await world.add_token("other", Actor(worker="other"))
    body = reports("other", 0)[verb]
    refusal = await world.refused(f"/internal/{job}/{verb}", body, as_=other)
    assert refusal.type == "InvalidState"
    assert (await world.state(job), await held_log(world, job)) == ("running", [])


@pytest.mark.parametrize("verb", ["log", "logCursors", "finished"])
async def test_a_report_about_a_job_that_nobody_holds_is_refused(
    world: World, applet: str, verb: str
) -> None:
    job = await world.a_job(applet)
    body = reports(WORKER_NAME, 0)[verb]
    refusal = await world.refused(f"/internal/{job}/{verb}", body, as_=WORKER)
    assert refusal.type == "InvalidState"
    missing = await world.refused(f"/internal/{NOBODY}/{verb}", body, as_=WORKER)
    assert missing.type == "ResourceNotFound"


# -------------------------------------------------------------------------------------- logs


async def test_a_batch_is_kept_with_its_cursors(world: World, applet: str) -> None:
    job = await world.a_job(applet)
    await world.lease(job)
    ask = {"worker": WORKER_NAME, "attempt": 0}
    route = f"/internal/{job}/logCursors"
    assert await world.call(route, ask, as_=WORKER) == {"cursors": {}}
    await world.log(job, "one", "two", cursor=7)
    assert await world.call(route, ask, as_=WORKER) == {"cursors": {"stdout": 7}}
    await world.log(job, cursor=9)
    assert await world.call(route, ask, as_=WORKER) == {"cursors": {"stdout": 9}}
    assert await held_log(world, job) == ["one", "two"]


async def test_a_full_disk_refuses_a_batch_for_a_while(world: World, applet: str) -> None:
    job = await world.a_job(applet)
    await world.lease(job)
    world.logs.is_full = True
    body = reports(WORKER_NAME, 0)["log"]
    refusal = await world.refused(f"/internal/{job}/log", body, as_=WORKER)
    assert refusal.type == "ServiceUnavailable"
    world.logs.is_full = False
    await world.call(f"/internal/{job}/log", body, as_=WORKER)
    assert await held_log(world, job) == ["m"]


async def test_a_job_that_is_being_stopped_may_still_log(world: World, applet: str) -> None:
    job = await world.a_job(applet)
    await world.lease(job)
    await world.call(f"/{job}/terminate")
    await world.log(job, "last words")
    assert await held_log(world, job) == ["last words"]


async def test_the_log_of_a_try_that_is_over_is_sealed(world: World, applet: str) -> None:
    job = await world.a_job(applet)
    await world.lease(job)
    await world.log(job, "in time")
    assert await world.finish(job) == "done"
    mine = {"worker": WORKER_NAME, "attempt": 0}
    entry = {"timestamp": 1, "source": "DX_APP", "level": "INFO", "msg": "late"}
    for verb, body in (("log", {"entries": [entry], "cursors": {"bulk": 9}}), ("logCursors", {})):
        refusal = await world.refused(f"/internal/{job}/{verb}", {**mine, **body}, as_=WORKER)
        assert (refusal.type, "is over" in refusal.message) == ("InvalidState", True)
    assert await held_log(world, job) == ["in time"]


# ---------------------------------------------------------------------------------- finished


@pytest.mark.parametrize(
    "report, state",
    [
        ({"output": {"x": 1}}, "done"),
        ({"output": None}, "done"),
        ({"failure_reason": "AppError", "failure_message": "m"}, "failed"),
        ({"failure_reason": "AppError"}, "failed"),
    ],
)
async def test_a_report_that_comes_again_changes_nothing(
    world: World, applet: str, report: dict[str, Any], state: str
) -> None:
    job = await world.a_job(applet)
    await world.lease(job)
    assert await world.report(job, **report) == {"id": job}
    before = await world.describe(job)
    assert before["state"] == state
    world.clock.advance(5)
    for again in (report, {"output": {"other": 1}}, {"failure_reason": "AppInternalError"}):
        assert await world.report(job, **again) == {"id": job}
    assert await world.describe(job) == before


async def test_a_report_of_a_try_that_was_restarted_is_refused_the_second_time(
    world: World, applet: str
) -> None:
    job = await world.a_job(applet)
    await world.lease(job)
    body = {
        "worker": WORKER_NAME, "attempt": 0, "failure_reason": "ExecutionError",
        "failure_message": "m",
    }  # fmt: skip
    await world.call(f"/internal/{job}/finished", body, as_=WORKER)
    assert (await world.describe(job))["try"] == 1
    refusal = await world.refused(f"/internal/{job}/finished", body, as_=WORKER)
    assert refusal.type == "InvalidState"
    assert (await world.describe(job))["failureCounts"] == {"ExecutionError": 1}
    world.held.clear()


async def test_whatever_a_stopped_try_reports_it_is_terminated(world: World, applet: str) -> None:
    for report in ENDS:
        job = await world.a_job(applet)
        await world.lease(job)
        await world.call(f"/{job}/terminate")
        await world.report(job, **report)
        assert await world.state(job) == "terminated"


async def test_the_peak_of_memory_is_kept_whatever_the_end(world: World, applet: str) -> None:
    for report in ENDS:
        job = await world.a_job(applet)
        await world.lease(job)
        await world.report(job, peak_memory_bytes=123, **report)
        assert (await world.job_row(job)).settings["peakMemoryBytes"] == 123


async def test_a_failure_for_a_reason_nobody_knows_is_an_internal_error_of_the_app(
    world: World, applet: str
) -> None:
    job = await world.a_job(applet)
    await world.lease(job)
    await world.report(job, failure_reason="Boredom", failure_message="m")
    described = await world.describe(job)
    assert (described["state"], described["failureReason"]) == ("failed", "AppInternalError")


async def test_a_token_dies_with_its_try(world: World, applet: str) -> None:
    for end in ("finish", "fail", "restart", "terminate", "expire"):
        job = await world.a_job(applet)
        token = (await world.lease(job))["token"]
        await world.call("/system/whoami", as_=token)
        if end == "finish":
            await world.finish(job)
        elif end == "fail":
            await world.fail(job)
        elif end == "restart":
            await world.fail(job, "ExecutionError")
        elif end == "terminate":
            await world.call(f"/{job}/terminate")
            await world.report(job, failure_reason="Terminated")
        else:
            world.clock.advance(3_600_000)
            await world.expire()
            world.held.clear()
        refusal = await world.refused("/system/whoami", as_=token)
        assert (end, refusal.type) == (end, "InvalidAuthentication")


async def test_an_applet_that_is_removed_after_the_lease_fails_its_job(
    world: World, applet: str
) -> None:
    job = await world.a_job(applet)
    await world.sync()
    await world.place()
    project = (await world.describe(applet))["project"]
    await world.call(f"/{project}/removeObjects", {"objects": [applet]})
    assert (await world.sync())["start"] == []
    described = await world.describe(job)
    assert (described["state"], described["failureReason"]) == ("failed", "ExecutionError")
    assert applet in described["failureMessage"]


async def test_the_time_of_a_lease_is_that_of_the_server(world: World, applet: str) -> None:
    job = await world.a_job(applet)
    world.clock.advance(1000)
    await world.lease(job)
    assert (await world.describe(job))["startedRunning"] == START_MS + 1000


async def test_lines_that_stand_below_the_json_are_kept_as_they_are(
    world: World, applet: str
) -> None:
    job = await world.a_job(applet)
    await world.lease(job)
    below = [LogEntry(1, "DX_APP_STREAM", "STDOUT", text) for text in ("one", "two")]
    head = msgspec.json.encode({"worker": WORKER_NAME, "attempt": 0, "cursors": {"stdout": 7}})
    route = f"/internal/{job}/log"
    body = head + b"\n" + Lines.of(below).data
    assert (await world.answer(route, content=body, as_=WORKER)).status_code == 200
    assert await held_log(world, job) == ["one", "two"]
    for wrong in (b"one", b'{"timestamp":1}\n#{"stdout":9} 9\n'):
        refusal = await world.answer(route, content=head + b"\n" + wrong, as_=WORKER)
        assert refusal.json()["error"]["type"] == "InvalidInput"
    assert await held_log(world, job) == ["one", "two"]
