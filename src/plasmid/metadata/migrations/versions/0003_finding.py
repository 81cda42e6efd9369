# ruff: noqa: INP001 - Alembic runs the files of a folder
"""Jobs are found by index, and waits say what is wanted of each source."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, Text, text

revision = "0003"
down_revision = "0002"

_REPLACED = ("project_created", "origin", "parent", "launched_by", "created")


def upgrade() -> None:
    """Add the column and exchange the indexes."""
    op.add_column("waits", Column("wanted", Text, nullable=True))
    for name in _REPLACED:
        op.drop_index(f"jobs_{name}", "jobs")
    is_subjob = text("parent_job IS NOT NULL")
    op.create_index("jobs_parent", "jobs", ["parent_job", "state"], sqlite_where=is_subjob)
    for name, columns, only in (
        ("project", ("project",), None),
        ("state", ("project", "state"), None),
        ("launched_by", ("project", "launched_by"), None),
        ("executable", ("project", "executable"), None),
        ("name", ("project", "name"), None),
        ("roots", ("project",), text("parent_job IS NULL")),
        ("retried", ("project",), text("attempt > 0")),
        ("tree", ("root_execution",), None),
        ("origin", ("origin_job",), None),
        ("parent", ("parent_job",), text("parent_job IS NOT NULL")),
    ):
        every = [*columns, "created_ms", "id"]
        op.create_index(f"jobs_find_{name}", "jobs", every, sqlite_where=only)
