# ruff: noqa: INP001 - Alembic runs the files of a folder
"""Analyses and the jobs of their stages, orgs and their members, archival, reuse of outputs."""

from __future__ import annotations

from alembic import op
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    PrimaryKeyConstraint,
    Text,
    TextClause,
    text,
)

revision = "0006"
down_revision = "0005"

_ANALYSIS_TEXTS = (
    "state", "name", "executable", "executable_name", "project", "folder", "workspace", "region",
    "bill_to", "launched_by",
)  # fmt: skip


def upgrade() -> None:
    """Add the tables of analyses and orgs, and columns to users, placements and jobs."""
    op.add_column("users", Column("settings", Text, nullable=False, server_default="{}"))
    op.add_column("placements", Column("archival_state", Text, nullable=True))
    op.add_column("placements", Column("archival_until_ms", BigInteger, nullable=True))
    op.create_index(
        "containers_bill_to",
        "containers",
        ["bill_to"],
        sqlite_where=text("class_name = 'project'"),
    )
    _orgs()
    _analyses()
    _finding()
    for name in ("parent_analysis", "stage", "reuse_key"):
        op.add_column("jobs", Column(name, Text, nullable=True))
    op.create_index(
        "jobs_find_analysis",
        "jobs",
        ["parent_analysis", "created_ms", "id"],
        sqlite_where=text("parent_analysis IS NOT NULL"),
    )
    op.create_index(
        "jobs_reuse",
        "jobs",
        ["reuse_key", "created_ms"],
        sqlite_where=text("reuse_key IS NOT NULL"),
    )


def _finding() -> None:
    """Add what finding and collecting walk through; parts whose file is gone are marked."""
    op.drop_index("placements_modified", "placements")
    op.create_index("placements_name", "placements", ["container", "name", "object"])
    latest: list[str | TextClause] = ["container", text("modified_ms DESC"), "object"]
    for name, only in (
        ("modified", None), ("tagged", "tags != '[]'"), ("described", "properties != '{}'")
    ):  # fmt: skip
        op.create_index(
            f"placements_{name}", "placements", latest, sqlite_where=only and text(only)
        )
    op.create_index("objects_class", "objects", ["class_name"])
    op.create_index(
        "parts_orphan", "parts", ["object", "part"], sqlite_where=text("state = 'orphan'")
    )
    op.execute("UPDATE parts SET state = 'orphan' WHERE object NOT IN (SELECT id FROM objects)")
    op.create_index(
        "jobs_find_masters",
        "jobs",
        ["project", "created_ms", "id"],
        sqlite_where=text("(function = 'main' OR parent_job IS NULL)"),
    )


def _orgs() -> None:
    op.create_table(
        "orgs",
        *(Column(name, Text, nullable=False) for name in ("id", "handle", "name")),
        *(Column(name, Text, nullable=False) for name in ("policies", "settings", "created_by")),
        Column("created_ms", BigInteger, nullable=False),
        PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "org_members",
        *(Column(name, Text, nullable=False) for name in ("org", "user", "level", "access")),
        PrimaryKeyConstraint("org", "user"),
    )
    op.create_index("org_members_user", "org_members", ["user"])


def _analyses() -> None:
    op.create_table(
        "analyses",
        Column("id", Text, nullable=False),
        *(Column(name, Text, nullable=False) for name in _ANALYSIS_TEXTS),
        *(Column(name, Text, nullable=True) for name in ("parent_job", "parent_analysis", "stage")),
        Column("root_execution", Text, nullable=False),
        Column("detached_from", Text, nullable=True),
        *(Column(name, BigInteger, nullable=False) for name in ("created_ms", "modified_ms")),
        Column("priority", Text, nullable=False),
        Column("rank", BigInteger, nullable=False),
        *(Column(name, Text, nullable=False) for name in ("tags", "properties")),
        Column("state_transitions", Text, nullable=False),
        *(Column(name, Text, nullable=False) for name in ("run_input", "original_input", "input")),
        Column("output", Text, nullable=True),
        *(Column(name, Text, nullable=False) for name in ("depends_on", "stages", "workflow")),
        Column("settings", Text, nullable=False),
        PrimaryKeyConstraint("id"),
        CheckConstraint(
            "state IN ('in_progress','partially_failed','done','failed',"
            "'terminating','terminated')",
            name="analyses_state",
        ),
    )
    op.create_index("analyses_find_project", "analyses", ["project", "created_ms", "id"])
    op.create_index("analyses_root", "analyses", ["root_execution", "state"])
    op.create_index("analyses_executable", "analyses", ["executable", "created_ms", "id"])
    for name in ("parent_job", "parent_analysis"):
        op.create_index(
            f"analyses_{name}", "analyses", [name], sqlite_where=text(f"{name} IS NOT NULL")
        )
