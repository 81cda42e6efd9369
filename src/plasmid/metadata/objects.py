"""Data objects: rows, where they lie, their links and their parts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from plasmid.domain import folders
from plasmid.metadata import projects, rows, schema
from plasmid.metadata.database import Prepared, Reader, Transaction, listed, param
from plasmid.metadata.rows import ObjectRow, PartRow, PlacementRow

# Of so many objects each statement is asked: between two of them others have their turn.
SOME: Final = 500
# So many are written on the loop.
AT_ONCE: Final = 100
# So many are read at once where all of them are wanted; more are read in a thread.
FEW: Final = 5_000

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
_CONTAINERS_OF = Prepared(
    sa.select(_p.container)
    .where(_p.object == param("k"))
    .order_by(sa.text("placements.rowid"))
    .limit(param("n"))
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


_MOVE = Prepared(
    sa.update(schema.placements)
    .where(_p.container == param("c"), _p.object.in_(listed("ids")))
    .values(folder=param("f"), modified_ms=param("t"))
)
_PRESENT = Prepared(
    sa.select(_p.object).where(_p.container == param("c"), _p.object.in_(listed("ids")))
)
_NAMES_IN_FOLDER = (
    sa.select(_p.object, _p.name)
    .with_hint(*_BY_FOLDER)
    .where(_p.container == param("c"), _p.folder == param("f"))
    .order_by(_p.name, _p.object)
    .limit(param("n"))
)
_ALL_IN_FOLDER = Prepared(_NAMES_IN_FOLDER)
_SHOWN_IN_FOLDER = Prepared(
    _NAMES_IN_FOLDER.join(schema.objects, _o.id == _p.object).where(_o.hidden == 0)
)
_PLACED_IN = (
    sa.select(_p.object).where(_p.container == param("c")).order_by(_p.object).limit(param("n"))
)
_IDS_IN = Prepared(_PLACED_IN)
_OPEN = Prepared(
    sa.select(_o.id).where(_o.id.in_(listed("ids")), _o.state != "closed").order_by(_o.id).limit(1)
)
_NOT_LIVE = Prepared(
    sa.select(schema.placements).where(
        _p.container == param("c"), _p.object.in_(listed("ids")), _p.archival_state.is_not(None)
    )
)
_ADD_PLACE = Prepared(sa.insert(schema.placements))


async def parts_of(object_ids: Iterable[str]) -> AsyncIterator[str]:
    """Yield the ids as JSON arrays of some each; others have their turn in between."""
    every = list(object_ids)
    for start in range(0, len(every), SOME):
        if start:
            await asyncio.sleep(0)
        yield msgspec.json.encode(every[start : start + SOME]).decode()


def _ids(found: Sequence[tuple[Any, ...]]) -> list[str]:
    return [str(row[0]) for row in found]


async def find_object(reader: Reader, object_id: str) -> ObjectRow | None:
    """Return a data object, or None."""
    return await reader.struct(ObjectRow, _GET, {"k": object_id})


async def find_objects(reader: Reader, object_ids: Iterable[str]) -> dict[str, ObjectRow]:
    """Return those of the objects that exist, by id."""
    found: dict[str, ObjectRow] = {}
    async for some in parts_of(object_ids):
        rows_of = await reader.structs(ObjectRow, _SEVERAL, {"ids": some})
        found.update((row.id, row) for row in rows_of)
    return found


async def find_placements(reader: Reader, object_id: str) -> list[PlacementRow]:
    """Return where an object lies."""
    return await reader.structs(PlacementRow, _PLACEMENTS, {"k": object_id})


async def find_containers_of(reader: Reader, object_id: str, limit: int) -> list[str]:
    """Return the first containers in which an object came to lie; -1 is for all of them."""
    return _ids(await reader.rows(_CONTAINERS_OF, {"k": object_id, "n": limit}))


async def find_placement(reader: Reader, container_id: str, object_id: str) -> PlacementRow | None:
    """Return an object's place in a container, or None."""
    return await reader.struct(PlacementRow, _PLACEMENT, {"c": container_id, "k": object_id})


async def find_placements_in(
    reader: Reader, container_id: str, object_ids: Iterable[str]
) -> list[PlacementRow]:
    """Return the places of those of the objects that lie in a container."""
    found: list[PlacementRow] = []
    async for some in parts_of(object_ids):
        values = {"c": container_id, "ids": some}
        found += await reader.structs(PlacementRow, _SEVERAL_PLACED, values)
    return found


async def find_present(reader: Reader, container_id: str, object_ids: Iterable[str]) -> set[str]:
    """Return those of the objects that lie in a container, by id alone."""
    found: set[str] = set()
    async for some in parts_of(object_ids):
        found.update(_ids(await reader.rows(_PRESENT, {"c": container_id, "ids": some})))
    return found


