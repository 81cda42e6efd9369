"""Verbs that data objects of every class share (contract D.1.5)."""

from __future__ import annotations

from typing import Any

from plasmid.domain import errors, links, object_states, properties, workflow_body
from plasmid.metadata import objects
from plasmid.methods import data_objects, moments
from plasmid.methods.call import Call, Ref
from plasmid.methods.registry import Mode, method
from plasmid.methods.targets import Access, DataObject

_CLASSES = ("file", "record", "applet", "workflow")
_OPEN_CLASSES = ("file", "record", "workflow")


def _routes(verb: str, classes: tuple[str, ...] = _CLASSES) -> list[str]:
    return [f"/{class_name}-xxxx/{verb}" for class_name in classes]


@method(*_routes("describe"), access=Access.OBJECT_VIEW)
async def describe(call: Call, target: DataObject, body: dict[str, Any]) -> dict[str, Any]:
    """Describe an object in the hinted container, or wherever the caller may see it."""
    return await data_objects.describe(call, target.row, target.place, body)


@method(*_routes("rename"), access=Access.PLACE_EDIT, mode=Mode.WRITE)
async def rename(call: Call, target: DataObject, body: dict[str, Any]) -> Ref:
    """Give the object another name in one container."""
    return await _place(call, target, {"name": properties.check_name(body.get("name"))})


@method(*_routes("addTags"), access=Access.PLACE_EDIT, mode=Mode.WRITE)
async def add_tags(call: Call, target: DataObject, body: dict[str, Any]) -> Ref:
    """Add tags to the object in one container."""
    given = properties.given_tags(body)
    return await _place(call, target, {"tags": properties.with_added(target.place.tags, given)})


@method(*_routes("removeTags"), access=Access.PLACE_EDIT, mode=Mode.WRITE)
async def remove_tags(call: Call, target: DataObject, body: dict[str, Any]) -> Ref:
    """Take tags from the object in one container."""
    given = properties.given_tags(body)
    return await _place(call, target, {"tags": properties.without(target.place.tags, given)})


@method(*_routes("setProperties"), access=Access.PLACE_EDIT, mode=Mode.WRITE)
async def set_properties(call: Call, target: DataObject, body: dict[str, Any]) -> Ref:
    """Set properties of the object in one container; null removes one."""
    given = properties.check_property_changes(body.get("properties"))
    changed = properties.with_changes(target.place.properties, given)
    return await _place(call, target, {"properties": changed})


async def _place(call: Call, target: DataObject, changes: dict[str, Any]) -> Ref:
    changes["modified_ms"] = call.now_ms
    await objects.update_placement(call.tx, target.place, changes)
    return Ref(target.id)


@method(*_routes("addTypes", _OPEN_CLASSES), access=Access.OBJECT_UPLOAD, mode=Mode.WRITE)
async def add_types(call: Call, target: DataObject, body: dict[str, Any]) -> Ref:
    """Add types to an open object."""
    given = properties.check_types(body.get("types"))
    return await _open(call, target, {"types": properties.with_added(target.row.types, given)})


@method(*_routes("removeTypes", _OPEN_CLASSES), access=Access.OBJECT_UPLOAD, mode=Mode.WRITE)
async def remove_types(call: Call, target: DataObject, body: dict[str, Any]) -> Ref:
    """Take types from an open object."""
    given = properties.check_types(body.get("types"))
    return await _open(call, target, {"types": properties.without(target.row.types, given)})


@method(*_routes("setVisibility", _OPEN_CLASSES), access=Access.OBJECT_UPLOAD, mode=Mode.WRITE)
async def set_visibility(call: Call, target: DataObject, body: dict[str, Any]) -> Ref:
    """Hide or show an open object."""
    hidden = body.get("hidden")
    if not isinstance(hidden, bool):
        raise errors.InvalidInput('Expected key "hidden" of input to be a boolean')
    return await _open(call, target, {"hidden": hidden})


@method(*_routes("getDetails"), access=Access.OBJECT_VIEW)
async def get_details(call: Call, target: DataObject, body: dict[str, Any]) -> Any:
    """Return the object's details, raw."""
    return target.row.details


@method(
    *_routes("setDetails", _OPEN_CLASSES), access=Access.OBJECT_UPLOAD, body=Any, mode=Mode.WRITE
)
async def set_details(call: Call, target: DataObject, body: Any) -> Ref:
    """Set an open object's details; the body is the details, raw (contract A.3.2)."""
    details = properties.check_details(body)
    linked = [*links.object_ids(details), *workflow_body.linked_ids(target.row.body)]
    linked = list(dict.fromkeys(linked))
    answer = await _open(call, target, {"details": details, "links": linked})
    await objects.set_links(call.tx, target.id, linked)
    return answer


async def _open(call: Call, target: DataObject, changes: dict[str, Any]) -> Ref:
    object_states.require_open(target.id, target.row.state)
    await objects.update_object(call.tx, target.id, changes)
    await objects.update_placement(call.tx, target.place, {"modified_ms": call.now_ms})
    return Ref(target.id)


@method(*_routes("listProjects"), access=Access.OBJECT_VIEW)
async def list_projects(call: Call, target: DataObject, body: dict[str, Any]) -> dict[str, str]:
    """Return the containers in which the caller sees the object, with their level."""
    return {place.container: level.name for place, level in target.places}


async def close(call: Call, target: DataObject, changes: dict[str, Any]) -> None:
    """Close an object and wake the jobs that wait for it."""
    changes = {"state": object_states.CLOSED, **changes}
    await objects.update_object(call.tx, target.id, changes)
    await objects.update_placement(call.tx, target.place, {"modified_ms": call.now_ms})
    call.tx.notify(target.id)
    async with moments.of(call) as moment:
        moment.to_wake.append(target.id)
