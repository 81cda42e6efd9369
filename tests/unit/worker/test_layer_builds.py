"""Builds under way: each once, for all who wait, and what becomes of their failures."""

from __future__ import annotations

import asyncio

import pytest

from plasmid.domain import assignments, failures
from plasmid.worker import layer_builds

SMALL = layer_builds.Limits(1, 1000)
LARGE = layer_builds.Limits(2, 1000)
FAILURE = failures.JobFailure(failures.EXECUTION_ERROR, "no such package")
SHORTAGE = layer_builds.ShortageError(failures.APP_INSUFFICIENT_RESOURCE_ERROR, "no memory")


class Stories:
    """Builds that end when told to, and what they were."""

    def __init__(self, builds: layer_builds.LayerBuilds) -> None:
        self.builds = builds
        self.begun: list[layer_builds.Build] = []
        self.error: Exception | None = None
        self.may_end = asyncio.Event()
        self.waits = 0
        self.lines: dict[str, list[str]] = {}

    async def story(self, build: layer_builds.Build) -> None:
        self.begun.append(build)
        build.say("bulk", [assignments.LogEntry(0, "s", "INFO", f"build {len(self.begun)}")])
        async with asyncio.TaskGroup() as group:
            tasks = {group.create_task(event.wait()) for event in (self.may_end, build.stopping)}
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
        if build.stopping.is_set():
            raise layer_builds.StoppedError
        if self.error is not None:
            raise self.error

    async def wanted(self, name: str = "a", limits: layer_builds.Limits = SMALL) -> None:
        """Want the layer, as one try does."""

        def on_wait() -> None:
            self.waits += 1

        def listener(_: str, entries: list[assignments.LogEntry]) -> None:
            self.lines.setdefault(name, []).extend(entry.msg for entry in entries)

        await self.builds.build(
            "key", self.story, limits=limits, listener=listener, on_wait=on_wait
        )

    async def failed(self, name: str = "a", limits: layer_builds.Limits = SMALL) -> str | None:
        try:
            await self.wanted(name, limits)
        except failures.JobFailure as failure:
            return failure.message
        return None


async def turns() -> None:
    """Let everything that can run do so."""
    for _ in range(10):
        await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=0)


async def test_eight_tries_share_one_build_whose_output_goes_to_the_first() -> None:
    async with layer_builds.LayerBuilds() as builds, asyncio.TaskGroup() as group:
        stories = Stories(builds)
        for number in range(8):
            group.create_task(stories.wanted(str(number)))
        await turns()
        stories.may_end.set()
    assert (len(stories.begun), stories.waits) == (1, 7)
    assert stories.lines == {"0": ["build 1"]}


async def test_a_failure_of_the_step_fails_all_who_wait_and_who_come_soon() -> None:
    async with layer_builds.LayerBuilds() as builds:
        stories = Stories(builds)
        stories.error = FAILURE
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(stories.failed()) for _ in range(3)]
            await turns()
            stories.may_end.set()
        assert [task.result() for task in tasks] == ["no such package"] * 3
        assert await stories.failed() == "no such package"
    assert len(stories.begun) == 1


async def test_a_failure_is_forgotten_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer_builds, "FAILURE_SECONDS", 0.0)
    async with layer_builds.LayerBuilds() as builds:
        stories = Stories(builds)
        stories.error = FAILURE
        stories.may_end.set()
        assert await stories.failed() == "no such package"
        stories.error = None
        assert await stories.failed() is None


async def test_a_shortage_is_not_that_of_a_larger_job() -> None:
    async with layer_builds.LayerBuilds() as builds:
        stories = Stories(builds)
        stories.error = SHORTAGE
        stories.may_end.set()
        assert await stories.failed(limits=SMALL) == "no memory"
        assert await stories.failed(limits=SMALL) == "no memory"
        stories.error = None
        assert await stories.failed(limits=LARGE) is None


async def test_trouble_of_the_machine_is_told_to_whom_it_befell_only() -> None:
    async with layer_builds.LayerBuilds() as builds:
        stories = Stories(builds)
        stories.error = OSError("no such device")

        async def ours() -> str:
            try:
                await stories.wanted()
            except OSError as error:
                return str(error)
            return "fine"

        async with asyncio.TaskGroup() as group:
            first = group.create_task(ours())
            await turns()
            second = group.create_task(ours())
            await turns()
            stories.may_end.set()
        assert (first.result(), second.result()) == ("no such device", "fine")
        assert len(stories.begun) == 1  # the second one looks for the layer and tries for itself


async def test_a_build_goes_on_while_anybody_waits_and_stops_with_the_last() -> None:
    async with layer_builds.LayerBuilds() as builds, asyncio.TaskGroup() as group:
        stories = Stories(builds)
        tasks = [group.create_task(stories.wanted(name)) for name in ("a", "b")]
        await turns()
        (build,) = stories.begun
        tasks[0].cancel()
        await turns()
        assert not build.stopping.is_set()
        build.say("bulk", [assignments.LogEntry(0, "s", "INFO", "later")])
        tasks[1].cancel()
        await turns()
        assert build.over.is_set()
    assert stories.lines == {"a": ["build 1"], "b": ["later"]}


async def test_the_end_of_the_worker_stops_its_builds() -> None:
    async with layer_builds.LayerBuilds() as builds:
        stories = Stories(builds)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(stories.wanted())
            await turns()
            task.cancel()
    assert stories.begun[0].over.is_set()


async def test_something_is_done_after_every_build() -> None:
    done: list[bool] = []

    async def after() -> None:
        done.append(True)

    async with layer_builds.LayerBuilds(after) as builds:
        stories = Stories(builds)
        stories.may_end.set()
        await stories.wanted()
    assert done == [True]
