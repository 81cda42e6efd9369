"""Take objects out of containers, with what only they kept there (contract D.1.4)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from plasmid.domain import errors, ids, keys
from plasmid.domain.access import Level
from plasmid.executions import settle
from plasmid.metadata import objects, projects
from plasmid.methods import moments
from plasmid.methods.call import Call
from plasmid.methods.targets import Container

YIELD_EVERY: Final = 5_000


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
    wanted: dict[str, None] = {}
    for count, item in enumerate(keys.array(body, "objects") or [], 1):
        if count % YIELD_EVERY == 0:
            await asyncio.sleep(0)  # many ids are no reason to let others wait
        if not ids.is_data_object(item):
            raise errors.InvalidInput(
                'Expected key "objects" of input to be an array of object IDs'
            )
        wanted[item] = None
    present = await objects.find_present(call.reader, container_id, wanted)
    missing = next((object_id for object_id in wanted if object_id not in present), None)
    if missing is not None and not force:
        raise errors.ResourceNotFound(f"{missing} could not be found in {container_id}")
    await asyncio.sleep(0)
    return [object_id for object_id in wanted if object_id in present]


async def remove(call: Call, container_id: str, object_ids: Sequence[str]) -> None:
    """Remove objects, and the hidden ones that nothing else in the container leads to."""
    if not object_ids:
        return
    below = await _hidden_below(call, container_id, object_ids)
    async with moments.of(call) as moment:
        await settle.remove_objects(moment, container_id, object_ids)
        orphans = below - await _still_linked(call, container_id, below)
        await settle.remove_objects(moment, container_id, sorted(orphans))
    await projects.touch(call.tx, container_id, call.now_ms)


async def _hidden_below(call: Call, container_id: str, object_ids: Sequence[str]) -> set[str]:
    """Return the hidden objects of a container that the objects link to, also through others."""
    found: set[str] = set()
    fresh = set(object_ids)
    while fresh:
        linked = await objects.find_links_of(call.reader, fresh)
        fresh = set(await objects.find_hidden_in(call.reader, container_id, linked)) - found
        found |= fresh
    return found.difference(object_ids)


async def _still_linked(call: Call, container_id: str, hidden: set[str]) -> set[str]:
    """Return those of the hidden objects to which others of the container lead."""
    links = await objects.find_links_to(call.reader, container_id, hidden)
    led: dict[str, set[str]] = {}
    for source, target in links:
        led.setdefault(source, set()).add(target)
    kept = {target for source, target in links if source not in hidden}
    waiting = list(kept)
    while waiting:
        fresh = led.get(waiting.pop(), set()) - kept
        kept |= fresh
        waiting.extend(fresh)
    return kept
