"""Global workflows: make, describe, run, change (contract E.8); what follows is in `app_versions`.

One is a workflow in each of its regions, copied with what its stages run, so that it outlives what
it was made from.
"""

from __future__ import annotations

from typing import Any, Final

from plasmid.domain import app_spec, keys, properties
from plasmid.metadata import apps, objects
from plasmid.methods import app as app_methods
from plasmid.methods import (
    app_making,
    app_versions,
    data_objects,
    stage_executables,
    workflow_runs,
)
from plasmid.methods.app_making import Source
from plasmid.methods.call import Call, Ref
from plasmid.methods.registry import Mode, method
from plasmid.methods.targets import Access, App
from plasmid.methods.wire import fields
from plasmid.methods.wire import global_workflow as wire

_DXAPI: Final = "dxapi"


@method("/globalworkflow-xxxx/describe", access=Access.APP_VIEW)
async def describe(call: Call, target: App, body: dict[str, Any]) -> dict[str, Any]:
    """Describe a global workflow, with the workflow that it is in each region."""
    return await described(call, target, body)


async def described(call: Call, target: App, options: dict[str, Any]) -> dict[str, Any]:
    """Return what is told of a global workflow to this caller."""
    workflows = {}
    if wire.FROM_WORKFLOWS & fields.selected(options, wire.FROM_WORKFLOWS, wire.ON_REQUEST):
        workflows = await _workflows(call, target)
    return wire.describe(await app_methods.facts(call, target), workflows, options)


async def _workflows(call: Call, target: App) -> dict[str, dict[str, Any]]:
    """Return the describe of the workflow in each region; of a deleted one they may be gone."""
    found = {}
    contents = {
        row.region: row.id
        for row in await apps.find_containers_of(call.reader, target.id)
        if row.kind == app_spec.CONTENT and row.destroy_at_ms is None
    }
    for region, options in target.version.regional_options.items():
        row = await objects.find_object(call.reader, options["workflow"])
        content = contents.get(region, "")
        place = await objects.find_placement(call.reader, content, options["workflow"])
        if row is not None and place is not None:
            found[region] = await data_objects.describe(call, row, place, {})
    return found


@method("/globalworkflow-xxxx/run", access=Access.APP_VIEW, mode=Mode.WRITE, nonce=True)
async def run(call: Call, target: App, body: dict[str, Any]) -> dict[str, Any]:
    """Start an analysis of what a global workflow is in the project's region."""
    app_versions.require_there(target)
    return await workflow_runs.run(call, target, body, is_trusted=True)


@method("/globalworkflow/new", access=Access.LOGIN, mode=Mode.WRITE, nonce=True)
async def new(call: Call, target: None, body: dict[str, Any]) -> Ref:
    """Make a version of a global workflow from workflows; the first of a name is its default."""
    return await app_versions.add(
        call, "globalworkflow", body, read=app_making.read_workflows, made_of=_made_of
    )


def _made_of(given: dict[str, Any], sources: dict[str, Source]) -> dict[str, Any]:
    """Return what a global workflow is: the workflow of its first region, and what is said."""
    first = next(iter(sources.values())).executable.row.body
    body = app_making.described(given, first)
    if keys.string(given, _DXAPI) is not None:
        body[_DXAPI] = given[_DXAPI]
    return body


@method("/globalworkflow-xxxx/update", access=Access.APP_DEVELOPER, mode=Mode.WRITE)
async def update(call: Call, target: App, body: dict[str, Any]) -> Ref:
    """Change what is said of a version; one that is not published may get other workflows, too."""
    app_versions.require_there(target)
    keys.check_depth(body)
    content = dict(target.row.body)
    changes: dict[str, Any] = {"modified_ms": call.now_ms}
    if body.get("regionalOptions") is not None:
        app_versions.require_unpublished(target)
        sources = await app_making.read_workflows(call, body)
        for source in sources.values():
            await stage_executables.require_no_circle(call, source.executable, target.id)
        changes["regional_options"] = await app_versions.refill(call, target, sources)
        content = _made_of(content, sources)
    await apps.update_version(call.tx, target.id, changes)
    changed: dict[str, Any] = {"body": app_making.described(body, content)}
    if body.get("details") is not None:
        changed["details"] = properties.check_details(body["details"])
    await objects.update_object(call.tx, target.id, changed)
    return Ref(target.id)
