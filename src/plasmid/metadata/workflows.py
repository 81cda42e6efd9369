"""What was run of workflows, and which are needed no more."""

from __future__ import annotations

from collections.abc import Collection

import msgspec
import sqlalchemy as sa

from plasmid.metadata import analyses, schema
from plasmid.metadata.database import Prepared, Reader, listed, param

_a, _o, _p = schema.analyses.c, schema.objects.c, schema.placements.c
# A temporary one that somebody has closed or shows is kept: the client does neither.
_left_over = (
    sa.select(_p.container, _p.object)
    .join_from(schema.objects, schema.placements, _p.object == _o.id)
    .where(
        _o.hidden,
        _o.state == "open",
        _p.modified_ms < param("t"),
        sa.func.json_extract(_o.body, "$.temporary"),
        ~sa.exists().where(
            _a.executable == _o.id,
            sa.or_(_a.state.in_(analyses.UNFINISHED), _a.modified_ms >= param("t")),
        ),
    )
)
_LEFT_OVER = Prepared(_left_over.where(_o.class_name == "workflow").limit(param("n")))
_STILL_LEFT_OVER = Prepared(_left_over.where(_o.id.in_(listed("ids"))))


class Latest(msgspec.Struct, frozen=True):
    """The newest run of an executable in the projects that were not left out."""

    id: str
    project: str
    created_ms: int
    state: str


async def find_left_over(reader: Reader, before_ms: int, limit: int) -> list[tuple[str, str]]:
    """Return where temporary workflows lie, and their ids, of which nothing was run since a time.

    Nor is anything of them that is not over.
    """
    found = await reader.rows(_LEFT_OVER, {"t": before_ms, "n": limit})
    return [(str(row[0]), str(row[1])) for row in found]


async def still_left_over(
    reader: Reader, before_ms: int, found: Collection[tuple[str, str]]
) -> list[tuple[str, str]]:
    """Return those of some that `find_left_over` has found that are so now."""
    ids = msgspec.json.encode([workflow for _, workflow in found]).decode()
    still = await reader.rows(_STILL_LEFT_OVER, {"t": before_ms, "ids": ids})
    return [(str(row[0]), str(row[1])) for row in still]


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
