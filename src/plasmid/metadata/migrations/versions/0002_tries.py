# ruff: noqa: INP001 - Alembic runs the files of a folder
"""Earlier tries of jobs are kept."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, PrimaryKeyConstraint, Text

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the table of tries."""
    op.create_table(
        "tries",
        Column("job", Text, nullable=False),
        Column("attempt", BigInteger, nullable=False),
        Column("row", Text, nullable=False),
        PrimaryKeyConstraint("job", "attempt"),
    )
