"""What was run of workflows."""

from __future__ import annotations

from collections.abc import Collection

import msgspec
import sqlalchemy as sa

from plasmid.metadata import schema
from plasmid.metadata.database import Reader

_a = schema.analyses.c


class Latest(msgspec.Struct, frozen=True):
    """The newest run of an executable in the projects that were not left out."""

    id: str
    project: str
    created_ms: int
    state: str


async def find_latest(
    reader: Reader, executable: str, *, without: Collection[str] = ()
) -> Latest | None:
    """Return the newest analysis of an executable outside some projects, or None."""
    statement = (
        sa.select(_a.id, _a.project, _a.created_ms, _a.state)
        .where(_a.executable == executable, _a.project.not_in(list(without)))
        .order_by(_a.created_ms.desc(), _a.id.desc())
        .limit(1)
    )
    for row in await reader.rows(statement):
        return Latest(str(row[0]), str(row[1]), int(row[2]), str(row[3]))
    return None
