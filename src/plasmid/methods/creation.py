"""Create a data object: what is the same for all classes (contract D.1.1)."""

from __future__ import annotations

from typing import Any

from plasmid.domain import errors, folders, ids, keys, links, properties
from plasmid.domain.access import Level
from plasmid.executions import cloning
from plasmid.metadata import jobs, objects, projects
from plasmid.metadata.rows import ObjectRow, PlacementRow
from plasmid.methods import folders as folder_methods
from plasmid.methods import levels, moments, targets
from plasmid.methods.call import Call


async def create(
    call: Call,
    class_name: str,
    given: dict[str, Any],
    *,
    state: str,
    content: dict[str, Any],
    object_id: str | None = None,
) -> str:
    """Create an object of a class from a constructor's body and return its id.

    `content` is the class's own: `body`, and for files `media`; `links` are added to those found
    in the details. The id is a new one if none is given.
    """
    container = await _container_of(call, given)
    folder = folders.read(given)
    async with moments.of(call) as moment:
        if keys.boolean(given, "parents"):
            await cloning.add_folder_with_parents(moment, container, folder)
    await folder_methods.require_folder(call, container, folder)
    details = given.get("details")
    details = {} if details is None else properties.check_details(details)
    object_id = object_id or call.mint(class_name)
    linked = list(dict.fromkeys([*links.object_ids(details), *content.get("links", [])]))
    job = await jobs.find_job(call.reader, call.actor.job) if call.actor.job else None
    await call.tx.add(
        ObjectRow(
            id=object_id,
            class_name=class_name,
            state=state,
            hidden=keys.boolean(given, "hidden"),
            types=properties.check_types(given.get("types")),
            details=details,
            links=linked,
            created_ms=call.now_ms,
            created_by=call.user,
            created_by_job=call.actor.job,
            created_by_executable=job.executable if job else None,
            media=content.get("media"),
            size_bytes=None,
            body=content.get("body", {}),
        )
    )
    name = given.get("name")
    await call.tx.add(
        PlacementRow(
            container=container,
            object=object_id,
            folder=folder,
            name=object_id if name is None else properties.check_name(name),
            tags=properties.check_tags(given.get("tags")),
            properties=properties.check_properties(given.get("properties")),
            modified_ms=call.now_ms,
        )
    )
    await objects.set_links(call.tx, object_id, linked)
    await projects.touch(call.tx, container, call.now_ms)
    return object_id


async def _container_of(call: Call, given: dict[str, Any]) -> str:
    container = given.get("project")
    if container is None:
        raise errors.InvalidInput('Expected input to have property "project"')
    if not ids.is_container(container):
        raise errors.InvalidInput('Expected key "project" of input to be a project or container ID')
    target = await targets.get_container(call, str(container), Level.UPLOAD)
    return target.id


async def initialised(call: Call, given: dict[str, Any], class_name: str) -> dict[str, Any]:
    """Return a constructor's body with what it lacks taken from `initializeFrom`."""
    source = given.get("initializeFrom")
    if source is None:
        return given
    if not isinstance(source, dict) or not ids.is_id(source.get("id"), class_name):
        raise errors.InvalidInput(f'Expected key "initializeFrom.id" to be a {class_name} ID')
    found = await targets.get_data_object(call, source["id"], source.get("project"))
    if class_name == "applet":
        await levels.require_code(call, *(place.container for place, _ in found.places))
    inherited = handed_on(found) | found.row.body
    return inherited | {name: value for name, value in given.items() if value is not None}


def handed_on(source: targets.DataObject) -> dict[str, Any]:
    """Return what an object hands on to one that is initialised from it, whatever its class."""
    return {
        "name": source.place.name,
        "tags": source.place.tags,
        "properties": source.place.properties,
        "types": source.row.types,
        "details": source.row.details,
        "hidden": source.row.hidden,
    }
