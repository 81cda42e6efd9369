"""Bugs that are put in on purpose: a simulation that does not catch them is worth nothing.

Each names the invariant by which it must be caught.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Awaitable, Callable, Collection, Iterator
from typing import Any, Final
from unittest import mock

import msgspec

from plasmid.auth.tokens import Authenticator
from plasmid.domain import analysis_states, reuse
from plasmid.domain.analysis_states import Event
from plasmid.executions import analyses, analysis_outputs, outputs, settle, waking
from plasmid.logs import memory
from plasmid.logs.memory import MemoryLogs
from plasmid.metadata import jobs, users
from plasmid.methods import internal, nonces
from tests.simulation import platform
from tests.simulation.platform import Connection, SimulatedLogs

Patch = contextlib.AbstractContextManager[Any]


class Bug(msgspec.Struct, frozen=True):
    """What is done wrong, by which invariant it shows, and how it is put in."""

    what: str
    invariants: tuple[str, ...]
    patches: Callable[[], list[Patch]]


async def _nothing(*_: object, **__: object) -> None:
    """Do nothing."""


async def _none_left(*_: object, **__: object) -> set[str]:
    return set()


async def _no_cursors(*_: object, **__: object) -> dict[str, int]:
    return {}


def _own_name_only(call: Any, _target: Any, worker: str, _attempt: int) -> None:
    internal._require_own_name(call, worker)


def _sometimes(real: Callable[..., Awaitable[Any]], every: int) -> Callable[..., Awaitable[Any]]:
    """Return a function that does nothing at every n-th call."""
    count = itertools.count(1)

    async def patched(*given: Any, **named: Any) -> Any:
        return None if next(count) % every == 0 else await real(*given, **named)

    return patched


def _forgetting(field: str) -> Callable[..., Awaitable[Any]]:
    """Return an update of jobs that leaves a field as it was, every other time."""
    real = jobs.update_job
    count = itertools.count()

    async def patched(tx: Any, job_id: str, changes: dict[str, Any]) -> None:
        if field in changes and next(count) % 2 == 0:
            changes = {name: changes[name] for name in changes if name != field}
        await real(tx, job_id, changes)

    return patched


async def _everybodys(reader: Any, _worker: str) -> list[Any]:
    running = await jobs.find_in_state(reader, "running")
    return running + await jobs.find_in_state(reader, "terminating")


class LazyConnection(Connection):
    """Says that it has committed, and commits when the next transaction begins."""

    is_lazy = True

    def execute(self, text: str, values: Any = ()) -> Any:
        """Run a statement; a transaction that was only said to be kept is kept now."""
        if text.startswith("BEGIN") and self.raw.in_transaction:
            self.execute_raw("COMMIT")
        return super().execute(text, values)

    def commit(self) -> Any:
        """Keep nothing yet."""
        point, self.crash_at = self.crash_at, None
        if point is not None:
            raise platform.CrashError
        return self.execute_raw("SELECT 1")

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open, as far as the caller knows."""
        return False


async def _append_unsynced(self: SimulatedLogs, job: str, attempt: int, **named: Any) -> None:
    """Keep a batch in the page cache only: a crash loses the last one."""
    key = (job, attempt)
    self.unsynced[key] = (len(self._entries.get(key, [])), dict(self._cursors.get(key, {})))
    await MemoryLogs.append_lines(self, job, attempt, **named)


def _over_at_once(state: str, stages: Collection[str]) -> Event | None:
    """Say that an analysis is over with the first stage that fails."""
    if "failed" in stages:
        return Event.ALL_OVER_ONE_FAILED
    return _event_of(state, stages)


async def _first_only(reader: Any, row: Any) -> dict[str, Any]:
    found = await _assembled(reader, row)
    first = str(row.stages[0]["id"])
    return {name: value for name, value in found.items() if name.startswith(f"{first}.")}


