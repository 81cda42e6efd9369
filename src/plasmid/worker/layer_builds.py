"""Layers that are being built by this worker: each once, for all tries that wait for it.

A build goes on while any try waits for it, also when the one that began it is stopped. What a step
says about itself fails all who wait, and for a short time all who come after: a hundred sub-jobs do
not each spend minutes on a package that is not to be had. Any other trouble is that of the try that
began the build; the others try for themselves.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Iterator
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from plasmid.domain import assignments, failures

FAILURE_SECONDS: Final = 30.0

Say = Callable[[str, list[assignments.LogEntry]], None]
"""Takes log lines of a source (a socket's name)."""


class StoppedError(Exception):
    """Nobody waits for the build any more."""


class ShortageError(failures.JobFailure):
    """The step needs more than the job has whose limits the build was made under."""


class Limits(msgspec.Struct, frozen=True):
    """What a build may use: a job's memory and time."""

    memory_bytes: int
    timeout_ms: int

    def exceed(self, others: Limits) -> bool:
        """Say whether they leave more room than others in any way."""
        return self.memory_bytes > others.memory_bytes or self.timeout_ms > others.timeout_ms


class Build:
    """One build under way; `stopping` is set when nobody waits for it any more."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.stopping = asyncio.Event()
        self.over = asyncio.Event()
        self.failure: Exception | None = None
        self.listeners: list[Say] = []

    def say(self, source: str, entries: list[assignments.LogEntry]) -> None:
        """Give lines to the log of the try that has waited longest."""
        if self.listeners:
            self.listeners[0](source, entries)

    @contextlib.contextmanager
    def heard(self, listener: Say) -> Iterator[None]:
        """Wait for the build, with its output given to a listener, for the time of the block."""
        self.listeners.append(listener)
        try:
            yield
        finally:
            self.listeners.remove(listener)
            if not self.listeners:
                self.stopping.set()


class _Failed:
    """A failure that holds for a while."""

    def __init__(self, failure: failures.JobFailure, limits: Limits) -> None:
        self.failure = failure
        self.limits = limits
        self.at = time.monotonic()

    def holds_for(self, limits: Limits) -> bool:
        """Say whether it fails a try too: where something was short, more of it may help."""
        may_help = isinstance(self.failure, ShortageError) and limits.exceed(self.limits)
        return self.is_recent() and not may_help

    def is_recent(self) -> bool:
        """Say whether the failure holds at all any more."""
        return time.monotonic() - self.at < FAILURE_SECONDS


Story = Callable[[Build], Coroutine[Any, Any, None]]
"""Builds a layer to its end; raises JobFailure for what the step itself did wrong."""


class LayerBuilds:
    """The builds of one worker; use it by `async with`, at whose end all builds are stopped."""

    def __init__(self, after: Callable[[], Coroutine[Any, Any, None]] | None = None) -> None:
        """Take what is to be done after each build."""
        self._after = after
        self._group = asyncio.TaskGroup()
        self._builds: dict[str, Build] = {}
        self._failed: dict[str, _Failed] = {}

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for build in self._builds.values():
            build.stopping.set()
        await self._group.__aexit__(kind, error, trace)

    async def build(
        self,
        key: str,
        story: Story,
        *,
        limits: Limits,
        listener: Say,
        on_wait: Callable[[], None],
    ) -> None:
        """Return once a build of the layer is over, ours or another's; then look for it again.

        Raises what our own build raised, or JobFailure if the step itself fails for others too.
        """
        self._raise_if_failed(key, limits)
        build = self._builds.get(key)
        is_ours = build is None
        if build is None:
            build = self._builds[key] = Build(limits)
            self._group.create_task(self._run(key, build, story))
        else:
            on_wait()
        with build.heard(listener):
            await build.over.wait()
        if is_ours and build.failure is not None:
            raise build.failure
        self._raise_if_failed(key, limits)

    async def _run(self, key: str, build: Build, story: Story) -> None:
        with _Outcome(build):
            await story(build)
        self._failed = {k: failed for k, failed in self._failed.items() if failed.is_recent()}
        if isinstance(build.failure, failures.JobFailure):
            self._failed[key] = _Failed(build.failure, build.limits)
        del self._builds[key]
        build.over.set()
        if self._after is not None:
            await self._after()

    def _raise_if_failed(self, key: str, limits: Limits) -> None:
        failed = self._failed.get(key)
        if failed is None:
            return
        if failed.holds_for(limits):
            raise failures.JobFailure(failed.failure.reason, failed.failure.message)
        del self._failed[key]


class _Outcome:
    """Keeps the error of its block for those who wait on the build, and ends it there."""

    def __init__(self, build: Build) -> None:
        self._build = build

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if isinstance(error, Exception):
            self._build.failure = error
            return True
        return False
