"""The newest measurement of each running job, for its describe; its log keeps all of them.

They are in memory only: after a restart of the server the next ones come within a minute.
"""

from __future__ import annotations

import contextlib
from typing import Any, Final

import msgspec

from plasmid.domain import job_states, metrics
from plasmid.domain.assignments import LogEntry
from plasmid.logs.store import Lines
from plasmid.metadata.rows import JobRow

KEY: Final = "metrics"
# Of jobs whose end nobody reported the last one stays; the oldest make room.
_JOBS_MAX: Final = 20_000
# As such a line stands in a store; within a text a quotation mark has a backslash before it.
_MARK: Final = b'"level":%b,"msg":"' % msgspec.json.encode(metrics.LEVEL)
_decode = msgspec.json.Decoder(LogEntry).decode


class JobSamples:
    """What running jobs used at last."""

    def __init__(self) -> None:
        self._newest: dict[str, tuple[int, LogEntry]] = {}

    def note(self, job: str, attempt: int, lines: Lines) -> None:
        """Take in the measurements among the lines that came for a job's log."""
        if _MARK in lines.data:
            for line in lines.data.split(b"\n"):
                if _MARK in line:
                    with contextlib.suppress(msgspec.DecodeError):  # the log has it as it came
                        self._newest[job] = (attempt, _decode(line))
        while len(self._newest) > _JOBS_MAX:
            del self._newest[next(iter(self._newest))]

    def forget(self, job: str) -> None:
        """Drop what is known of a job that has ended."""
        self._newest.pop(job, None)

    def shown(self, row: JobRow) -> JobRow:
        """Return a running job with its newest measurement for its describe, if there is one."""
        attempt, entry = self._newest.get(row.id, (None, None))
        if entry is None or attempt != row.attempt or row.state != job_states.State.RUNNING:
            return row
        sample = metrics.kept(entry)
        if sample is None:
            return row
        newest: dict[str, Any] = {"timestamp": entry.timestamp, **metrics.columns(sample)}
        return msgspec.structs.replace(row, settings=row.settings | {KEY: newest})
