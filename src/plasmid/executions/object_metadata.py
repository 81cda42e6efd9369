"""Read what is known of a data object: its metadata by name, and whether it is of a wanted type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from plasmid.domain import failures, io_types
from plasmid.domain.failures import JobFailure
from plasmid.executions import cloning
from plasmid.executions.cloning import Launcher
from plasmid.metadata import objects
from plasmid.metadata.database import Reader
from plasmid.metadata.rows import ObjectRow, PlacementRow

_READERS: Final[dict[str, Callable[[ObjectRow, PlacementRow], Any]]] = {
    "id": lambda row, _: row.id,
    "class": lambda row, _: row.class_name,
    "name": lambda _, place: place.name,
    "folder": lambda _, place: place.folder,
    "size": lambda row, _: row.size_bytes,
    "media": lambda row, _: row.media,
    "created": lambda row, _: row.created_ms,
    "types": lambda row, _: row.types,
    "tags": lambda _, place: place.tags,
    "properties": lambda _, place: place.properties,
    "details": lambda row, _: row.details,
}


async def read(reader: Reader, launcher: Launcher, object_id: str, *, name: str) -> Any:
    """Return a part of an object's describe as the launcher sees it, None if it has none.

    `name` is a field of it (`name`, `size`, ...) or a way into properties and details:
    `properties.sample`, `details.genome.build`. Raises JobFailure (InputError) if the object is
    gone or there is no such field.
    """
    row = await objects.find_object(reader, object_id)
    place = await cloning.best_place(reader, object_id, launcher)
    if row is None or place is None:
        raise JobFailure(failures.INPUT_ERROR, f"{object_id} was removed before it could be used")
    field, _, inner = name.partition(".")
    if field not in _READERS or (inner and field not in ("properties", "details")):
        known = ", ".join([*_READERS, "properties.KEY", "details.KEY"])
        raise JobFailure(
            failures.INPUT_ERROR, f'"{name}" is no metadata of {object_id}; there are {known}'
        )
    value = _READERS[field](row, place)
    if field == "properties" and inner:
        return value.get(inner)
    return _within(value, inner) if inner else value


def _within(value: Any, path: str) -> Any:
    """Return what lies at a path of keys in details; a key may itself hold dots."""
    if not isinstance(value, dict):
        return None
    if path in value:
        return value[path]
    key, _, rest = path.partition(".")
    return _within(value.get(key), rest) if rest else None


async def require_types(
    reader: Reader,
    spec: list[dict[str, Any]] | None,
    values: dict[str, Any],
    *,
    where: str = "input",
) -> None:
    """Raise InvalidInput if a closed object that is linked is not of the type its field wants.

    What is open can still get its types.
    """
    wanted = io_types.linked_ids(spec, values)
    if not wanted:
        return
    found = await objects.find_objects(reader, wanted)
    types = {row.id: row.types for row in found.values() if row.state == "closed"}
    io_types.check(spec, values, types, where=where)
