"""A running job's describe has its newest measurement, an ended one's what it has used in all."""

from __future__ import annotations

import msgspec
import pytest

from plasmid.domain import metrics, totals
from plasmid.logs.store import Lines
from plasmid.methods import job_samples
from tests.worlds import WORKER, WORKER_NAME, World

READING = metrics.Reading(at_ms=1000, cpu_user_ms=500, memory_bytes=77)
SAMPLE = metrics.between(metrics.Reading(at_ms=0), READING, metrics.Room(1, 100, 200))
USED = totals.Totals(cores=4, peak_memory_bytes=99, memory_limit_bytes=100)


@pytest.fixture
async def applet(world: World) -> str:
    return await world.an_applet(await world.a_project(), name="hello")


async def send(world: World, job: str, sample: metrics.Sample = SAMPLE) -> None:
    """Send a measurement as the worker."""
    entry = metrics.entry(sample, world.clock.now_ms)
    body = {
        "worker": WORKER_NAME,
        "attempt": world.assignments[job]["attempt"],
        "entries": [msgspec.to_builtins(entry)],
        "cursors": {},
    }
    await world.call(f"/internal/{job}/log", body, as_=WORKER)


async def test_the_newest_measurement_is_shown_while_the_job_runs(
    world: World, applet: str
) -> None:
    job = await world.a_job(applet)
    await world.lease(job)
    assert "plasmid" not in await world.describe(job)
    await send(world, job, msgspec.structs.replace(SAMPLE, memory_used_bytes=1))
    world.clock.advance(5)
    await send(world, job)
    shown = (await world.describe(job))["plasmid"]["metrics"]
    assert shown["timestamp"] == world.clock.now_ms
    assert (shown["cpuUsageUser"], shown["memoryUsedBytes"], shown["diskTotalBytes"]) == (
        50,
        77,
        200,
    )
    await world.report(job, output={}, usage=msgspec.to_builtins(USED))
    assert (await world.describe(job))["plasmid"] == {"usage": msgspec.to_builtins(USED)}


@pytest.mark.parametrize(
    "sent",
    [
        b'{"timestamp":"soon","source":"MONITOR","level":"METRICS","msg":"{}"}',
        b'{"timestamp":1,,"source":"MONITOR","level":"METRICS","msg":"{}"}',
    ],
)
async def test_what_cannot_be_read_is_no_measurement(
    world: World, applet: str, sent: bytes
) -> None:
    job = await world.a_job(applet)
    await world.lease(job)
    await send(world, job)
    shown = (await world.describe(job))["plasmid"]
    world.platform.samples.note(job, 0, Lines.read(sent + b"\n"))
    assert (await world.describe(job))["plasmid"] == shown


async def test_what_a_try_has_used_is_kept_whatever_its_end(world: World, applet: str) -> None:
    failed = {"failure_reason": "AppError", "failure_message": "m"}
    for report in ({"output": dict[str, object]()}, failed):
        job = await world.a_job(applet)
        await world.lease(job)
        await world.report(job, usage=msgspec.to_builtins(USED), **report)
        assert (await world.describe(job))["plasmid"]["usage"]["peakMemoryBytes"] == 99


async def test_the_next_try_begins_with_nothing(world: World, applet: str) -> None:
    job = await world.a_job(applet)
    await world.lease(job)
    await send(world, job)
    policy = {"failure_reason": "ExecutionError", "failure_message": "m"}
    await world.report(job, usage=msgspec.to_builtins(USED), **policy)
    await world.lease(job)
    described = await world.describe(job)
    assert (described["try"], "plasmid" in described) == (1, False)
    # of a try whose worker was lost, so that nobody told its end
    world.platform.samples.note(job, 0, Lines.of([metrics.entry(SAMPLE, 1)]))
    assert "plasmid" not in await world.describe(job)
    first = await world.call(f"/{job}/describe", {"try": 0})
    assert first["plasmid"]["usage"]["peakMemoryBytes"] == 99


async def test_what_cannot_be_read_as_a_measurement_is_not_shown(world: World, applet: str) -> None:
    job = await world.a_job(applet)
    await world.lease(job)
    await world.log(job, "{}", level="METRICS")
    assert "plasmid" not in await world.describe(job)


async def test_an_assignment_says_how_often_its_job_is_measured(world: World, applet: str) -> None:
    for asked, expected in ((False, 60_000), (True, 1000)):
        job = await world.a_job(applet, detailedJobMetrics=asked)
        assert (await world.lease(job))["metrics_ms"] == expected


def test_jobs_whose_end_nobody_told_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_samples, "_JOBS_MAX", 2)
    samples = job_samples.JobSamples()
    for job in ("a", "b", "c"):
        samples.note(job, 0, Lines.of([metrics.entry(SAMPLE, 1)]))
    samples.forget("b")
    samples.forget("b")
    assert list(samples._newest) == ["c"]
