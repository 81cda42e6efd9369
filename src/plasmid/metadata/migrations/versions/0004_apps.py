# ruff: noqa: INP001 - Alembic runs the files of a folder
"""Apps with their versions, and what containers of executions belong to.

Tokens get what they could not have before: those of jobs and narrowed ones make no apps. Workspaces
that were kept after their tree are removed three days from now.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, PrimaryKeyConstraint, Text

revision = "0004"
down_revision = "0003"

_MAY_NOT_DEVELOP = """
UPDATE tokens SET actor = json_set(actor, '$.may_develop', json('false'))
WHERE job IS NOT NULL OR json_extract(actor, '$.scope') IS NOT NULL
"""
_OF_TREES_THAT_ARE_OVER = """
UPDATE containers SET destroy_at_ms = (strftime('%s', 'now') + 259200) * 1000
WHERE id IN (
    SELECT workspace FROM jobs WHERE root_execution NOT IN (
        SELECT root_execution FROM jobs WHERE state NOT IN ('done', 'failed', 'terminated')
    )
)
"""


def upgrade() -> None:
    """Add the tables of apps, and to containers what they are, whose, and until when."""
    for column in (
        Column("kind", Text, nullable=True),
        Column("app", Text, nullable=True),
        Column("destroy_at_ms", BigInteger, nullable=True),
    ):
        op.add_column("containers", column)
    op.create_index("containers_app", "containers", ["app"])
    op.create_index("containers_destroy_at", "containers", ["destroy_at_ms"])
    op.create_index("containers_project", "containers", ["project", "app"])
    op.create_table(
        "app_names",
        Column("name", Text, nullable=False),
        Column("bill_to", Text, nullable=False),
        Column("developers", Text, nullable=False),
        Column("authorized_users", Text, nullable=False),
        Column("categories", Text, nullable=False),
        PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "apps",
        Column("id", Text, nullable=False),
        Column("name", Text, nullable=False),
        Column("version", Text, nullable=False),
        Column("regional_options", Text, nullable=False),
        Column("created_by", Text, nullable=False),
        Column("created_ms", BigInteger, nullable=False),
        Column("modified_ms", BigInteger, nullable=False),
        Column("published_ms", BigInteger, nullable=True),
        Column("deleted_ms", BigInteger, nullable=True),
        PrimaryKeyConstraint("id"),
    )
    op.create_index("apps_name", "apps", ["name", "version"])
    op.create_table(
        "app_aliases",
        Column("name", Text, nullable=False),
        Column("alias", Text, nullable=False),
        Column("app", Text, nullable=False),
        PrimaryKeyConstraint("name", "alias"),
    )
    op.create_index("app_aliases_app", "app_aliases", ["app"])
    op.create_table(
        "app_installs",
        Column("user", Text, nullable=False),
        Column("name", Text, nullable=False),
        PrimaryKeyConstraint("user", "name"),
    )
    op.create_index("app_installs_name", "app_installs", ["name"])
    op.execute(_MAY_NOT_DEVELOP)
    op.execute(_OF_TREES_THAT_ARE_OVER)
