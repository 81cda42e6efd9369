"""Bring a database to this version's tables.

An empty database is made from `schema` at once; an older one goes through the migrations of
Alembic, which is imported only then. tests/contract/test_migrations.py proves that both give the
same tables.
"""

from __future__ import annotations

import sqlite3
from functools import cache
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from plasmid.metadata import schema

HEAD: Final = "0007"
SCRIPTS: Final = Path(__file__).parent / "migrations"


class MigrationError(sqlite3.DatabaseError):
    """The database cannot be brought up to date; it is as it was."""


def bring_up_to_date(connection: sqlite3.Connection) -> None:
    """Create or migrate the tables; raises MigrationError, also for a version unknown here."""
    version = _version_of(connection)
    if version is None:
        _create(connection)
    elif version != HEAD:
        _upgrade(connection, version)


def _version_of(connection: sqlite3.Connection) -> str | None:
    found = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'alembic_version'"
    ).fetchone()
    if not found:
        return None
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(row[0]) if row else None


@cache
def _statements() -> tuple[str, ...]:
    """Return the statements that make all tables and their indexes."""
    found = []
    for table in schema.tables.sorted_tables:
        found.append(str(CreateTable(table)))
        by_name = sorted(table.indexes, key=lambda index: str(index.name))
        found += [str(CreateIndex(index).compile(dialect=sqlite.dialect())) for index in by_name]
    return tuple(found)


def _create(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for statement in _statements():
        connection.execute(statement)
    connection.execute(
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL,"
        " CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
    )
    connection.execute("INSERT INTO alembic_version VALUES (?)", (HEAD,))
    connection.execute("COMMIT")


def _upgrade(connection: sqlite3.Connection, version: str) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    try:
        ScriptDirectory.from_config(config).get_revision(version)
    except CommandError as error:
        raise MigrationError(
            f"it was written by a newer Plasmid (version {version}; this one knows up to {HEAD});"
            " install that one, or restore a backup from before"
        ) from error
    engine = sa.create_engine("sqlite://", creator=lambda: connection, poolclass=sa.StaticPool)
    try:
        with engine.begin() as bound:
            # SQLAlchemy leaves this to the driver, which is told to leave it to us
            connection.execute("BEGIN IMMEDIATE")
            config.attributes["connection"] = bound
            command.upgrade(config, HEAD)
    except (CommandError, sa.exc.SQLAlchemyError, sqlite3.DatabaseError) as error:
        raise MigrationError(
            f"it cannot be brought from version {version} to {HEAD}"
            f" ({str(error).splitlines()[0]}); nothing was changed"
        ) from error