_event_of = analysis_states.event_of
_assembled = analysis_outputs.assembled
BUGS: Final[dict[str, Bug]] = {
    "fence-off": Bug(
        "a worker that lost its lease may report",
        ("I2", "I3", "I6"),
        lambda: [mock.patch.object(internal, "_require_lease", _own_name_only)],
    ),
    "double-output": Bug(
        "a new try has the number of the old one, whose output then counts as well",
        ("I2",),
        lambda: [mock.patch.object(jobs, "update_job", _forgetting("attempt"))],
    ),
    "lease-ignored": Bug(
        "a try is given to every worker that asks",
        ("I2",),
        lambda: [mock.patch.object(jobs, "find_of_worker", _everybodys)],
    ),
    "wake-dropped": Bug(
        "one in twenty wake-ups is forgotten",
        ("I1", "I14"),
        lambda: [mock.patch.object(waking, "_wake", _sometimes(waking._wake, 20))],
    ),
    "nonce-ignored": Bug(
        "a repeated call is carried out again",
        ("I1",),
        lambda: [mock.patch.object(nonces, "read", return_value=None)],
    ),
    "effect-dropped": Bug(
        "the output of a done job is not put into its project",
        ("I3",),
        lambda: [mock.patch.object(outputs, "clone", _nothing)],
    ),
    "token-outlives-try": Bug(
        "the token of a try is not removed at its end",
        ("I9", "I2"),
        lambda: [mock.patch.object(users, "remove_job_tokens", _nothing)],
    ),
    "token-cached": Bug(
        "a token that was removed is still remembered",
        ("I9",),
        lambda: [mock.patch.object(Authenticator, "forget")],
    ),
    "log-sequence-reset": Bug(
        "a worker that asks how far a log is kept is told: not at all",
        ("I6",),
        lambda: [
            mock.patch.object(MemoryLogs, "cursors", _no_cursors),
            mock.patch.object(memory, "require_place"),
        ],
    ),
    "log-repeated": Bug(
        "a batch of lines that comes late or twice is kept again",
        ("I6",),
        lambda: [mock.patch.object(memory, "require_place")],
    ),
    "log-not-synced": Bug(
        "a batch of lines is acknowledged before it is on the disk",
        ("I6",),
        lambda: [mock.patch.object(SimulatedLogs, "append_lines", _append_unsynced)],
    ),
    "commit-after-reply": Bug(
        "a call is answered before its transaction is on the disk",
        ("I1", "I2", "I3", "I6"),
        lambda: [mock.patch.object(platform, "Connection", LazyConnection)],
    ),
    "child-forgotten": Bug(
        "a job does not wait for its sub-jobs",
        ("I13",),
        lambda: [mock.patch.object(jobs, "find_unfinished_children", _none_left)],
    ),
    "reuse-unlike": Bug(
        "a job is given the outputs of any other of its executable",
        ("I2",),
        lambda: [mock.patch.object(reuse, "key", lambda executable, *_: executable)],
    ),
    "history-forgotten": Bug(
        "a move is not written into the history",
        ("I4",),
        lambda: [mock.patch.object(jobs, "update_job", _forgetting("state_transitions"))],
    ),
    "failure-not-counted": Bug(
        "a restart is not counted",
        ("I7",),
        lambda: [mock.patch.object(jobs, "update_job", _forgetting("failure_counts"))],
    ),
    "try-not-kept": Bug(
        "an earlier try is not kept",
        ("I2",),
        lambda: [mock.patch.object(jobs, "add_try", _nothing)],
    ),
    "stage-end-dropped": Bug(
        "one in six ends of stages is not told to the analysis",
        ("I1", "I14"),
        lambda: [mock.patch.object(settle, "stage_ended", _sometimes(settle.stage_ended, 6))],
    ),
    "all-stages-fall": Bug(
        "a stage takes all others with it, whatever its policy says",
        ("I15",),
        lambda: [mock.patch.object(analyses, "_falls_alone", return_value=False)],
    ),
    "no-stage-falls": Bug(
        "a stage fails alone, whatever its policy says",
        ("I15",),
        lambda: [mock.patch.object(analyses, "_falls_alone", return_value=True)],
    ),
    "analysis-without-reason": Bug(
        "an analysis does not say for what it failed",
        ("I15",),
        lambda: [mock.patch.object(analyses, "_with_failure", return_value={})],
    ),
    "analysis-over-early": Bug(
        "an analysis has failed before its other stages are over",
        ("I13",),
        lambda: [mock.patch.object(analysis_states, "event_of", _over_at_once)],
    ),
    "analysis-output-cut": Bug(
        "an analysis puts out what its first stage does",
        ("I3",),
        lambda: [mock.patch.object(analysis_outputs, "assembled", _first_only)],
    ),
    "workspace-left": Bug(
        "the workspace of a tree that is over is not removed",
        ("places",),
        lambda: [mock.patch.object(settle, "remove_container", _nothing)],
    ),
}


@contextlib.contextmanager
def put_in(name: str | None) -> Iterator[None]:
    """Put a bug in for the time of a block; None puts in none."""
    with contextlib.ExitStack() as stack:
        for patch in BUGS[name].patches() if name else ():
            stack.enter_context(patch)
        yield
