"""Data objects: rows, where they lie, their links and their parts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from plasmid.domain import folders
from plasmid.metadata import projects, rows, schema
from plasmid.metadata.database import Prepared, Reader, Transaction, listed, param
from plasmid.metadata.rows import ObjectRow, PartRow, PlacementRow

_o, _p, _l, _t = schema.objects.c, schema.placements.c, schema.links.c, schema.parts.c
_GET = Prepared(sa.select(schema.objects).where(_o.id == param("k")))
_SEVERAL = Prepared(sa.select(schema.objects).where(_o.id.in_(listed("ids"))))
_SEVERAL_PLACED = Prepared(
    sa.select(schema.placements).where(_p.container == param("c"), _p.object.in_(listed("ids")))
)
_COUNT = Prepared(sa.select(sa.func.count()).where(_p.container == param("c")))
_PLACEMENTS = Prepared(
    sa.select(schema.placements)
    .where(_p.object == param("k"))
    .order_by(sa.text("placements.rowid"))  # in the order in which it came to them
)
_PLACEMENT = Prepared(
    sa.select(schema.placements).where(_p.container == param("c"), _p.object == param("k"))
)
# SQLite would rather walk through all names of the container, which are in order.
_BY_FOLDER = schema.placements, "INDEXED BY placements_folder"
_NAMED = Prepared(
    sa.select(schema.placements)
    .with_hint(*_BY_FOLDER)
    .where(_p.container == param("c"), _p.folder == param("f"), _p.name == param("n"))
    .order_by(_p.object)
)
_ADD_LINK = Prepared(sa.insert(schema.links))
_DROP_LINKS = Prepared(sa.delete(schema.links).where(_l.source == param("k")))
_PART = Prepared(sa.select(schema.parts).where(_t.object == param("k"), _t.part == param("i")))
_DROP_PART = Prepared(sa.delete(schema.parts).where(_t.object == param("k"), _t.part == param("i")))
# Parts whose file is gone are marked, so that their collector need not look at all others. The
# operator may make a file of the same id anew before they are collected.
_IS_ORPHAN = sa.text("parts.state = 'orphan'")
_PARTS = Prepared(
    sa.select(schema.parts).where(_t.object == param("k"), _t.state != "orphan").order_by(_t.part)
)
_DROP_ORPHAN = Prepared(
    sa.delete(schema.parts).where(_t.object == param("k"), _t.part == param("i"), _IS_ORPHAN)
)
_ORPHANS = Prepared(sa.select(schema.parts).where(_IS_ORPHAN).limit(param("n")))


def _lies_nowhere(column: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    return sa.not_(sa.select(_p.object).where(_p.object == column).exists())


_REMOVALS = (
    Prepared(
        sa.delete(schema.placements).where(_p.container == param("c"), _p.object.in_(listed("ids")))
    ),
    *(
        Prepared(sa.delete(table).where(column.in_(listed("ids")), _lies_nowhere(column)))
        for table, column in ((schema.links, _l.source), (schema.objects, _o.id))
    ),
    Prepared(
        sa.update(schema.parts)
        .where(_t.object.in_(listed("ids")), _lies_nowhere(_t.object))
        .values(state="orphan")
    ),
)
_LINKS_OF = Prepared(sa.select(_l.target).where(_l.source.in_(listed("ids"))).distinct())
_LINKS_TO = Prepared(
    sa.select(_l.source, _l.target)
    .join(schema.placements, _p.object == _l.source)
    .where(_p.container == param("c"), _l.target.in_(listed("ids")))
)
_HIDDEN_IN = Prepared(
    sa.select(_o.id)
    .join(schema.placements, _p.object == _o.id)
    .where(_p.container == param("c"), _o.id.in_(listed("ids")), _o.hidden == 1)
)


def _encoded(object_ids: Iterable[str]) -> str:
    return msgspec.json.encode(list(object_ids)).decode()


def _ids(found: Sequence[tuple[Any, ...]]) -> list[str]:
    return [str(row[0]) for row in found]


async def find_object(reader: Reader, object_id: str) -> ObjectRow | None:
    """Return a data object, or None."""
    return await reader.struct(ObjectRow, _GET, {"k": object_id})


async def find_objects(reader: Reader, object_ids: Iterable[str]) -> dict[str, ObjectRow]:
    """Return those of the objects that exist, by id."""
    found = await reader.structs(ObjectRow, _SEVERAL, {"ids": _encoded(object_ids)})
    return {row.id: row for row in found}


async def find_placements(reader: Reader, object_id: str) -> list[PlacementRow]:
    """Return where an object lies."""
    return await reader.structs(PlacementRow, _PLACEMENTS, {"k": object_id})


async def find_placement(reader: Reader, container_id: str, object_id: str) -> PlacementRow | None:
    """Return an object's place in a container, or None."""
    return await reader.struct(PlacementRow, _PLACEMENT, {"c": container_id, "k": object_id})


async def find_placements_in(
    reader: Reader, container_id: str, object_ids: Iterable[str]
) -> list[PlacementRow]:
    """Return the places of those of the objects that lie in a container."""
    values = {"c": container_id, "ids": _encoded(object_ids)}
    return await reader.structs(PlacementRow, _SEVERAL_PLACED, values)


