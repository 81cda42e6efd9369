"""Verbs that projects and containers share: folders and what lies in them (contract C.7, C.8)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from plasmid.domain import archival, errors, folders, ids, keys
from plasmid.domain.access import Level
from plasmid.executions import cloning, restricted
from plasmid.metadata import objects, projects
from plasmid.methods import data_objects, levels, moments, removal, targets
from plasmid.methods.call import Call, Ref
from plasmid.methods.registry import Mode, method
from plasmid.methods.targets import Access, Container
from plasmid.methods.wire import fields

PARTIAL_OBJECTS_MAX: Final = 10_000
YIELD_EVERY: Final = 100


def _routes(verb: str) -> tuple[str, str]:
    return f"/project-xxxx/{verb}", f"/container-xxxx/{verb}"


@method(*_routes("newFolder"), access=Access.UPLOAD, mode=Mode.WRITE)
async def new_folder(call: Call, target: Container, body: dict[str, Any]) -> Ref:
    """Create a folder; with `parents` also those above it, and without complaint if it exists."""
    folder = folders.normalise(body.get("folder"))
    parents = keys.boolean(body, "parents")
    if await projects.has_folder(call.reader, target.id, folder):
        if not parents:
            raise errors.InvalidState(f"Folder {folder} already exists in {target.id}")
        return Ref(target.id)
    above = folders.parent(folder)
    if not parents:
        await require_folder(call, target.id, above)
    async with moments.of(call) as moment:
        await cloning.add_folder_with_parents(moment, target.id, folder)
    await projects.touch(call.tx, target.id, call.now_ms)
    return Ref(target.id)


async def require_folder(call: Call, container_id: str, folder: str) -> None:
    """Raise ResourceNotFound if a folder does not exist."""
    if not await projects.has_folder(call.reader, container_id, folder):
        # the client's own tests look for this text (TestDXCp)
        raise errors.ResourceNotFound(
            f'Folder "{folder}" does not exist in project "{container_id}"'
        )


@method(*_routes("listFolder"), access=Access.VIEW)
async def list_folder(call: Call, target: Container, body: dict[str, Any]) -> dict[str, Any]:
    """List what lies directly in a folder: objects by name, folders by full path."""
    folder = folders.read(body)
    await require_folder(call, target.id, folder)
    only = keys.one_of(body, "only", ("all", "objects", "folders")) or "all"
    with_hidden = keys.boolean(body, "includeHidden")
    with_flags = keys.boolean(body, "hasSubfolderFlags")
    answer: dict[str, Any] = {"objects": [], "folders": []}
    if only != "folders":
        options = fields.options_of(body.get("describe"))
        answer["objects"] = await _objects_of(
            call, target, folder, options, with_hidden=with_hidden
        )
    if only != "objects":
        below = await projects.find_subfolders(call.reader, target.id, folder)
        answer["folders"] = below
        if with_flags:
            parents = set(map(folders.parent, await projects.find_folders(call.reader, target.id)))
            answer["folders"] = [[path, path in parents] for path in below]
    return answer


async def _objects_of(
    call: Call,
    target: Container,
    folder: str,
    options: Mapping[str, Any] | None,
    *,
    with_hidden: bool,
) -> list[dict[str, Any]]:
    named = await objects.find_names_in_folder(
        call.reader, target.id, folder, with_hidden=with_hidden
    )
    if options is None:
        return [{"id": object_id} for object_id, _ in named]
    listed: list[dict[str, Any]] = []
    for start in range(0, len(named), objects.SOME):
        some = [object_id for object_id, _ in named[start : start + objects.SOME]]
        found = await objects.find_objects(call.reader, some)
        places = await objects.find_placements_in(call.reader, target.id, some)
        by_id = {place.object: place for place in places}
        for object_id in some:
            if len(listed) % YIELD_EVERY == 0:
                await asyncio.sleep(0)  # a long list is no reason to let others wait
            row, place = found.get(object_id), by_id.get(object_id)
            if row is None or place is None or place.folder != folder:
                continue  # gone meanwhile
            described = await data_objects.describe(call, row, place, options)
            listed.append({"id": object_id, "describe": described})
    return listed


@method(*_routes("removeFolder"), access=Access.CONTRIBUTE, mode=Mode.WRITE)
async def remove_folder(call: Call, target: Container, body: dict[str, Any]) -> dict[str, Any]:
    """Remove a folder, with `recurse` also what is in it; with `partial` at most 10,000 objects."""
    removal.require_removable(target)
    folder = folders.normalise(body.get("folder"))
    if not await projects.has_folder(call.reader, target.id, folder):
        if keys.boolean(body, "force"):
            return {"id": target.id, "completed": True}
        await require_folder(call, target.id, folder)
    recurse = keys.boolean(body, "recurse")
    if folder == folders.ROOT and not recurse:
        raise errors.InvalidInput("The root folder cannot be removed; empty it with recurse")
    limit = PARTIAL_OBJECTS_MAX if keys.boolean(body, "partial") else None
    inside = await objects.find_ids_in(call.reader, target.id, folder, limit)
    below = await projects.find_subfolders(call.reader, target.id, folder)
    if (inside or below) and not recurse:
        raise errors.InvalidState(f"Folder {folder} is not empty; remove it with recurse")
    await removal.remove(call, target.id, inside)
    if limit is not None and len(inside) == limit:
        return {"id": target.id, "completed": False}
    await projects.remove_folders(call.tx, target.id, folder)
    await projects.touch(call.tx, target.id, call.now_ms)
    return {"id": target.id, "completed": True}


@method(*_routes("renameFolder"), access=Access.CONTRIBUTE, mode=Mode.WRITE)
async def rename_folder(call: Call, target: Container, body: dict[str, Any]) -> Ref:
    """Give a folder another path."""
    old = folders.normalise(body.get("folder"))
    new = folders.normalise(body.get("newpath"), "newpath")
    await _move_folder(call, target.id, old, new)
    return Ref(target.id)


async def _move_folder(call: Call, container_id: str, old: str, new: str) -> None:
    if old == folders.ROOT:
        raise errors.InvalidInput("The root folder cannot be moved or renamed")
    await require_folder(call, container_id, old)
    if old == new:
        return
    if folders.is_inside(new, old):
        raise errors.InvalidState(f"Folder {old} cannot be moved into itself ({new})")
    await require_folder(call, container_id, folders.parent(new))
    if await projects.has_folder(call.reader, container_id, new):
        raise errors.InvalidState(f"Folder {new} already exists in {container_id}")
    await projects.move_folders(call.tx, container_id, old, new)
    await projects.touch(call.tx, container_id, call.now_ms)


@method(*_routes("move"), access=Access.CONTRIBUTE, mode=Mode.WRITE)
async def move(call: Call, target: Container, body: dict[str, Any]) -> Ref:
    """Move objects and folders into a folder; folders keep their last name."""
    destination = folders.normalise(body.get("destination"), "destination")
    await require_folder(call, target.id, destination)
    object_ids = await removal.known_ids(call, target.id, body, force=False)
    await objects.move_placements(
        call.tx, target.id, object_ids, folder=destination, now_ms=call.now_ms
    )
    for path in keys.strings(body, "folders") or []:
        folder = folders.normalise(path, "folders")
        await _move_folder(call, target.id, folder, folders.join(destination, folders.name(folder)))
    return Ref(target.id)


@method(*_routes("removeObjects"), access=Access.CONTRIBUTE, mode=Mode.WRITE)
async def remove_objects(call: Call, target: Container, body: dict[str, Any]) -> Ref:
    """Take objects out of a container, with the hidden ones that only they linked to."""
    removal.require_removable(target)
    keys.require(body, "objects")
    force = keys.boolean(body, "force")
    object_ids = await removal.known_ids(call, target.id, body, force=force)
    await removal.remove(call, target.id, object_ids)
    return Ref(target.id)


@method(*_routes("clone"), access=Access.VIEW, mode=Mode.WRITE)
async def clone(call: Call, target: Container, body: dict[str, Any]) -> dict[str, Any]:
    """Place objects and folders of this container in another one too."""
    destination = await _clone_destination(call, target, body)
    into = folders.normalise(body.get("destination") or "/", "destination")
    object_ids = await removal.known_ids(call, target.id, body, force=False)
    paths = [folders.normalise(path, "folders") for path in keys.strings(body, "folders") or []]
    await _require_clonable(call, target, destination, object_ids)
    async with moments.of(call) as moment:
        if keys.boolean(body, "parents"):
            await cloning.add_folder_with_parents(moment, destination.id, into)
        await require_folder(call, destination.id, into)
        exists = await cloning.clone_objects(
            moment, object_ids, source=target.id, destination=destination.id, below=into
        )
        for folder in paths:
            exists += await _clone_folder(call, target, destination, (folder, into))
    await projects.touch(call.tx, destination.id, call.now_ms)
    return {"id": target.id, "project": destination.id, "exists": sorted(set(exists))}


async def _clone_destination(call: Call, target: Container, body: dict[str, Any]) -> Container:
    project = body.get("project")
    if not ids.is_container(project):
        raise errors.InvalidInput('Expected key "project" of input to be a project or container ID')
    if project == target.id:
        raise errors.InvalidInput("Objects cannot be cloned into the container they are in")
    destination = await targets.get_container(call, str(project), Level.UPLOAD)
    await _require_unrestricted(call, target, destination)
    if destination.row.region != target.row.region:
        raise errors.InvalidInput(
            f"{destination.id} is in region {destination.row.region}, {target.id} is in"
            f" {target.row.region}: nothing can be cloned across regions"
        )
    return destination


async def _require_unrestricted(call: Call, target: Container, destination: Container) -> None:
    """Raise PermissionDenied if a project, or that of a workspace, lets nothing out."""
    await levels.require_code(call, target.id)
    home = await restricted.home_of(call.reader, target.row)
    within = await restricted.home_of(call.reader, destination.row)
    if home.id != within.id and home.flags.get(restricted.FLAG):
        raise errors.PermissionDenied(f"{home.id} is restricted: nothing can be cloned from it")


async def _require_clonable(
    call: Call, target: Container, destination: Container, object_ids: list[str]
) -> None:
    """Raise InvalidState for an object that is not closed, or not where its bytes can be read."""
    left_open = await objects.find_open(call.reader, object_ids)
    if left_open is not None:
        raise errors.InvalidState(f"{left_open} is not closed; only closed objects can be cloned")
    same_payer = destination.row.bill_to == target.row.bill_to
    for place in await objects.find_not_live(call.reader, target.id, object_ids):
        state = archival.state_of(place.archival_state, place.archival_until_ms, call.now_ms)
        archival.require_clonable(place.object, state, same_payer=same_payer)
        if destination.row.class_name != "project":
            # there it would be as good as live
            archival.require_live(place.object, state, "cloned for an execution")


async def _clone_folder(
    call: Call, target: Container, destination: Container, paths: tuple[str, str]
) -> list[str]:
    folder, into = paths
    await require_folder(call, target.id, folder)
    new = into if folder == folders.ROOT else folders.join(into, folders.name(folder))
    if folder != folders.ROOT and await projects.has_folder(call.reader, destination.id, new):
        raise errors.InvalidState(
            f"If cloned, a folder would conflict with an existing folder: {new}"
        )
    inside = await objects.find_visible_in(call.reader, target.id, folder)
    await _require_clonable(call, target, destination, inside)
    async with moments.of(call) as moment:
        await cloning.add_folder_with_parents(moment, destination.id, new)
        for number, path in enumerate(await projects.find_folders(call.reader, target.id)):
            if number % YIELD_EVERY == 0:
                await asyncio.sleep(0)  # many folders are no reason to let others wait
            if folders.is_inside(path, folder):
                await cloning.add_folder_with_parents(
                    moment, destination.id, folders.rebase(path, folder, new)
                )
        return await cloning.clone_objects(
            moment,
            inside,
            source=target.id,
            destination=destination.id,
            below=into,
            moved=(folder, new),
        )
