"""Put data objects into another container, with the hidden objects they link to (contract C.8)."""

from __future__ import annotations

from collections.abc import Iterable

from plasmid.domain import folders, run_spec
from plasmid.executions.world import Moment
from plasmid.metadata import objects, projects
from plasmid.metadata.rows import PlacementRow


async def clone_objects(
    moment: Moment,
    object_ids: Iterable[str],
    *,
    source: str | None,
    destination: str,
    below: str = "/",
    keeps_folders: bool = False,
    moved: tuple[str, str] | None = None,
) -> list[str]:
    """Place objects in a container and return the ids of those that were there already.

    `source` is the container whose names are taken (any place if None). With `keeps_folders` the
    folder of the source is kept below `below`; with `moved` (old, new) what lies inside the old
    folder goes to the same place inside the new one, everything else to `below`. Hidden objects
    that a cloned one links to come along, and all that an applet bundles.
    """
    moved = ("/", below) if keeps_folders else moved
    waiting = list(dict.fromkeys(object_ids))
    seen = set(waiting)
    named = set(waiting)
    existing = []
    while waiting:
        object_id = waiting.pop(0)
        row = await objects.find_object(moment.tx, object_id)
        place = await _place_of(moment, object_id, source)
        if row is None or place is None or (object_id not in named and not row.hidden):
            continue
        if await _place(moment, place, destination, _folder_for(place, below, moved)):
            existing.append(object_id)
        if row.class_name == "applet":
            named.update(run_spec.bundled_ids(row.body["runSpec"]))
        fresh = [link for link in row.links if link not in seen]
        seen.update(fresh)
        waiting.extend(fresh)
    return existing


def _folder_for(place: PlacementRow, below: str, moved: tuple[str, str] | None) -> str:
    if moved is not None and folders.is_inside(place.folder, moved[0]):
        return folders.rebase(place.folder, moved[0], moved[1])
    return below


async def _place_of(moment: Moment, object_id: str, source: str | None) -> PlacementRow | None:
    if source is not None:
        found = await objects.find_placement(moment.tx, source, object_id)
        if found is not None:
            return found
    places = await objects.find_placements(moment.tx, object_id)
    return places[0] if places and source is None else None


async def _place(moment: Moment, place: PlacementRow, destination: str, folder: str) -> bool:
    """Place one object; say whether it was there already."""
    if await objects.find_placement(moment.tx, destination, place.object):
        return True
    await add_folder_with_parents(moment, destination, folder)
    await moment.tx.add(
        PlacementRow(
            container=destination,
            object=place.object,
            folder=folder,
            name=place.name,
            tags=place.tags,
            properties=place.properties,
            modified_ms=moment.now_ms,
        )
    )
    return False


async def add_folder_with_parents(moment: Moment, container: str, folder: str) -> None:
    """Create a folder and its parents where they are missing."""
    path = ""
    for name in folder.strip("/").split("/"):
        path += "/" + name
        if name and not await projects.has_folder(moment.tx, container, path):
            await projects.add_folders(moment.tx, container, [path])


def join(folder: str, below: str) -> str:
    """Return a folder's path below another's."""
    joined = folder.rstrip("/") + "/" + below.strip("/")
    return joined.rstrip("/") or "/"
