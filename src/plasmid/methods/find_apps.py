"""Find apps (contract B.7)."""

from __future__ import annotations

from typing import Any

from plasmid.domain import errors, filters, globs
from plasmid.domain.filters import Apps
from plasmid.metadata import apps, objects
from plasmid.metadata.apps import Found
from plasmid.methods import app as app_methods
from plasmid.methods import levels, targets
from plasmid.methods.call import Call
from plasmid.methods.registry import method
from plasmid.methods.targets import Access, App
from plasmid.methods.wire import app as wire
from plasmid.methods.wire import fields


@method("/system/findApps", access=Access.LOGIN)
async def find_apps(call: Call, target: None, body: dict[str, Any]) -> dict[str, Any]:
    """Find the apps that the caller develops or may use, by name; by default one version each."""
    question = filters.read_apps(body)
    options = fields.options_of(question.page.describe)
    results: list[dict[str, Any]] = []
    found = await apps.find_all(call.reader)
    for entry in _from(found, question.page.starting):
        is_seen = levels.may_develop(call, entry.listing) or levels.is_user(
            call, entry.version, entry.listing
        )
        if not is_seen or not _holds(question, entry):
            continue
        if len(results) == question.page.limit:
            return {"results": results, "next": " ".join(map(str, _place(entry)))}
        result: dict[str, Any] = {"id": entry.version.id}
        if options is not None:
            target_app = await _target(call, entry)
            result["describe"] = wire.describe(await app_methods.facts(call, target_app), options)
        results.append(result)
    return {"results": results, "next": None}


def _from(found: list[Found], starting: object) -> list[Found]:
    """Return the apps from the place where a page starts, which may be gone by now."""
    if starting is None:
        return found
    name, _, rest = str(starting).partition(" ")
    created, _, app_id = rest.partition(" ")
    if not created.isdecimal():
        raise errors.InvalidInput('Expected key "starting" of input to be what `next` was')
    first = (name, int(created), app_id)
    return [entry for entry in found if _place(entry) >= first]


def _place(entry: Found) -> tuple[str, int, str]:
    return entry.version.name, entry.version.created_ms, entry.version.id


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
        and (question.developer is None or question.developer in listing.developers)
        and question.authorized_user in (None, *listing.authorized_users)
        and question.created.hold(version.created_ms)
        and question.modified.hold(version.modified_ms)
    )


async def _target(call: Call, entry: Found) -> App:
    row = await objects.find_object(call.reader, entry.version.id)
    if row is None:
        raise targets.not_found(entry.version.id)
    return targets.app_of(call, row, entry.version, entry.listing)
