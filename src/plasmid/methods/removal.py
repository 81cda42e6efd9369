"""Take objects out of containers, with what only they kept there (contract D.1.4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from plasmid.domain import errors, ids
from plasmid.domain.access import Level
from plasmid.metadata import objects, projects
from plasmid.methods.call import Call
from plasmid.methods.targets import Container


def require_removable(target: Container) -> None:
    """Raise PermissionDenied if a protected container asks for an administrator."""
    if target.row.flags.get("protected") and target.level < Level.ADMINISTER:
        raise errors.PermissionDenied(
            f"{target.id} is protected: removing from it requires ADMINISTER permission"
        )


async def known_ids(
    call: Call, container_id: str, body: dict[str, Any], *, force: bool
) -> list[str]:
    """Return the body's `objects` that lie in a container; unknown ones only pass with force."""
    given = body.get("objects") or []
    if not isinstance(given, list) or not all(ids.is_data_object(item) for item in given):
        raise errors.InvalidInput('Expected key "objects" of input to be an array of object IDs')
    wanted = list(dict.fromkeys(given))
    places = await objects.find_placements_in(call.reader, container_id, wanted)
    present = {place.object for place in places}
    for object_id in wanted:
        if object_id not in present and not force:
            raise errors.ResourceNotFound(f"{object_id} could not be found in {container_id}")
    return [object_id for object_id in wanted if object_id in present]


async def remove(call: Call, container_id: str, object_ids: Sequence[str]) -> None:
    """Remove objects, then hidden ones to which nothing in the container links any more."""
    remaining = list(object_ids)
    while remaining:
        linked = await objects.find_links_of(call.reader, remaining)
        for object_id in remaining:
            await objects.remove_placement(call.tx, container_id, object_id)
            call.tx.notify(object_id)
        remaining = await objects.find_hidden_orphans(call.reader, container_id, linked)
    if object_ids:
        await projects.touch(call.tx, container_id, call.now_ms)
