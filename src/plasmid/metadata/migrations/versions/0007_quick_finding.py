# ruff: noqa: INP001 - Alembic runs the files of a folder
"""Finding among many: names beside the order of results, and the few that are open or hidden."""

from __future__ import annotations

from alembic import op
from sqlalchemy import TextClause, text

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add names to what findDataObjects walks, and indexes of what few objects are."""
    latest: list[str | TextClause] = ["container", text("modified_ms DESC"), "object", "name"]
    for name, only in (
        ("modified", None), ("tagged", "tags != '[]'"), ("described", "properties != '{}'")
    ):  # fmt: skip
        op.drop_index(f"placements_{name}", "placements")
        op.create_index(
            f"placements_{name}", "placements", latest, sqlite_where=only and text(only)
        )
    for name, only in (("open", "state != 'closed'"), ("hidden", "hidden = 1")):
        op.create_index(f"objects_{name}", "objects", ["id"], sqlite_where=text(only))
