"""The topics that wake the readers of logs."""

from __future__ import annotations


def log(job_id: str) -> str:
    """Return the topic of one job's log."""
    return f"log:{job_id}"
