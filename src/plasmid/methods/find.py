"""Find data objects, resolve names, describe many at once (contract B.2-B.4)."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from plasmid.domain import conditions, errors, filters, folders, globs, ids, keys
from plasmid.domain.access import Level
from plasmid.domain.filters import DataObjects
from plasmid.metadata import objects, projects, search
from plasmid.metadata.rows import ObjectRow, PlacementRow
from plasmid.metadata.search import After
from plasmid.methods import decode, levels, targets
from plasmid.methods.call import Call
from plasmid.methods.registry import method
from plasmid.methods.targets import Access
from plasmid.methods.wire import data_object as wire
from plasmid.methods.wire import fields

BATCH_MIN: Final = 200
RESOLVE_MAX: Final = 1000


class _Next(msgspec.Struct):
    """The opaque place where the next page begins."""

    project: str
    id: str
    key: int | str


@method("/system/findDataObjects", access=Access.LOGIN)
async def find_data_objects(call: Call, target: None, body: dict[str, Any]) -> dict[str, Any]:
    """Find data objects by what they are, where they lie and what is said of them."""
    question = filters.read_data_objects(body)
    containers = await _containers(call, question)
    options = fields.options_of(question.page.describe)
    found, more = await _page(call, question, containers)
    results = []
    for row, place, _ in found:
        entry: dict[str, Any] = {"project": place.container, "id": row.id}
        if options is not None:
            entry["describe"] = await wire.describe(call.reader, row, place, options)
        results.append(entry)
    last = found[-1] if more else None
    following = {"project": last[1].container, "id": last[0].id, "key": last[2]} if last else None
    return {"results": results, "next": following}


async def _page(
    call: Call, question: DataObjects, containers: list[str]
) -> tuple[list[tuple[ObjectRow, PlacementRow, Any]], bool]:
    """Return the results of one page, and whether there are more."""
    limit = question.page.limit
    batch = max(BATCH_MIN, limit + 1)
    after = _after(question.page.starting)
    found: list[tuple[ObjectRow, PlacementRow, Any]] = []
    while containers:
        rows = await search.find_data_objects(
            call.reader, question, containers, after=after, limit=batch
        )
        for entry in rows:
            if _holds(question, entry[0], entry[1]):
                if len(found) == limit:
                    return found, True
                found.append(entry)
        if len(rows) < batch:
            break
        row, place, key = rows[-1]
        after = After(place.container, key, row.id)
    return found, False


def _after(starting: object) -> After | None:
    if starting is None:
        return None
    place = decode.convert(starting, _Next)
    return After(place.project, place.key, place.id)


def _holds(question: DataObjects, row: ObjectRow, place: PlacementRow) -> bool:
    """Check what the database was not asked: patterns, tags, types, properties."""
    if question.name is not None and not globs.matcher(question.name)(place.name):
        return False
    words = ((question.types, row.types), (question.tags, place.tags))
    for condition, present in words:
        if condition and not conditions.evaluate(condition, conditions.among(present)):
            return False
    wanted = question.properties
    return wanted is None or conditions.evaluate(wanted, conditions.within(place.properties))


async def _containers(call: Call, question: DataObjects) -> list[str]:
    """Return where to look: the scope, or all that the caller sees and not merely as public."""
    if question.archival_state not in (None, "live", "any"):
        return []
    if question.scope is not None:
        scope = await targets.get_container(call, question.scope.project, question.level)
        regions = question.regions
        return [scope.id] if regions is None or scope.row.region in regions else []
    visible = [
        container
        for container in await visible_containers(call)
        if await levels.level_on(call, container) >= question.level
    ]
    if question.regions is None:
        return sorted(visible)
    found = await projects.find_containers(call.reader, visible)
    return sorted(row.id for row in found if row.region in (question.regions or ()))


async def visible_containers(call: Call) -> list[str]:
    """Return the containers of which the caller is a member, as far as the token goes."""
    own = set(call.actor.containers)
    own |= set(await projects.find_memberships(call.reader, call.user))
    return sorted([item for item in own if await levels.level_on(call, item) >= Level.VIEW])


@method("/system/resolveDataObjects", access=Access.LOGIN)
async def resolve_data_objects(call: Call, target: None, body: dict[str, Any]) -> dict[str, Any]:
    """Return, for each name, the visible objects of that name in its folder."""
    wanted = body.get("objects")
    if not isinstance(wanted, list) or len(wanted) > RESOLVE_MAX:
        raise errors.InvalidInput(
            f'Expected key "objects" of input to be an array of at most {RESOLVE_MAX} objects'
        )
    options = fields.options_of(body.get("describe"))
    results = []
    for entry in wanted:
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise errors.InvalidInput('Expected key "objects" of input to hold hashes with a name')
        results.append(await _resolved(call, {**body, **entry}, options))
    return {"results": results}


async def _resolved(call: Call, entry: dict[str, Any], options: Any) -> list[dict[str, Any]]:
    project = entry.get("project")
    if not ids.is_container(project):
        raise errors.InvalidInput('Expected key "project" of input to be a project or container ID')
    await targets.get_container(call, str(project), Level.VIEW)
    folder = folders.read(entry)
    places = await objects.find_named(call.reader, str(project), folder, entry["name"])
    found = await objects.find_objects(call.reader, [place.object for place in places])
    resolved = []
    for place in places:
        row = found[place.object]
        if row.hidden:
            continue
        result: dict[str, Any] = {"project": place.container, "id": row.id}
        if options is not None:
            result["describe"] = await wire.describe(call.reader, row, place, options)
        resolved.append(result)
    return resolved


@method("/system/describeDataObjects", access=Access.LOGIN)
async def describe_data_objects(call: Call, target: None, body: dict[str, Any]) -> dict[str, Any]:
    """Describe many objects; each result is a describe or the error that it would have been."""
    wanted = body.get("objects")
    if not isinstance(wanted, list) or len(wanted) > RESOLVE_MAX:
        raise errors.InvalidInput(
            f'Expected key "objects" of input to be an array of at most {RESOLVE_MAX} objects'
        )
    by_class = keys.hash_of(body, "classDescribeOptions") or {}
    results: list[dict[str, Any]] = []
    for entry in wanted:
        asked = {"id": entry} if isinstance(entry, str) else entry
        if not isinstance(asked, dict) or not ids.is_data_object(asked.get("id")):
            raise errors.InvalidInput('Expected key "objects" of input to hold object IDs')
        try:
            results.append({"describe": await _described(call, asked, by_class)})
        except errors.ResourceNotFound as error:
            results.append({"error": {"type": error.type, "message": error.message}})
    return {"results": results}


async def _described(call: Call, asked: dict[str, Any], by_class: dict[str, Any]) -> dict[str, Any]:
    found = await targets.get_data_object(call, asked["id"], asked.get("project"))
    chosen = asked.get("describe", by_class.get(found.row.class_name, by_class.get("*")))
    options = fields.options_of(chosen) or {}
    return await wire.describe(call.reader, found.row, found.place, options)
