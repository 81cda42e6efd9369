"""What a job uses is told in its log and at its end, also by the next worker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from plasmid.domain import assignments
from plasmid.domain import metrics as domain_metrics
from plasmid.engines import engine
from plasmid.network.traffic import Traffic
from plasmid.worker import log_pump, metrics, platform, try_folder
from tests.unit.worker import fake_engine, fake_platform
from tests.unit.worker.conftest import Place
from tests.worlds import Clock

JOB = "job-BBBBBBBBBBBBBBBBBBBBBBB1"
MIB = 1 << 20


class Desk:
    """One try under a sampler, with a clock and a sandbox that does as it is told."""

    def __init__(self, folder: Path, *, detailed: bool = False) -> None:
        self.assignment = fake_platform.an_assignment()
        self.assignment.metrics_ms = 1000 if detailed else 60_000
        self.assignment.job_description |= {
            "detailedJobMetrics": detailed,
            "instanceType": "mem1_ssd1_v2_x4",
        }
        self.folder = try_folder.TryFolder.create(folder, self.assignment)
        self.clock = Clock()
        spec = engine.SandboxSpec(
            name="s",
            folder=self.folder.sandbox,
            base_image=folder,
            hostname="h",
            command=(),
            environment={},
            working_directory="/",
            files={},
            memory_bytes=0,
            cpu_weight=1,
        )
        self.sandbox = fake_engine.FakeSandbox(spec, fake_engine.run_on)
        self._pumps: list[log_pump.LogPump] = []

    def sampler(self, traffic: Traffic | None = None) -> metrics.Sampler:
        """The sampler of a new worker."""
        held = assignments.HeldTry(JOB, 0)
        link = platform.Platform.__new__(platform.Platform)
        self._pumps.append(log_pump.LogPump(link, held, self.folder, now_ms=self.clock))
        return metrics.Sampler(
            self.assignment,
            self.sandbox,
            folder=self.folder,
            pump=self._pumps[-1],
            traffic=traffic or Traffic(),
            now_ms=self.clock,
        )

    async def look(self, sampler: metrics.Sampler, after_ms: int, **used: int) -> None:
        """Let time go by in which the sandbox has used something."""
        self.clock.advance(after_ms)
        self.sandbox.used = msgspec.structs.replace(self.sandbox.used, **used)
        await sampler.look()

    @property
    def lines(self) -> list[assignments.LogEntry]:
        content = self.folder.spool_path("system").read_bytes()
        return [msgspec.json.decode(x, type=assignments.LogEntry) for x in content.splitlines()]

    @property
    def samples(self) -> list[domain_metrics.Sample]:
        return [found for line in self.lines if (found := domain_metrics.kept(line))]

    @property
    def said(self) -> list[str]:
        return [line.msg for line in self.lines if line.level == "INFO"]

    def close(self) -> None:
        for pump in self._pumps:
            pump.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    made: list[Desk] = []

    def make(*, detailed: bool = False) -> Desk:
        made.append(Desk(tmp_path, detailed=detailed))
        return made[-1]

    yield make
    for each in made:
        each.close()


async def test_a_sample_has_the_rates_since_the_one_before(desk: Callable[..., Desk]) -> None:
    here = desk(detailed=True)
    traffic = Traffic()
    sampler = here.sampler(traffic)
    await sampler.begin()
    traffic.receive(30 * MIB)
    await here.look(sampler, 1000, cpu_user_ms=250, written_bytes=5 * MIB, memory_bytes=7 * MIB)
    traffic.receive(10 * MIB)
    await here.look(sampler, 2000, cpu_user_ms=750, written_bytes=9 * MIB)
    first, second = here.samples
    assert (first.cpu_usage_user, second.cpu_usage_user) == (25, 25)
    assert (first.moved[0], second.moved[0]) == (30 * MIB, 10 * MIB)
    assert (first.moved[3], second.moved[3]) == (5 * MIB, 4 * MIB)
    assert second.network_in_bytes == 40 * MIB
    assert (second.memory_used_bytes, second.memory_total_bytes) == (7 * MIB, 512 * MIB)


async def test_jobs_are_sampled_every_minute_and_looked_at_more_often(
    desk: Callable[..., Desk],
) -> None:
    here = desk()
    sampler = here.sampler()
    await sampler.begin()
    for _ in range(26):
        await here.look(sampler, 5_000)
    began = here.lines[0].timestamp
    assert [line.timestamp - began for line in here.lines] == [0, 60_000, 120_000]


async def test_every_ten_minutes_there_is_a_line_for_people(desk: Callable[..., Desk]) -> None:
    here = desk()
    sampler = here.sampler()
    await sampler.begin()
    for minute in range(1, 21):
        await here.look(sampler, 60_000, cpu_user_ms=minute * 15_000, memory_bytes=100 * MIB)
    assert [line.rpartition("Storage")[0] for line in here.said] == [
        "CPU: 25% (1 cores) * Memory: 100/512MB * "
    ] * 2


async def test_the_last_lines_say_what_was_used_and_are_said_once(
    desk: Callable[..., Desk],
) -> None:
    here = desk()
    sampler = here.sampler()
    await sampler.begin()
    here.clock.advance(2000)
    here.sandbox.used = engine.Usage(cpu_user_ms=1000, memory_bytes=128 * MIB)
    await sampler.end()
    await sampler.end()
    await here.sampler().end()
    (line,) = here.said
    assert line.startswith("Used at most 0.1 of 0.5 GiB memory (25 %), 0.5 of 1 core on average ")
    assert here.samples == []  # it asked for none, and was over before the first was due
    found = here.folder.usage()
    assert found is not None
    assert (found.peak_memory_bytes, found.cpu_ms) == (128 * MIB, 1000)


async def test_a_short_job_that_asked_for_samples_has_one(desk: Callable[..., Desk]) -> None:
    here = desk(detailed=True)
    sampler = here.sampler()
    await sampler.begin()
    here.clock.advance(10)
    await sampler.end()
    assert len(here.samples) == 1


async def test_the_next_worker_goes_on_with_all_totals(desk: Callable[..., Desk]) -> None:
    here = desk()
    traffic = Traffic()
    first = here.sampler(traffic)
    await first.begin()
    traffic.send(1000)
    await here.look(first, 5_000, cpu_user_ms=2000, memory_bytes=300 * MIB)
    first.keep()
    second = here.sampler()
    await second.begin()
    await here.look(second, 5_000, cpu_user_ms=3000, memory_bytes=1)
    await second.end()
    found = here.folder.usage()
    assert found is not None
    assert (found.measured_ms, found.cpu_ms, found.network_out_bytes) == (10_000, 3000, 1000)
    assert found.peak_memory_bytes == 300 * MIB


async def test_a_sandbox_that_cannot_be_measured_disturbs_nothing(
    desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = desk(detailed=True)

    async def gone() -> engine.Usage:
        raise FileNotFoundError("its group is gone")

    monkeypatch.setattr(here.sandbox, "usage", gone)
    sampler = here.sampler()
    await sampler.begin()
    await here.look(sampler, 1000)
    await sampler.end()
    assert here.folder.usage() is None
    assert not here.folder.spool_path("system").read_bytes()


async def test_a_full_disk_does_not_hide_how_the_job_ended(
    desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = desk()
    sampler = here.sampler()
    await sampler.begin()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(here.folder, "keep_measured", full)
    monkeypatch.setattr(log_pump.LogPump, "say", full)
    await sampler.end()


async def test_a_try_reports_what_it_has_used(place: Place) -> None:
    def job(sandbox: fake_engine.FakeSandbox) -> None:
        sandbox.used = engine.Usage(cpu_user_ms=10, peak_memory_bytes=77 * MIB)
        sandbox.end(1)

    place.engine.job = job
    async with place.worker():
        await place.platform.assign(fake_platform.an_assignment())
        await place.platform.until(lambda: JOB in place.platform.finished)
    report = place.platform.finished[JOB]
    assert report.failure_reason == "AppInternalError"
    assert report.usage is not None
    assert report.usage.peak_memory_bytes == 77 * MIB
    *_, used, why = place.platform.messages(JOB, "INFO", "ERROR")
    assert used.startswith("Used at most 0.08 of 0.5 GiB memory (15 %), ")
    assert why.startswith("AppInternalError")


async def test_a_worker_that_leaves_tells_nothing_yet(place: Place) -> None:
    place.engine.job = lambda sandbox: sandbox.write("runs")
    async with place.worker(stop_all=False):
        await place.platform.assign(fake_platform.an_assignment())
        await place.platform.until(lambda: "runs" in place.platform.messages(JOB))
    (folder,) = place.settings.work_folder.glob(f"{JOB}*")
    assert "Used at most" not in (folder / "system.jsonl").read_text()
    assert (folder / "measured.json").exists()
    place.engine.made[0].end()
    async with place.worker():
        await place.platform.until(lambda: JOB in place.platform.finished)
    told = [line for line in place.platform.messages(JOB) if "Used at most" in line]
    assert len(told) == 1


async def test_a_stopped_try_reports_what_it_has_used(place: Place) -> None:
    place.engine.job = lambda sandbox: sandbox.write("runs")
    async with place.worker():
        await place.platform.assign(fake_platform.an_assignment())
        await place.platform.until(lambda: "runs" in place.platform.messages(JOB))
        await place.platform.stop(assignments.HeldTry(JOB, 0))
        await place.platform.until(lambda: JOB in place.platform.finished)
    report = place.platform.finished[JOB]
    assert (report.failure_reason, report.usage is None) == ("Terminated", False)


async def test_looks_come_by_themselves_until_the_sampler_is_stopped(
    desk: Callable[..., Desk],
) -> None:
    here = desk(detailed=True)
    here.assignment.metrics_ms = 2
    sampler = here.sampler()
    enough = asyncio.Event()
    looks = 0

    async def usage() -> engine.Usage:
        nonlocal looks
        looks += 1
        here.clock.advance(2)
        if looks == 5:
            enough.set()
        return engine.Usage()

    here.sandbox.usage = usage  # type: ignore[method-assign]
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        running = group.create_task(sampler.run())
        await enough.wait()
        running.cancel()
    assert len(here.samples) >= 3


async def test_what_a_job_used_is_told_as_soon_as_it_is_held(desk: Callable[..., Desk]) -> None:
    here = desk()
    here.assignment.debug_on = ["AppError"]
    here.folder.mark_held()
    here.sandbox.used = engine.Usage(memory_bytes=256 * MIB)
    sampler = here.sampler()
    async with asyncio.timeout(60):
        await sampler.run()
    here.clock.advance(3_600_000)
    await sampler.end()  # the hold is over
    (line,) = here.said
    assert line.startswith("Used at most 0.2 of 0.5 GiB memory (50 %)")
    found = here.folder.usage()
    assert found is not None
    assert found.measured_ms == 0


async def test_a_mistake_in_measuring_does_not_end_the_job(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def breaks(_sampler: metrics.Sampler) -> None:
        raise ValueError("nobody thought of this")

    monkeypatch.setattr(metrics.Sampler, "run", breaks)
    monkeypatch.setattr(metrics.Sampler, "end", breaks)
    async with place.worker():
        await place.platform.assign(fake_platform.an_assignment())
        await place.platform.until(lambda: JOB in place.platform.finished)
    assert place.platform.finished[JOB].output == {}
