"""Put data objects into another container, with the hidden objects they link to (contract C.8)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from plasmid.domain import folders, ids, links, run_spec
from plasmid.executions.world import Moment
from plasmid.metadata import objects, orgs, projects
from plasmid.metadata.database import Reader
from plasmid.metadata.rows import JobRow, PlacementRow

YIELD_EVERY: Final = 100


class Launcher(msgspec.Struct, frozen=True):
    """Who launched a job, in which project, and in which container each input was named."""

    user: str
    project: str
    named: Mapping[str, str]


def launcher_of(row: JobRow, value: object = None) -> Launcher:
    """Return a job's launcher; `value` is where links may name containers."""
    return Launcher(row.launched_by, row.project, links.named_projects(value))


async def clone_objects(
    moment: Moment,
    object_ids: Iterable[str],
    *,
    source: str | None,
    destination: str,
    below: str = "/",
    keeps_folders: bool = False,
    moved: tuple[str, str] | None = None,
    launcher: Launcher | None = None,
) -> list[str]:
    """Place objects in a container and return the ids of those that were there already.

    `source` is the container whose names are taken (if None, what `launcher` knows best). With
    `keeps_folders` the folder of the source is kept below `below`; with `moved` (old, new) what
    lies inside the old folder goes to the same place inside the new one, everything else to
    `below`. Hidden objects that a cloned one links to come along from where that lies (anybody can
    link to anything), and all that an applet bundles.
    """
    moved = ("/", below) if keeps_folders else moved
    waiting = list(dict.fromkeys(object_ids))
    seen = set(waiting)
    named = set(waiting)
    origins: dict[str, str] = {}
    existing: list[str] = []
    count = 0
    while waiting:
        count += 1
        if count % YIELD_EVERY == 0:
            await asyncio.sleep(0)  # many objects are no reason to let others wait
        object_id = waiting.pop(0)
        row = await objects.find_object(moment.tx, object_id)
        origin = source or origins.get(object_id)
        place = await _place_of(moment, object_id, source=origin, launcher=launcher)
        if row is None or place is None or (object_id not in named and not row.hidden):
            continue
        if await _place(moment, place, destination, _folder_for(place, below, moved)):
            existing.append(object_id)
        if row.class_name == "applet":
            named.update(run_spec.bundled_ids(row.body["runSpec"]))
        fresh = [target for target in row.links if target not in seen]
        if row.class_name != "applet":
            origins.update(dict.fromkeys(fresh, place.container))
        seen.update(fresh)
        waiting.extend(fresh)
    return existing


def _folder_for(place: PlacementRow, below: str, moved: tuple[str, str] | None) -> str:
    if moved is not None and folders.is_inside(place.folder, moved[0]):
        return folders.rebase(place.folder, moved[0], moved[1])
    return below


async def _place_of(
    moment: Moment, object_id: str, *, source: str | None, launcher: Launcher | None
) -> PlacementRow | None:
    if source is not None:
        return await objects.find_placement(moment.tx, source, object_id)
    return await best_place(moment.tx, object_id, launcher or Launcher("", "", {}))


async def best_place(reader: Reader, object_id: str, launcher: Launcher) -> PlacementRow | None:
    """Return the place of an object that a job's launcher means, or None if it lies nowhere.

    The same object has other names, tags and properties in projects that are not theirs.
    """
    places = await objects.find_placements(reader, object_id)
    if len(places) < 2:
        return places[0] if places else None
    own = await orgs.find_reachable(reader, launcher.user)

    def preference(place: PlacementRow) -> tuple[bool, bool, bool]:
        container = place.container
        is_named = launcher.named.get(object_id) == container
        return is_named, container == launcher.project, container in own

    return max(places, key=preference)


async def _place(moment: Moment, place: PlacementRow, destination: str, folder: str) -> bool:
    """Place one object; say whether it was there already."""
    if await objects.find_placement(moment.tx, destination, place.object):
        return True
    await add_folder_with_parents(moment, destination, folder)
    # a project's copy is as archived as the one it was made from; what a job is given is live
    is_kept = ids.is_id(destination, "project")
    await moment.tx.add(
        PlacementRow(
            container=destination,
            object=place.object,
            folder=folder,
            name=place.name,
            tags=place.tags,
            properties=place.properties,
            modified_ms=moment.now_ms,
            archival_state=place.archival_state if is_kept else None,
            archival_until_ms=place.archival_until_ms if is_kept else None,
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
