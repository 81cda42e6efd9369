"""Projects: make, describe, change, destroy (contract C.1-C.6)."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from plasmid.domain import errors, keys, properties
from plasmid.domain.access import Level
from plasmid.executions import settle
from plasmid.metadata import jobs, projects
from plasmid.metadata.rows import ContainerRow
from plasmid.methods import billing, moments, project_members
from plasmid.methods.call import Call, Ref
from plasmid.methods.registry import Mode, method
from plasmid.methods.targets import Access, Container
from plasmid.methods.wire import project as wire

YIELD_EVERY: Final = 20
_TEXTS = ("name", "summary", "description")


@method("/project/new", access=Access.LOGIN, mode=Mode.WRITE)
async def new(call: Call, target: None, body: dict[str, Any]) -> Ref:
    """Create a project of which the caller is an administrator."""
    if not call.actor.may_create_projects:
        raise errors.PermissionDenied("This token may not create projects")
    name = properties.check_name(keys.require(body, "name"))
    bill_to = await billing.bill_to_of(call, body)
    region = _region(call, body, await billing.permitted_regions(call, bill_to))
    await billing.require_region(call, bill_to, region)
    _refuse_phi(body, bill_to)
    row = ContainerRow(
        id=call.mint("project"),
        class_name="project",
        name=name,
        region=region,
        summary=keys.string(body, "summary") or "",
        description=keys.string(body, "description") or "",
        bill_to=bill_to,
        created_by=call.user,
        created_ms=call.now_ms,
        modified_ms=call.now_ms,
        version=1,
        flags=_with_flags({}, body),
        tags=properties.check_tags(body.get("tags")),
        properties=properties.check_properties(body.get("properties")),
        project=None,
    )
    await call.tx.add(row)
    await projects.set_member(call.tx, row.id, call.user, Level.ADMINISTER)
    return Ref(row.id)


def _refuse_phi(body: dict[str, Any], bill_to: str) -> None:
    if keys.boolean(body, "containsPHI"):
        raise errors.PermissionDenied(f"PHI features must be enabled for {bill_to}")


def _region(call: Call, body: dict[str, Any], permitted: list[str]) -> str:
    """Return the region that a body names, by default the first one of who is billed."""
    region = keys.string(body, "region") or (permitted or call.platform.regions)[0]
    if region not in call.platform.regions:
        known = ", ".join(call.platform.regions)
        raise errors.InvalidInput(f'Expected key "region" of input to be one of {known}')
    return region


def _with_flags(flags: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    """Return the flags after a change, with those that follow from others (contract C.3)."""
    changed = {name: body[name] for name in wire.SETTABLE if name in body}
    for name, value in changed.items():
        if wire.SETTABLE[name] is False and not isinstance(value, bool):
            raise errors.InvalidInput(f'Expected key "{name}" of input to be a boolean')
    keys.integer(body, "databaseResultsRestricted")
    keys.strings(body, "allowedExecutables")
    result = {**flags, **changed}
    if changed.get("restricted"):
        result.setdefault("downloadRestricted", True)
        result["downloadRestricted"] = changed.get("downloadRestricted", True)
    if "downloadRestricted" in changed or changed.get("restricted"):
        implied = bool(result.get("downloadRestricted"))
        result["previewViewerRestricted"] = changed.get("previewViewerRestricted", implied)
    if result.get("restricted") and not result.get("downloadRestricted"):
        raise errors.InvalidInput("downloadRestricted must be true while the project is restricted")
    return result


@method("/project-xxxx/describe", "/container-xxxx/describe", access=Access.VIEW)
async def describe(call: Call, target: Container, body: dict[str, Any]) -> dict[str, Any]:
    """Describe a project or container."""
    return await wire.describe(call.reader, target.row, target.level, body)


@method("/project-xxxx/update", access=Access.ADMINISTER, mode=Mode.WRITE)
async def update(call: Call, target: Container, body: dict[str, Any]) -> Ref:
    """Change a project's texts and flags."""
    changes: dict[str, Any] = {"version": target.row.version + 1, "modified_ms": call.now_ms}
    if body.get("version") is not None and body["version"] != target.row.version:
        raise errors.InvalidState(f"The project is at version {target.row.version} by now")
    for name in _TEXTS:
        if name in body:
            changes[name] = (
                properties.check_name(body[name])
                if name == "name"
                else keys.string(body, name) or ""
            )
    changes["bill_to"] = await billing.moved_to(call, target.row, body)
    _refuse_phi(body, changes["bill_to"])
    is_kept = changes["bill_to"] == target.row.bill_to
    flags = target.row.flags if is_kept else project_members.without_offer(target.row.flags)
    changes["flags"] = _with_flags(flags, body)
    await projects.update_container(call.tx, target.id, changes)
    return Ref(target.id)


@method("/project-xxxx/destroy", access=Access.ADMINISTER, mode=Mode.WRITE)
async def destroy(call: Call, target: Container, body: dict[str, Any]) -> Ref:
    """Remove a project; one with unfinished jobs only with `terminateJobs`."""
    if target.row.flags.get(wire.DESTROY_PROTECTED):
        raise errors.InvalidState(
            f"{target.id} is protected from being destroyed; update {wire.DESTROY_PROTECTED} first"
        )
    unfinished = await jobs.find_unfinished_in(call.reader, target.id)
    if not keys.boolean(body, "terminateJobs") and unfinished:
        raise errors.InvalidState(
            f"{target.id} has {len(unfinished)} unfinished jobs; wait for them or terminate them"
        )
    async with moments.of(call) as moment:
        for count, row in enumerate(unfinished, 1):
            if count % YIELD_EVERY == 0:
                await asyncio.sleep(0)  # many jobs are no reason to let others wait
            # the end of another one may have ended it
            fresh = await jobs.find_job(moment.tx, row.id)
            if fresh is not None:
                await settle.terminate_tree(moment, fresh)
        for container in await projects.find_containers_within(moment.tx, target.id):
            # workspaces of trees that are not over go with these
            if container.kind is not None or container.destroy_at_ms is not None:
                await settle.remove_container(moment, container.id)
        await settle.remove_container(moment, target.id)
    return Ref(target.id)


@method("/project-xxxx/addTags", access=Access.CONTRIBUTE, mode=Mode.WRITE)
async def add_tags(call: Call, target: Container, body: dict[str, Any]) -> Ref:
    """Add tags to a project."""
    tags = properties.with_added(target.row.tags, properties.given_tags(body))
    return await _change(call, target, {"tags": tags})


@method("/project-xxxx/removeTags", access=Access.CONTRIBUTE, mode=Mode.WRITE)
async def remove_tags(call: Call, target: Container, body: dict[str, Any]) -> Ref:
    """Take tags from a project."""
    tags = properties.without(target.row.tags, properties.given_tags(body))
    return await _change(call, target, {"tags": tags})


@method("/project-xxxx/setProperties", access=Access.CONTRIBUTE, mode=Mode.WRITE)
async def set_properties(call: Call, target: Container, body: dict[str, Any]) -> Ref:
    """Set properties of a project; null removes one."""
    given = properties.check_property_changes(body.get("properties"))
    return await _change(
        call, target, {"properties": properties.with_changes(target.row.properties, given)}
    )


async def _change(call: Call, target: Container, changes: dict[str, Any]) -> Ref:
    await projects.update_container(call.tx, target.id, changes | {"modified_ms": call.now_ms})
    return Ref(target.id)
