"""Find data objects, resolve names (contract B.2, B.3)."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec

from plasmid.domain import conditions, errors, filters, folders, globs, ids
from plasmid.domain.access import Level
from plasmid.domain.filters import DataObjects
from plasmid.metadata import objects, orgs, projects, search
from plasmid.metadata.rows import ObjectRow, PlacementRow
from plasmid.metadata.search import After, Found
from plasmid.methods import data_objects, decode, levels, targets
from plasmid.methods.call import Call
from plasmid.methods.registry import method
from plasmid.methods.targets import Access
from plasmid.methods.wire import fields

BATCH_MAX: Final = 10_000
RESOLVE_MAX: Final = 1000
YIELD_EVERY: Final = 100
# So many names are held against a pattern at once, and by one call.
NAMES_AT_ONCE: Final = 1_000
NAMES_MAX: Final = 50_000


_Page = list[tuple[ObjectRow, PlacementRow, Any]]


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
    found, after = await _page(call, question, containers)
    results: list[dict[str, Any]] = []
    for row, place, _ in found:
        if len(results) % YIELD_EVERY == 0:
            await asyncio.sleep(0)  # a long page is no reason to let others wait
        entry: dict[str, Any] = {"project": place.container, "id": row.id}
        if options is not None:
            entry["describe"] = await data_objects.describe(call, row, place, options)
        results.append(entry)
    following = after and {"project": after.project, "id": after.id, "key": after.key}
    return {"results": results, "next": following}


async def _page(
    call: Call, question: DataObjects, containers: list[str]
) -> tuple[_Page, After | None]:
    """Return the results of one page, and behind what the next one begins, if there is one.

    Where few of a great many objects are meant, a page may end before it is full.
    """
    limit = question.page.limit
    batch = limit + 1
    after = _after(question.page.starting)
    found: _Page = []
    looked_at = 0
    while containers:
        part = await search.find_data_objects(
            call.reader.aside,
            question,
            containers,
            after=after,
            limit=batch,
            now_ms=call.now_ms,
        )
        named = await _named(question, part.found)
        while named and len(found) <= limit:
            several = limit + 1 - len(found)
            read = await _read(call, named[:several])
            found += [entry for entry in read if _holds(question, entry[0], entry[1])]
            named = named[several:]
        if len(found) > limit:
            row, place, key = found[limit - 1]
            return found[:limit], After(place.container, key, row.id)
        after = part.after
        looked_at += len(part.found)
        if after is None or len(part.found) < batch or looked_at > NAMES_MAX:
            return found, after
        batch = BATCH_MAX
    return found, None


async def _named(question: DataObjects, found: list[Found]) -> list[Found]:
    """Return those of some results whose names are like the pattern that is asked for."""
    if question.name is None:
        return found
    matches = globs.matcher(question.name)
    named: list[Found] = []
    for start in range(0, len(found), NAMES_AT_ONCE):
        await asyncio.sleep(0)  # an expression takes its time
        named += [row for row in found[start : start + NAMES_AT_ONCE] if matches(row.name)]
    return named


async def _read(call: Call, places: list[Found]) -> _Page:
    """Return objects and their places in the given order, but for what is gone meanwhile."""
    things = await objects.find_objects(call.reader, [place.object for place in places])
    placed: dict[tuple[str, str], PlacementRow] = {}
    for container in dict.fromkeys(place.container for place in places):
        inside = [place.object for place in places if place.container == container]
        for row in await objects.find_placements_in(call.reader, container, inside):
            placed[container, row.object] = row
    return [
        (things[place.object], placed[place.container, place.object], place.key)
        for place in places
        if place.object in things and (place.container, place.object) in placed
    ]


def _after(starting: object) -> After | None:
    if starting is None:
        return None
    place = decode.convert(starting, _Next)
    return After(place.project, place.key, place.id)


def _holds(question: DataObjects, row: ObjectRow, place: PlacementRow) -> bool:
    """Check tags, types and properties, of which the database is not asked everything."""
    words = ((question.types, row.types), (question.tags, place.tags))
    for condition, present in words:
        if condition and not conditions.evaluate(condition, conditions.among(present)):
            return False
    wanted = question.properties
    return wanted is None or conditions.evaluate(wanted, conditions.within(place.properties))


async def _containers(call: Call, question: DataObjects) -> list[str]:
    """Return where to look: the scope, or all that the caller sees and not merely as public."""
    if question.scope is not None:
        scope = await targets.get_container(call, question.scope.project, question.level)
        regions = question.regions
        return [scope.id] if regions is None or scope.row.region in regions else []
    visible = await visible_containers(call, question.level)
    if question.regions is None:
        return visible
    found = await projects.find_containers(call.reader, visible)
    return sorted(row.id for row in found if row.region in (question.regions or ()))


async def visible_containers(call: Call, least: Level = Level.VIEW) -> list[str]:
    """Return the containers of which the caller is a member, as far as the token goes."""
    own = set(call.actor.containers)
    own |= set(await orgs.find_reachable(call.reader, call.user))
    visible: list[str] = []
    for count, item in enumerate(sorted(own), 1):
        if count % YIELD_EVERY == 0:
            await asyncio.sleep(0)
        if await levels.level_on(call, item) >= max(least, Level.VIEW):
            visible.append(item)
    return visible


@method("/system/resolveDataObjects", access=Access.LOGIN)
async def resolve_data_objects(call: Call, target: None, body: dict[str, Any]) -> dict[str, Any]:
    """Return, for each name, the visible objects of that name in its folder."""
    wanted = body.get("objects")
    if not isinstance(wanted, list) or len(wanted) > RESOLVE_MAX:
        raise errors.InvalidInput(
            f'Expected key "objects" of input to be an array of at most {RESOLVE_MAX} objects'
        )
    options = fields.options_of(body.get("describe"))
    results: list[list[dict[str, Any]]] = []
    for entry in wanted:
        if len(results) % YIELD_EVERY == 0:
            await asyncio.sleep(0)
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
        row = found.get(place.object)
        if row is None or row.hidden:
            continue  # gone meanwhile, or not to be seen
        result: dict[str, Any] = {"project": place.container, "id": row.id}
        if options is not None:
            result["describe"] = await data_objects.describe(call, row, place, options)
        resolved.append(result)
    return resolved