async def find_named(
    reader: Reader, container_id: str, folder: str, name: str
) -> list[PlacementRow]:
    """Return the places of the objects of a name directly in a folder."""
    return await reader.structs(PlacementRow, _NAMED, {"c": container_id, "f": folder, "n": name})


async def find_in_folder(reader: Reader, container_id: str, folder: str) -> list[PlacementRow]:
    """Return the places of the objects directly in a folder, by name."""
    statement = (
        sa.select(schema.placements)
        .with_hint(*_BY_FOLDER)
        .where(_p.container == container_id, _p.folder == folder)
        .order_by(_p.name, _p.object)
    )
    return await reader.structs(PlacementRow, statement)


async def find_ids_in(
    reader: Reader, container_id: str, folder: str = "/", limit: int | None = None
) -> list[str]:
    """Return the ids of the objects in a folder and below it, at most `limit`."""
    statement = (
        sa.select(_p.object)
        .where(_p.container == container_id, projects.inside(_p.folder, folder))
        .order_by(_p.object)
        .limit(limit)
    )
    if folder != folders.ROOT:
        statement = statement.with_hint(*_BY_FOLDER)
    return _ids(await reader.rows(statement))


async def count_in(reader: Reader, container_id: str) -> int:
    """Return how many objects lie in a container."""
    row = await reader.aside.late_row(_COUNT, {"c": container_id})
    return int(row[0]) if row else 0


async def find_visible_in(reader: Reader, container_id: str, folder: str) -> list[str]:
    """Return the ids of the visible objects in a folder and below it."""
    statement = (
        sa.select(_p.object)
        .join(schema.objects, _o.id == _p.object)
        .where(_p.container == container_id, projects.inside(_p.folder, folder), _o.hidden == 0)
        .order_by(_p.object)
    )
    return _ids(await reader.rows(statement))


async def find_visible_places(reader: Reader, container_id: str, folder: str) -> list[PlacementRow]:
    """Return the places of the closed, visible objects in a folder and below it."""
    statement = (
        sa.select(schema.placements)
        .join(schema.objects, _o.id == _p.object)
        .where(
            _p.container == container_id,
            projects.inside(_p.folder, folder),
            _o.hidden == 0,
            _o.state == "closed",
        )
        .order_by(_p.object)
    )
    return await reader.structs(PlacementRow, statement)


async def find_links_of(reader: Reader, object_ids: Iterable[str]) -> list[str]:
    """Return the ids to which any of the objects links."""
    return _ids(await reader.rows(_LINKS_OF, {"ids": _encoded(object_ids)}))


async def find_links_to(
    reader: Reader, container_id: str, object_ids: Iterable[str]
) -> list[tuple[str, str]]:
    """Return (source, target) of the links from objects of a container to any of the objects."""
    found = await reader.rows(_LINKS_TO, {"c": container_id, "ids": _encoded(object_ids)})
    return [(str(row[0]), str(row[1])) for row in found]


async def find_hidden_in(reader: Reader, container_id: str, object_ids: Iterable[str]) -> list[str]:
    """Return those of the objects that lie in a container and are hidden."""
    return _ids(await reader.rows(_HIDDEN_IN, {"c": container_id, "ids": _encoded(object_ids)}))


async def update_object(tx: Transaction, object_id: str, changes: dict[str, Any]) -> None:
    """Change some fields of an object."""
    values = rows.changes(ObjectRow, changes)
    await tx.update(schema.objects, {"id": object_id}, values)


async def update_placement(
    tx: Transaction, placement: PlacementRow, changes: dict[str, Any]
) -> None:
    """Change some fields of an object's place."""
    values = rows.changes(PlacementRow, changes)
    where = {"container": placement.container, "object": placement.object}
    await tx.update(schema.placements, where, values)


async def remove_placements(tx: Transaction, container_id: str, object_ids: Iterable[str]) -> None:
    """Take objects out of a container; those that then lie nowhere go, with their links."""
    values = {"c": container_id, "ids": _encoded(object_ids)}
    for statement in _REMOVALS:
        await tx.execute(statement, values)


async def set_links(tx: Transaction, object_id: str, targets: Sequence[str]) -> None:
    """Say to which objects an object links."""
    await tx.execute(_DROP_LINKS, {"k": object_id})
    for target in targets:
        await tx.execute(_ADD_LINK, {"source": object_id, "target": target})


async def find_parts(reader: Reader, object_id: str) -> list[PartRow]:
    """Return a file's parts by index."""
    return await reader.structs(PartRow, _PARTS, {"k": object_id})


async def find_part(reader: Reader, object_id: str, part: int) -> PartRow | None:
    """Return one part, or None."""
    return await reader.struct(PartRow, _PART, {"k": object_id, "i": part})


async def put_part(tx: Transaction, part: PartRow) -> None:
    """Keep a part, in place of one with the same index."""
    await tx.execute(_DROP_PART, {"k": part.object, "i": part.part})
    await tx.add(part)


async def find_orphan_parts(reader: Reader, limit: int) -> list[PartRow]:
    """Return parts whose file is gone, for the collector of bytes."""
    return await reader.structs(PartRow, _ORPHANS, {"n": limit})


async def remove_orphan_part(tx: Transaction, part: PartRow) -> None:
    """Forget a part whose file is gone; one that has come in its place meanwhile stays."""
    await tx.execute(_DROP_ORPHAN, {"k": part.object, "i": part.part})