async def find_named(
    reader: Reader, container_id: str, folder: str, name: str
) -> list[PlacementRow]:
    """Return the places of the objects of a name directly in a folder."""
    return await reader.structs(PlacementRow, _NAMED, {"c": container_id, "f": folder, "n": name})


async def find_names_in_folder(
    reader: Reader, container_id: str, folder: str, *, with_hidden: bool = False
) -> Sequence[tuple[Any, ...]]:
    """Return id and name of the objects directly in a folder, by name."""
    statement = _ALL_IN_FOLDER if with_hidden else _SHOWN_IN_FOLDER
    values = {"c": container_id, "f": folder}
    found = await reader.rows(statement, {**values, "n": FEW + 1})
    return found if len(found) <= FEW else await reader.aside.rows(statement, {**values, "n": -1})


async def find_ids_in(
    reader: Reader, container_id: str, folder: str = "/", limit: int | None = None
) -> list[str]:
    """Return the ids of the objects in a folder and below it, at most `limit`."""
    few = limit is not None and limit <= FEW
    who = reader if few else reader.aside
    values = {"c": container_id, "n": -1 if limit is None else limit}
    if folder == folders.ROOT:
        return _ids(await who.rows(_IDS_IN, values))
    below = _PLACED_IN.where(projects.inside(_p.folder, folder)).with_hint(*_BY_FOLDER)
    return _ids(await who.rows(below, values))


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
    return _ids(await reader.aside.rows(statement))


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


async def find_open(reader: Reader, object_ids: Iterable[str]) -> str | None:
    """Return the id of one of the objects that is not closed, or None."""
    async for some in parts_of(object_ids):
        found = await reader.row(_OPEN, {"ids": some})
        if found is not None:
            return str(found[0])
    return None


async def find_not_live(
    reader: Reader, container_id: str, object_ids: Iterable[str]
) -> list[PlacementRow]:
    """Return the places of those of the objects in a container whose archival was ever asked."""
    found: list[PlacementRow] = []
    async for some in parts_of(object_ids):
        values = {"c": container_id, "ids": some}
        found += await reader.structs(PlacementRow, _NOT_LIVE, values)
    return found


async def find_links_of(reader: Reader, object_ids: Iterable[str]) -> list[str]:
    """Return the ids to which any of the objects links."""
    found: dict[str, None] = {}
    async for some in parts_of(object_ids):
        found.update(dict.fromkeys(_ids(await reader.rows(_LINKS_OF, {"ids": some}))))
    return list(found)


async def find_links_to(
    reader: Reader, container_id: str, object_ids: Iterable[str]
) -> list[tuple[str, str]]:
    """Return (source, target) of the links from objects of a container to any of the objects."""
    found: list[tuple[str, str]] = []
    async for some in parts_of(object_ids):
        linked = await reader.rows(_LINKS_TO, {"c": container_id, "ids": some})
        found += [(str(row[0]), str(row[1])) for row in linked]
    return found


async def find_hidden_in(reader: Reader, container_id: str, object_ids: Iterable[str]) -> list[str]:
    """Return those of the objects that lie in a container and are hidden."""
    found: list[str] = []
    async for some in parts_of(object_ids):
        found += _ids(await reader.rows(_HIDDEN_IN, {"c": container_id, "ids": some}))
    return found


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


def _writer(tx: Transaction, changed: Sequence[object]) -> Transaction:
    """Return who writes: many changes are written in a thread, as their pages come from disk."""
    return tx if len(changed) <= AT_ONCE else tx.aside


async def remove_placements(tx: Transaction, container_id: str, object_ids: Iterable[str]) -> None:
    """Take objects out of a container; those that then lie nowhere go, with their links."""
    every = list(object_ids)
    async for some in parts_of(every):
        for statement in _REMOVALS:
            await _writer(tx, every).execute(statement, {"c": container_id, "ids": some})


async def add_placements(tx: Transaction, places: Sequence[PlacementRow]) -> None:
    """Let objects lie where they do not yet."""
    values = [rows.columns(place) for place in places]
    await _writer(tx, places).execute_many(_ADD_PLACE, values)


async def move_placements(
    tx: Transaction, container_id: str, object_ids: Iterable[str], *, folder: str, now_ms: int
) -> None:
    """Let objects of a container lie in another folder of it."""
    every = list(object_ids)
    async for some in parts_of(every):
        values = {"c": container_id, "ids": some, "f": folder, "t": now_ms}
        await _writer(tx, every).execute(_MOVE, values)


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
