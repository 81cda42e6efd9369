"""The archival states of files where they lie (contract C.9)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
import sqlalchemy as sa

from plasmid.domain import archival
from plasmid.metadata import objects, projects, schema
from plasmid.metadata.database import Prepared, Reader, Transaction, listed, param

_o, _p, _c = schema.objects.c, schema.placements.c, schema.containers.c
_sibling, _payer = sa.alias(schema.placements), sa.alias(schema.containers)
_ASKED = (archival.ARCHIVAL, archival.ARCHIVED)

_paid_by = _p.container.in_(
    sa.select(_c.id).where(_c.bill_to == param("payer"), _c.class_name == "project")
)
_has_live_copy = (
    sa.select(_sibling.c.object)
    .join(_payer, _payer.c.id == _sibling.c.container)
    .where(
        _sibling.c.object == _p.object,
        _payer.c.bill_to == param("payer"),
        _payer.c.class_name == "project",
        sa.func.coalesce(_sibling.c.archival_state, archival.LIVE).not_in(_ASKED),
    )
    .exists()
)
_FILES = (
    sa.select(
        _p.object, _o.class_name, _o.state, _o.size_bytes, _p.archival_state, _p.archival_until_ms
    )
    .select_from(schema.placements)
    .join(schema.objects, _o.id == _p.object)
    .where(_p.container == param("c"))
)
_NAMED = Prepared(_FILES.where(_p.object.in_(listed("ids"))))
_SET = Prepared(
    sa.update(schema.placements)
    .where(_p.container == param("c"), _p.object.in_(listed("ids")))
    .values(archival_state=param("state"), archival_until_ms=param("until"))
)
_ARCHIVE_COPIES = Prepared(
    sa.update(schema.placements)
    .where(
        _p.object.in_(listed("ids")),
        _paid_by,
        sa.or_(
            _p.archival_state.is_(None),
            sa.and_(
                _p.archival_state == archival.UNARCHIVING, _p.archival_until_ms <= param("now")
            ),
        ),
    )
    .values(archival_state=archival.ARCHIVAL, archival_until_ms=None)
)
_COMPLETE = Prepared(
    sa.update(schema.placements)
    .where(
        _p.object.in_(listed("ids")),
        _p.archival_state == archival.ARCHIVAL,
        _paid_by,
        sa.not_(_has_live_copy),
    )
    .values(archival_state=archival.ARCHIVED)
)
_KEEP_ASKED = Prepared(
    sa.update(schema.placements)
    .where(_p.object.in_(listed("ids")), _p.archival_state == archival.ARCHIVED, _paid_by)
    .values(archival_state=archival.ARCHIVAL)
)


class Copy(msgspec.Struct, frozen=True):
    """A data object in a container: what archival needs to know of it."""

    id: str
    class_name: str
    object_state: str
    size_bytes: int
    state: str


async def find_copies(
    reader: Reader, container_id: str, object_ids: Sequence[str], now_ms: int
) -> list[Copy]:
    """Return those of the objects that lie in a container."""
    found = []
    async for some in objects.parts_of(object_ids):
        named = await reader.rows(_NAMED, {"c": container_id, "ids": some})
        found += [_copy(row, now_ms) for row in named]
    return found


async def find_files_in(
    reader: Reader, container_id: str, folder: str, *, recurse: bool, now_ms: int
) -> list[Copy]:
    """Return the closed files of a folder, with `recurse` also those below it."""
    where = projects.inside(_p.folder, folder) if recurse else _p.folder == folder
    statement = _FILES.where(where, _o.class_name == "file", _o.state == "closed")
    found = []
    rows = await reader.aside.rows(statement, {"c": container_id})
    for start in range(0, len(rows), objects.FEW):
        found += [_copy(row, now_ms) for row in rows[start : start + objects.FEW]]
        await asyncio.sleep(0)
    return found


def _copy(row: tuple[object, ...], now_ms: int) -> Copy:
    object_id, class_name, object_state, size_bytes, kept, until_ms = row
    state = archival.state_of(kept, until_ms, now_ms)  # type: ignore[arg-type]
    return Copy(str(object_id), str(class_name), str(object_state), int(size_bytes or 0), state)  # type: ignore[call-overload]


async def archive(
    tx: Transaction, container_id: str, object_ids: Sequence[str], *, payer: str
) -> None:
    """Ask for the archival of live copies; those whose last copy that was are archived."""
    async for some in objects.parts_of(object_ids):
        values = {"c": container_id, "ids": some}
        await tx.execute(_SET, {**values, "state": archival.ARCHIVAL, "until": None})
        await tx.execute(_COMPLETE, {"ids": some, "payer": payer})


async def archive_all_copies(
    tx: Transaction, object_ids: Sequence[str], *, payer: str, now_ms: int
) -> None:
    """Archive every copy of files in the projects that an entity pays for."""
    async for some in objects.parts_of(object_ids):
        values = {"ids": some, "payer": payer}
        await tx.execute(_ARCHIVE_COPIES, {**values, "now": now_ms})
        await tx.execute(_COMPLETE, values)


async def unarchive(
    tx: Transaction, container_id: str, copies: Sequence[Copy], *, payer: str, now_ms: int
) -> None:
    """Bring copies back: what was only asked for is live again, the rest soon."""
    by_state: dict[str, list[str]] = {archival.ARCHIVAL: [], archival.ARCHIVED: []}
    for copy in copies:
        by_state[copy.state].append(copy.id)
    soon = {"state": archival.UNARCHIVING, "until": now_ms + archival.UNARCHIVING_MS}
    async for some in objects.parts_of(by_state[archival.ARCHIVED]):
        await tx.execute(_SET, {"c": container_id, "ids": some, **soon})
        # the other copies of what comes back are no longer all there is
        await tx.execute(_KEEP_ASKED, {"ids": some, "payer": payer})
    async for some in objects.parts_of(by_state[archival.ARCHIVAL]):
        live = {"state": None, "until": None}
        await tx.execute(_SET, {"c": container_id, "ids": some, **live})
