"""Put data objects into another container, with the hidden objects they link to (contract C.8)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping

import msgspec

from plasmid.domain import folders, ids, links, run_spec
from plasmid.executions import restricted
from plasmid.executions.restricted import Homes
from plasmid.executions.world import Moment
from plasmid.metadata import objects, orgs, projects
from plasmid.metadata.database import Reader
from plasmid.metadata.rows import JobRow, PlacementRow


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
    link to anything), and all that an applet bundles. A launcher's job is given nothing that a
    restricted project keeps: JobFailure (InputError) for one of `object_ids`.
    """
    moved = ("/", below) if keeps_folders else moved
    waiting = deque(dict.fromkeys(object_ids))
    wanted = frozenset(waiting)
    seen, named = set(waiting), set(waiting)
    origins: dict[str, str] = {}
    homes = Homes(moment.tx, launcher.project) if launcher else None
    existing: list[str] = []
    while waiting:
        some = [waiting.popleft() for _ in range(min(len(waiting), objects.SOME))]
        from_where = dict.fromkeys(some, source) if source else origins
        rows = await objects.find_objects(moment.tx, some)
        places = await _places_of(moment, some, from_where, launcher=launcher, homes=homes)
        if homes is not None:
            for object_id in (one for one in some if one in wanted and one not in places):
                await restricted.require_nowhere(moment.tx, homes, object_id)
        present = await objects.find_present(moment.tx, destination, some)
        placed: list[tuple[PlacementRow, str]] = []
        for object_id in some:
            row, place = rows.get(object_id), places.get(object_id)
            if row is None or place is None or (object_id not in named and not row.hidden):
                continue
            if object_id in present:
                existing.append(object_id)
            else:
                placed.append((place, _folder_for(place, below, moved)))
            if row.class_name == "applet":
                named.update(run_spec.bundled_ids(row.body["runSpec"]))
            fresh = [target for target in row.links if target not in seen]
            if row.class_name != "applet":
                origins.update(dict.fromkeys(fresh, place.container))
            seen.update(fresh)
            waiting.extend(fresh)
        await _place(moment, placed, destination)
        await asyncio.sleep(0)  # many objects are no reason to let others wait
    return existing


def _folder_for(place: PlacementRow, below: str, moved: tuple[str, str] | None) -> str:
    if moved is not None and folders.is_inside(place.folder, moved[0]):
        return folders.rebase(place.folder, moved[0], moved[1])
    return below


async def _places_of(
    moment: Moment,
    object_ids: list[str],
    origins: Mapping[str, str],
    *,
    launcher: Launcher | None,
    homes: Homes | None,
) -> dict[str, PlacementRow]:
    """Return from where each object is cloned: its origin, else what the launcher knows best."""
    by_origin: dict[str, list[str]] = {}
    found: list[PlacementRow | None] = []
    for object_id in object_ids:
        origin = origins.get(object_id)
        if origin is not None:
            by_origin.setdefault(origin, []).append(object_id)
        else:
            known = launcher or Launcher("", "", {})
            found.append(await best_place(moment.tx, object_id, known, homes=homes))
    for origin, several in by_origin.items():
        found += await objects.find_placements_in(moment.tx, origin, several)
    return {place.object: place for place in found if place is not None}


async def best_place(
    reader: Reader, object_id: str, launcher: Launcher, *, homes: Homes | None = None
) -> PlacementRow | None:
    """Return the place of an object that a job's launcher means, or None if it lies nowhere.

    The same object has other names, tags and properties in projects that are not theirs. With
    `homes`, what a restricted project keeps lies nowhere.
    """
    places = await objects.find_placements(reader, object_id)
    if len(places) > 1:
        own = await orgs.find_reachable(reader, launcher.user)

        def preference(place: PlacementRow) -> tuple[bool, bool, bool]:
            container = place.container
            is_named = launcher.named.get(object_id) == container
            return is_named, container == launcher.project, container in own

        places.sort(key=preference, reverse=True)
    for place in places:
        if homes is None or await homes.closed_by(place.container) is None:
            return place
    return None


async def _place(moment: Moment, places: list[tuple[PlacementRow, str]], destination: str) -> None:
    """Place objects in folders of a container in which they do not lie."""
    for folder in dict.fromkeys(folder for _, folder in places):
        await add_folder_with_parents(moment, destination, folder)
    # a project's copy is as archived as the one it was made from; what a job is given is live
    is_kept = ids.is_id(destination, "project")
    fresh = [
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
        for place, folder in places
    ]
    await objects.add_placements(moment.tx, fresh)


async def add_folder_with_parents(moment: Moment, container: str, folder: str) -> None:
    """Create a folder and its parents where they are missing."""
    path = ""
    for name in folder.strip("/").split("/"):
        path += "/" + name
        if name and not await projects.has_folder(moment.tx, container, path):
            await projects.add_folders(moment.tx, container, [path])
