# ruff: noqa: INP001 - Alembic runs the files of a folder
"""The queue of runnable jobs is read by index."""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add indexes of runnable jobs by kind and by age, and of jobs started apart by others."""
    is_runnable = text("state = 'runnable'")
    op.create_index(
        "jobs_queue",
        "jobs",
        [
            "launched_by",
            "priority",
            "instance_type",
            text("(parent_job IS NULL AND detached_from IS NULL)"),
            text("rank DESC"),
            "created_ms",
            "id",
        ],
        sqlite_where=is_runnable,
    )
    op.create_index("jobs_queue_age", "jobs", ["priority", "created_ms"], sqlite_where=is_runnable)
    op.create_index(
        "jobs_detached",
        "jobs",
        ["detached_from"],
        sqlite_where=text("detached_from IS NOT NULL"),
    )
