"""What jobs and analyses tell alike: where in their tree they stand, and how long that takes."""

from __future__ import annotations

from typing import Any, Final

from plasmid.executions import launch
from plasmid.metadata.rows import AnalysisRow, JobRow

_THRESHOLD: Final = "selectedTreeTurnaroundTimeThreshold"


def relations(row: JobRow | AnalysisRow) -> dict[str, Any]:
    """Return what an execution was launched by and what it belongs to."""
    analysis, stage = row.settings.get(launch.OF_ANALYSIS) or (None, None)
    return {
        "parentJob": row.parent_job,
        "parentJobTry": row.settings.get("parentJobTry"),
        "parentAnalysis": row.parent_analysis,
        "analysis": analysis,
        "stage": stage,
        "rootExecution": row.root_execution,
        "detachedFrom": row.detached_from,
        "detachedFromTry": row.settings.get("detachedFromTry"),
    }


def turnaround(row: JobRow | AnalysisRow, now_ms: int | None, *, is_over: bool) -> dict[str, Any]:
    """Return how long the tree of a root may take and has taken, in seconds; {} for others."""
    if row.id != row.root_execution:
        return {}
    found = {
        _THRESHOLD: row.settings.get(_THRESHOLD),
        f"{_THRESHOLD}From": row.settings.get(f"{_THRESHOLD}From", "system"),
    }
    ended_ms = row.state_transitions[-1]["setAt"] if is_over else now_ms
    if ended_ms is not None:
        found["treeTurnaroundTime"] = (ended_ms - row.created_ms) // 1000
    return found
