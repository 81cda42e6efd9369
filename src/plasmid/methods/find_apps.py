"""Find apps and global workflows (contract B.7)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from plasmid.domain import errors, filters, globs, orgs
from plasmid.domain.filters import Apps
from plasmid.metadata import apps, objects
from plasmid.metadata.apps import Found
from plasmid.methods import app as app_methods
from plasmid.methods import global_workflow, levels, org_access, targets
from plasmid.methods.call import Call
from plasmid.methods.org_access import Org
from plasmid.methods.registry import method
from plasmid.methods.targets import Access, App
from plasmid.methods.wire import app as wire
from plasmid.methods.wire import fields

# By what results are ordered, so that a page goes on where the last one ended.
Place = Callable[[Found], tuple[str, ...]]


@method("/system/findApps", access=Access.LOGIN)
async def find_apps(call: Call, target: None, body: dict[str, Any]) -> dict[str, Any]:
    """Find the apps that the caller develops or may use, by name; by default one version each."""
    found = await apps.find_all(call.reader, "app")
    return await _page(call, filters.read_apps(body), _seen(call, found), place=_by_name)


@method("/system/findGlobalWorkflows", access=Access.LOGIN)
async def find_global_workflows(call: Call, target: None, body: dict[str, Any]) -> dict[str, Any]:
    """Find the global workflows that the caller develops or may use, as `findApps` does apps."""
    found = await apps.find_all(call.reader, "globalworkflow")
    return await _page(call, filters.read_apps(body), _seen(call, found), place=_by_name)


@method("/org-xxxx/findApps", access=Access.LOGIN)
async def find_org_apps(call: Call, target: Org, body: dict[str, Any]) -> dict[str, Any]:
    """Find the apps that an org is billed for, by id: its administrators find all of them."""
    is_operator = call.actor.is_operator
    if target.place is None and not is_operator:
        raise errors.PermissionDenied(f"Only members of {target.id} find what it is billed for")
    found = await apps.find_all(call.reader, "app")
    found = [entry for entry in found if entry.listing.bill_to == target.id]
    if target.level != orgs.ADMIN and not is_operator:
        found = _seen(call, found)
    return await _page(call, filters.read_apps(body), found, place=_by_id)


def _seen(call: Call, found: list[Found]) -> list[Found]:
    """Return what the caller develops or may use."""
    return [
        entry
        for entry in found
        if levels.may_develop(call, entry.listing)
        or levels.is_user(call, entry.version, entry.listing)
    ]


async def _page(call: Call, question: Apps, found: list[Found], *, place: Place) -> dict[str, Any]:
    options = fields.options_of(question.page.describe)
    results: list[dict[str, Any]] = []
    for entry in _from(sorted(found, key=place), question.page.starting, place):
        if not _holds(question, entry) or not _is_told_of(call, question, entry):
            continue
        if len(results) == question.page.limit:
            return {"results": results, "next": " ".join(place(entry))}
        result: dict[str, Any] = {"id": entry.version.id}
        if options is not None:
            result["describe"] = await _described(call, await _target(call, entry), dict(options))
        results.append(result)
    return {"results": results, "next": None}


def _from(found: list[Found], starting: object, place: Place) -> list[Found]:
    """Return what is left from the place where a page starts, which may be gone by now."""
    if starting is None or not found:
        return found
    first = tuple(str(starting).split(" "))
    if len(first) != len(place(found[0])):
        raise errors.InvalidInput('Expected key "starting" of input to be what `next` was')
    return [entry for entry in found if place(entry) >= first]


def _by_name(entry: Found) -> tuple[str, ...]:
    return entry.version.name, f"{entry.version.created_ms:020}", entry.version.id


def _by_id(entry: Found) -> tuple[str, ...]:
    return (entry.version.id,)


def _holds(question: Apps, entry: Found) -> bool:
    """Say whether a version of an app is what the question asks for."""
    version, listing = entry.version, entry.listing
    is_published = version.published_ms is not None
    return (
        (question.all_versions or entry.is_default)
        and (question.name is None or globs.matcher(question.name)(version.name))
        and question.published in (None, is_published)
        and (question.category is None or question.category in listing.categories)
        and question.bill_to in (None, listing.bill_to)
        and question.created_by in (None, version.created_by)
        and question.authorized_user in (None, *listing.authorized_users)
        and question.created.hold(version.created_ms)
        and question.modified.hold(version.modified_ms)
    )


def _is_told_of(call: Call, question: Apps, entry: Found) -> bool:
    """Say whether a version has the developer that is asked for, as far as the caller may know.

    Who develops an app is told to its developers, and to who administers the org that pays.
    """
    if question.developer is None:
        return True
    place = call.orgs.get(entry.listing.bill_to)
    is_admin = place is not None and place.level == orgs.ADMIN and org_access.is_whole(call)
    may_know = call.actor.is_operator or is_admin or levels.may_develop(call, entry.listing)
    return may_know and question.developer in entry.listing.developers


async def _described(call: Call, found: App, options: dict[str, Any]) -> dict[str, Any]:
    if found.row.class_name == "globalworkflow":
        return await global_workflow.described(call, found, options)
    return wire.describe(await app_methods.facts(call, found), options)


async def _target(call: Call, entry: Found) -> App:
    row = await objects.find_object(call.reader, entry.version.id)
    if row is None:
        raise targets.not_found(entry.version.id)
    return targets.app_of(call, row, entry.version, entry.listing)
