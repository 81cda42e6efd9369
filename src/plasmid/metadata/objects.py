"""Data objects: rows, where they lie, their links and their parts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from plasmid.metadata import projects, rows, schema
from plasmid.metadata.database import Prepared, Reader, Transaction, param
from plasmid.metadata.rows import ObjectRow, PartRow, PlacementRow

_o, _p, _l, _t = schema.objects.c, schema.placements.c, schema.links.c, schema.parts.c
_GET = Prepared(sa.select(schema.objects).where(_o.id == param("k")))
_PLACEMENTS = Prepared(
    sa.select(schema.placements).where(_p.object == param("k")).order_by(_p.container)
)
_PLACEMENT = Prepared(
    sa.select(schema.placements).where(_p.container == param("c"), _p.object == param("k"))
)
_NAMED = Prepared(
    sa.select(schema.placements)
    .where(_p.container == param("c"), _p.folder == param("f"), _p.name == param("n"))
    .order_by(_p.object)
)
_DROP_PLACEMENT = Prepared(
    sa.delete(schema.placements).where(_p.container == param("c"), _p.object == param("k"))
)
_ADD_LINK = Prepared(sa.insert(schema.links))
_DROP_LINKS = Prepared(sa.delete(schema.links).where(_l.source == param("k")))
_PARTS = Prepared(sa.select(schema.parts).where(_t.object == param("k")).order_by(_t.part))
_PART = Prepared(sa.select(schema.parts).where(_t.object == param("k"), _t.part == param("i")))
_DROP_PART = Prepared(sa.delete(schema.parts).where(_t.object == param("k"), _t.part == param("i")))
_PLACED = Prepared(sa.select(_p.object).where(_p.object == param("k")).limit(1))


async def find_object(reader: Reader, object_id: str) -> ObjectRow | None:
    """Return a data object, or None."""
    return await reader.struct(ObjectRow, _GET, {"k": object_id})


async def find_objects(reader: Reader, object_ids: Iterable[str]) -> dict[str, ObjectRow]:
    """Return those of the objects that exist, by id."""
    statement = sa.select(schema.objects).where(_o.id.in_(list(object_ids)))
    return {row.id: row for row in await reader.structs(ObjectRow, statement)}


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
    statement = sa.select(schema.placements).where(
        _p.container == container_id, _p.object.in_(list(object_ids))
    )
    return await reader.structs(PlacementRow, statement)


async def find_named(
    reader: Reader, container_id: str, folder: str, name: str
) -> list[PlacementRow]:
    """Return the places of the objects of a name directly in a folder."""
    return await reader.structs(PlacementRow, _NAMED, {"c": container_id, "f": folder, "n": name})


async def find_in_folder(reader: Reader, container_id: str, folder: str) -> list[PlacementRow]:
    """Return the places of the objects directly in a folder, by name."""
    statement = (
        sa.select(schema.placements)
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
    return [str(row[0]) for row in await reader.rows(statement)]


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
    statement = sa.select(_l.target).where(_l.source.in_(list(object_ids))).distinct()
    return [str(row[0]) for row in await reader.rows(statement)]


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


async def remove_placement(tx: Transaction, container_id: str, object_id: str) -> None:
    """Take an object out of a container; the object goes when it lies nowhere."""
    await tx.execute(_DROP_PLACEMENT, {"c": container_id, "k": object_id})
    if await tx.row(_PLACED, {"k": object_id}) is None:
        await tx.execute(_DROP_LINKS, {"k": object_id})
        await tx.execute(sa.delete(schema.objects).where(_o.id == object_id))


async def set_links(tx: Transaction, object_id: str, targets: Sequence[str]) -> None:
    """Say to which objects an object links."""
    await tx.execute(_DROP_LINKS, {"k": object_id})
    for target in targets:
        await tx.execute(_ADD_LINK, {"source": object_id, "target": target})


async def find_hidden_orphans(
    reader: Reader, container_id: str, candidates: Iterable[str]
) -> list[str]:
    """Return the hidden ones of the objects to which no object of the container links."""
    source = sa.alias(schema.placements)
    linked = (
        sa.select(_l.source)
        .join(source, source.c.object == _l.source)
        .where(_l.target == _o.id, source.c.container == container_id)
        .exists()
    )
    statement = (
        sa.select(_o.id)
        .join(schema.placements, _p.object == _o.id)
        .where(
            _p.container == container_id,
            _o.id.in_(list(candidates)),
            _o.hidden == 1,
            sa.not_(linked),
        )
    )
    return [str(row[0]) for row in await reader.rows(statement)]


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
    gone = sa.not_(sa.select(_o.id).where(_o.id == _t.object).exists())
    return await reader.structs(PartRow, sa.select(schema.parts).where(gone).limit(limit))


async def remove_part(tx: Transaction, part: PartRow) -> None:
    """Forget a part."""
    await tx.execute(_DROP_PART, {"k": part.object, "i": part.part})
