"""Hold a failed job for debugging: its sandbox stays as it is, its failure is postponed (H.5).

A job whose failure `debug.debugOn` names is held until somebody terminates it, the limit of the
site is over, or its sandbox is gone; then it has failed for its original reason, whatever ended the
hold, and its tree with it. Until then the other jobs go on, and what waits for it waits. A failure
elsewhere in the tree ends no hold: only a termination does, or a new try of its master job.
"""

from __future__ import annotations

from typing import Any, Final

from plasmid.domain.failures import JobFailure
from plasmid.domain.job_states import Event
from plasmid.executions import advance
from plasmid.executions.world import Moment
from plasmid.metadata.rows import JobRow

HOLD: Final = "hold"


async def begin(moment: Moment, row: JobRow, failure: JobFailure, *, until_ms: int) -> JobRow:
    """Hold a running job that has failed; return it as it now is."""
    held: dict[str, Any] = {
        "failureReason": failure.reason,
        "failureMessage": failure.message,
        "until": until_ms,
    }
    changes = {"settings": row.settings | {HOLD: held}}
    return await advance.apply(moment, row, Event.FAILED_AND_HELD, changes)


def original(row: JobRow) -> JobFailure | None:
    """Return why a job is or was held; None for one that never was in this try."""
    held = row.settings.get(HOLD)
    return JobFailure(held["failureReason"], held["failureMessage"]) if held else None


def until_ms(row: JobRow) -> int:
    """Return when the hold of a held job ends at the latest."""
    return int(row.settings[HOLD]["until"])
