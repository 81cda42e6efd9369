# ruff: noqa: INP001 - Alembic runs the files of a folder
"""How Alembic runs the migrations: on the connection that it is given, in its transaction."""

from __future__ import annotations

from alembic import context

from plasmid.metadata import schema

# SQLite cannot change a column in place: batch mode makes the table anew and moves the rows.
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=schema.tables,
    render_as_batch=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
