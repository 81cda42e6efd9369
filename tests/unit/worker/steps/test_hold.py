"""A failed job's sandbox is held if its failure is one to be debugged, and else it goes."""

from __future__ import annotations

import asyncio
import json

import msgspec
import pytest

from plasmid.domain import assignments, errors
from plasmid.worker.steps import hold, workspace
from tests.unit.worker import fake_engine, fake_platform
from tests.unit.worker.conftest import Place

JOB = "job-BBBBBBBBBBBBBBBBBBBBBBB1"


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hold, "LOOK_SECONDS", 0.002)


def debugged(*reasons: str, timeout_ms: int = 60_000) -> assignments.Assignment:
    made = fake_platform.an_assignment(timeout_ms=timeout_ms)
    return msgspec.structs.replace(made, debug_on=list(reasons))


def fails(code: int = 5, **error: str) -> fake_engine.Job:
    """Return a job whose code fails while its sandbox lives on."""

    def job(sandbox: fake_engine.FakeSandbox) -> None:
        assert sandbox.spec.command[-1] == "hold"
        assert sandbox.spec.files[workspace.EXITED].isspace()
        if error:
            content = json.dumps({"error": error}).encode()
            sandbox.put("/home/dnanexus/job_error.json", content)
        sandbox.put(workspace.EXITED, f"{code}\n          ".encode())

    return job


async def until_held(place: Place) -> assignments.Finished:
    await place.platform.until(lambda: JOB in place.platform.reports_of_holds)
    return place.platform.reports_of_holds[JOB]


async def test_a_failure_that_is_to_be_debugged_is_reported_and_the_sandbox_stays(
    place: Place,
) -> None:
    place.engine.job = fails()
    async with place.worker():
        await place.platform.assign(debugged("AppError", "AppInternalError"))
        report = await until_held(place)
        assert report.failure_reason == "AppInternalError"
        assert "exit status 5" in str(report.failure_message)
        assert report.peak_memory_bytes == 1 << 20
        sandbox = place.engine.made[0]
        assert (sandbox.kills, sandbox.removals, JOB in place.platform.finished) == (0, 0, False)
        assert sandbox.stops == 1
        await place.platform.stop(assignments.HeldTry(JOB, 0))
        await place.platform.until(lambda: JOB in place.platform.finished)
    assert (sandbox.kills, place.folders()) == (1, [])
    assert place.platform.finished[JOB].failure_reason == "Terminated"
    told = place.platform.messages(JOB)
    (line,) = [line for line in told if "held for debugging" in line]
    assert f"dx terminate {JOB}" in line
    assert f"dx ssh {JOB}" in line


async def test_a_failure_that_debug_on_does_not_name_ends_the_sandbox(place: Place) -> None:
    place.engine.job = fails(1, type="AppError", message="bad input")
    async with place.worker():
        await place.platform.assign(debugged("AppInternalError"))
        await place.platform.until(lambda: JOB in place.platform.finished)
    report = place.platform.finished[JOB]
    assert (report.failure_reason, report.failure_message) == ("AppError", "bad input")
    assert place.platform.reports_of_holds == {}
    assert place.engine.made[0].stops == 0
    assert (place.engine.made[0].kills, place.folders()) == (1, [])


async def test_a_job_that_does_well_is_not_held(place: Place) -> None:
    async with place.worker():
        await place.platform.assign(debugged("AppInternalError"))
        await place.platform.until(lambda: JOB in place.platform.finished)
    assert place.platform.finished[JOB].output == {}


async def test_a_job_that_is_not_to_be_debugged_is_started_as_ever(place: Place) -> None:
    async with place.worker():
        await place.platform.assign(fake_platform.an_assignment())
        await place.platform.until(lambda: JOB in place.platform.finished)
    spec = place.engine.made[0].spec
    assert spec.command[-1] == "bash"
    assert workspace.EXITED not in spec.files


async def test_a_job_that_runs_too_long_is_not_held(place: Place) -> None:
    place.engine.job = fake_engine.run_on
    async with place.worker():
        await place.platform.assign(debugged("AppInternalError", timeout_ms=30))
        await place.platform.until(lambda: JOB in place.platform.finished)
    assert place.platform.finished[JOB].failure_reason == "JobTimeoutExceeded"


async def test_a_hold_lasts_longer_than_the_jobs_timeout_and_its_worker(place: Place) -> None:
    place.engine.job = fails()
    async with place.worker(stop_all=False):
        await place.platform.assign(debugged("AppInternalError", timeout_ms=1))
        await until_held(place)
    place.platform.reports_of_holds.clear()
    async with place.worker():
        await until_held(place)
        sandbox = place.engine.made[0]
        assert (len(place.engine.made), sandbox.starts, sandbox.kills) == (1, 1, 0)
        # by now somebody may have let some of it go on
        assert sandbox.stops == 1
        await place.platform.stop(assignments.HeldTry(JOB, 0))
        await place.platform.until(lambda: JOB in place.platform.finished)
    held_lines = [line for line in place.platform.messages(JOB) if "held for debugging" in line]
    assert len(held_lines) == 1


async def test_a_held_sandbox_that_ends_by_itself_is_reported_with_its_own_failure(
    place: Place,
) -> None:
    place.engine.job = fails()
    async with place.worker():
        await place.platform.assign(debugged("AppInternalError"))
        await until_held(place)
        place.engine.made[0].end(137)
        await place.platform.until(lambda: JOB in place.platform.finished)
    report = place.platform.finished[JOB]
    assert report.failure_reason == "AppInternalError"
    assert "exit status 5" in str(report.failure_message)


async def test_the_report_of_a_hold_is_repeated_until_it_is_kept(place: Place) -> None:
    place.engine.job = fails()
    refusals = iter("xxx")

    def refuse(route: str) -> None:
        if route.endswith("held") and next(refusals, None):
            raise errors.ServiceUnavailable("not now")

    place.platform.before = refuse
    async with place.worker():
        await place.platform.assign(debugged("AppInternalError"))
        await until_held(place)


async def test_what_a_job_makes_of_the_exit_file_is_not_believed_blindly(place: Place) -> None:
    def job(sandbox: fake_engine.FakeSandbox) -> None:
        sandbox.put(workspace.EXITED, b"not a number")
        asyncio.get_running_loop().call_later(0.05, sandbox.end, 3)

    place.engine.job = job
    async with place.worker():
        await place.platform.assign(debugged("AppInternalError"))
        await place.platform.until(lambda: JOB in place.platform.finished)
    assert "exit status 3" in str(place.platform.finished[JOB].failure_message)


@pytest.mark.parametrize(
    "error", [UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no text"), OSError()]
)
async def test_a_hold_begins_also_if_what_still_runs_cannot_be_stopped(
    place: Place, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def breaks(_sandbox: fake_engine.FakeSandbox) -> None:
        raise error

    monkeypatch.setattr(fake_engine.FakeSandbox, "stop_processes", breaks)
    place.engine.job = fails()
    async with place.worker():
        await place.platform.assign(debugged("AppInternalError"))
        report = await until_held(place)
        assert report.failure_reason == "AppInternalError"
        await place.platform.stop(assignments.HeldTry(JOB, 0))
        await place.platform.until(lambda: JOB in place.platform.finished)
    told = place.platform.messages(JOB)
    assert any("stopping what still runs" in line for line in told)
