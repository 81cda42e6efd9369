"""Rows that name what is not there: each kind with the query that finds it and how it is undone."""

from __future__ import annotations

from typing import Final

import msgspec
import sqlalchemy as sa

from plasmid.domain import ids
from plasmid.metadata import schema
from plasmid.metadata.database import Prepared, Reader, Transaction

FOUND_MAX: Final = 1000

_p, _o, _f = schema.placements.c, schema.objects.c, schema.folders.c
_m, _l, _c = schema.members.c, schema.links.c, schema.containers.c


class Kind(msgspec.Struct, frozen=True):
    """A contradiction: what it is, in words, and the rows of a table that are in it."""

    detail: str
    table: sa.Table
    subject: sa.Column[str]
    is_wrong: sa.ColumnElement[bool]


def _missing(column: sa.Column[str], key: sa.Column[str]) -> sa.ColumnElement[bool]:
    return sa.not_(sa.select(key).where(key == column).exists())


_FOLDER_MISSING = sa.and_(
    _p.folder != "/",
    sa.not_(sa.select(_f.path).where(_f.container == _p.container, _f.path == _p.folder).exists()),
)

KINDS: Final = (
    Kind(
        "a place names an object that is not there",
        schema.placements,
        _p.object,
        _missing(_p.object, _o.id),
    ),
    Kind(
        "lies in a project or container that is not there",
        schema.placements,
        _p.object,
        _missing(_p.container, _c.id),
    ),
    Kind(
        "lies in no project or container",
        schema.objects,
        _o.id,
        sa.and_(_missing(_o.id, _p.object), _o.class_name.not_in(sorted(ids.VERSIONED_CLASSES))),
    ),
    Kind(
        "a folder is in a project or container that is not there",
        schema.folders,
        _f.container,
        _missing(_f.container, _c.id),
    ),
    Kind(
        "has members but is not there",
        schema.members,
        _m.container,
        _missing(_m.container, _c.id),
    ),
    Kind("has links but is not there", schema.links, _l.source, _missing(_l.source, _o.id)),
    Kind(
        "waits but is not there",
        schema.waits,
        schema.waits.c.job,
        _missing(schema.waits.c.job, schema.jobs.c.id),
    ),
    Kind(
        "has earlier tries but is not there",
        schema.tries,
        schema.tries.c.job,
        _missing(schema.tries.c.job, schema.jobs.c.id),
    ),
    Kind(
        "has a token but is not there",
        schema.tokens,
        schema.tokens.c.job,
        sa.and_(schema.tokens.c.job.is_not(None), _missing(schema.tokens.c.job, schema.jobs.c.id)),
    ),
)


async def find(reader: Reader, kind: Kind) -> list[str]:
    """Return the ids that are in a contradiction, at most FOUND_MAX of them."""
    statement = sa.select(kind.subject).where(kind.is_wrong).distinct().limit(FOUND_MAX)
    return [str(row[0]) for row in await reader.rows(statement)]


async def undo(tx: Transaction, kind: Kind, subject: str) -> None:
    """Remove the rows of an id that are still in the contradiction."""
    await tx.execute(sa.delete(kind.table).where(kind.subject == subject, kind.is_wrong))


_LOST_FOLDERS = Prepared(
    sa.select(_p.container, _p.folder).where(_FOLDER_MISSING).distinct().limit(FOUND_MAX)
)


async def find_lost_folders(reader: Reader) -> list[tuple[str, str]]:
    """Return the folders in which objects lie that are not there themselves."""
    return [(str(row[0]), str(row[1])) for row in await reader.rows(_LOST_FOLDERS)]
