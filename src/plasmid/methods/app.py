"""Apps: make, describe, get, run, change, publish, delete, install (contract E.5)."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from plasmid.domain import app_spec, errors, keys, properties
from plasmid.executions import app_containers
from plasmid.metadata import apps, objects
from plasmid.metadata.rows import AppNameRow, AppRow
from plasmid.methods import app_making, billing, levels, moments, running
from plasmid.methods.call import Call, Ref
from plasmid.methods.registry import Mode, method
from plasmid.methods.targets import Access, App
from plasmid.methods.wire import app as wire

# The client compares this text with what it gets, letter by letter.
CONFLICT: Final = "Specified name and version conflict with an existing alias"


async def facts(call: Call, app: App) -> wire.Facts:
    """Return what is told of an app to this caller."""
    installed = await apps.find_installed(call.reader, call.user)
    return wire.Facts(
        row=app.row,
        version=app.version,
        listing=app.listing,
        aliases=await apps.find_aliases(call.reader, app.id),
        is_developer=app.is_developer,
        is_installed=app.version.name in installed,
        installs=await apps.count_installs(call.reader, app.version.name),
    )


@method("/app-xxxx/describe", access=Access.APP_VIEW)
async def describe(call: Call, target: App, body: dict[str, Any]) -> dict[str, Any]:
    """Describe an app, without its code."""
    return wire.describe(await facts(call, target), body)


@method("/app-xxxx/get", access=Access.APP_VIEW)
async def get(call: Call, target: App, body: dict[str, Any]) -> dict[str, Any]:
    """Describe an app with its code: to its developers, and if it is open source to its users."""
    if not target.is_developer and not target.row.body.get("openSource"):
        raise errors.PermissionDenied(
            f"app-{target.version.name} is not open source: only its developers get its code"
        )
    described = wire.describe(await facts(call, target), {})
    return described | {"runSpec": target.row.body["runSpec"]}


@method("/app-xxxx/run", access=Access.APP_VIEW, mode=Mode.WRITE, nonce=True)
async def run(call: Call, target: App, body: dict[str, Any]) -> Ref:
    """Start a job of the app."""
    return Ref(await running.run(call, target, body))


@method("/app/new", access=Access.LOGIN, mode=Mode.WRITE, nonce=True)
async def new(call: Call, target: None, body: dict[str, Any]) -> Ref:
    """Make a version of an app from applets; the first of a name is its default."""
    if not call.actor.may_develop:
        raise errors.PermissionDenied(
            "This token may not make apps; an executable that does needs access.developer"
        )
    keys.check_depth(body)
    name = app_spec.check_name(keys.require(body, "name"))
    version = app_spec.check_alias(keys.require(body, "version"), "version")
    listing, is_first = await _claimed(call, name, body)
    is_taken = await apps.find_aliased(call.reader, name, version) is not None
    if is_taken or version == app_spec.DEFAULT:
        raise errors.InvalidInput(CONFLICT)
    sources = await app_making.read_sources(call, body) or {}
    row = AppRow(
        id=call.mint("app"),
        name=name,
        version=version,
        regional_options={},
        created_by=call.user,
        created_ms=call.now_ms,
        modified_ms=call.now_ms,
        published_ms=None,
        deleted_ms=None,
    )
    options = await app_making.fill(call, row, sources, bill_to=listing.bill_to)
    row = msgspec.structs.replace(row, regional_options=options)
    content = app_making.body_of(body, sources, {})
    details = next(iter(sources.values())).applet.row.details
    if body.get("details") is not None:
        details = properties.check_details(body["details"])
    await call.tx.add(row)
    await call.tx.add(app_making.object_of(row, content, details))
    for alias in (version, app_spec.DEFAULT) if is_first else (version,):
        await apps.set_alias(call.tx, row, alias)
    return Ref(row.id)


async def _claimed(call: Call, name: str, body: dict[str, Any]) -> tuple[AppNameRow, bool]:
    """Return an app's name, taken for the caller if it was free, and whether it has no version."""
    listing = await apps.find_name(call.reader, name)
    if listing is None:
        bill_to = await billing.bill_to_of(call, body)
        listing = AppNameRow(name, bill_to, [call.user], [], [])
        await call.tx.add(listing)
        return listing, True
    if not levels.may_develop(call, listing):
        raise errors.PermissionDenied(f"Only developers of app-{name} may make versions of it")
    if body.get("billTo") not in (None, listing.bill_to):
        raise errors.PermissionDenied(f"app-{name} is billed to {listing.bill_to} already")
    return listing, not await apps.find_versions(call.reader, name)


@method("/app-xxxx/update", access=Access.APP_DEVELOPER, mode=Mode.WRITE)
async def update(call: Call, target: App, body: dict[str, Any]) -> Ref:
    """Change a version that is not published: what it is made from and what is said of it."""
    _require_unpublished(target)
    keys.check_depth(body)
    version = target.version
    sources = await app_making.read_sources(call, body, version)
    changes: dict[str, Any] = {"modified_ms": call.now_ms}
    if sources is not None:
        async with moments.of(call) as moment:
            await app_containers.let_go(moment, target.id, app_spec.CONTENT, app_spec.RESOURCES)
        changes["regional_options"] = await app_making.fill(
            call, version, sources, bill_to=target.listing.bill_to
        )
    await apps.update_version(call.tx, target.id, changes)
    content = {"body": app_making.body_of(body, sources, target.row.body)}
    if body.get("details") is not None:
        content["details"] = properties.check_details(body["details"])
    await objects.update_object(call.tx, target.id, content)
    return Ref(target.id)


def _require_unpublished(target: App) -> None:
    _require_there(target)
    if target.version.published_ms is not None:
        raise errors.InvalidState(
            f"Version {target.version.version} of app-{target.version.name} is already published;"
            " make a new version"
        )


def _require_there(target: App) -> None:
    if target.version.deleted_ms is not None:
        raise errors.InvalidState(f"{target.id} is deleted")


@method("/app-xxxx/publish", access=Access.APP_DEVELOPER, mode=Mode.WRITE)
async def publish(call: Call, target: App, body: dict[str, Any]) -> Ref:
    """Let the authorized users of an app have a version; with `makeDefault` under its name."""
    _require_unpublished(target)
    if keys.boolean(body, "makeDefault"):
        await apps.set_alias(call.tx, target.version, app_spec.DEFAULT)
    await apps.update_version(
        call.tx, target.id, {"published_ms": call.now_ms, "modified_ms": call.now_ms}
    )
    return Ref(target.id)


@method("/app-xxxx/delete", access=Access.APP_DEVELOPER, mode=Mode.WRITE)
async def delete(call: Call, target: App, body: dict[str, Any]) -> Ref:
    """Take a version away; its jobs go on, and what it keeps goes when they are over."""
    version = target.version
    if version.deleted_ms is not None:
        return Ref(target.id)
    aliases = await apps.find_aliases(call.reader, target.id)
    others = [
        found.version
        for found in await apps.find_versions(call.reader, version.name)
        if found.id != target.id
    ]
    if app_spec.DEFAULT in aliases and others:
        raise errors.InvalidState(
            f"{target.id} is the default version of app-{version.name}; first make another one the"
            f" default: addTags of app-{version.name}/{others[-1]}"
        )
    await apps.remove_aliases(call.tx, target.id)
    await apps.update_version(
        call.tx, target.id, {"deleted_ms": call.now_ms, "modified_ms": call.now_ms}
    )
    async with moments.of(call) as moment:
        kinds = (app_spec.CONTENT, app_spec.RESOURCES, app_spec.CACHE)
        await app_containers.let_go(moment, target.id, *kinds)
    return Ref(target.id)


@method("/app-xxxx/install", access=Access.APP_VIEW, mode=Mode.WRITE)
async def install(call: Call, target: App, body: dict[str, Any]) -> Ref:
    """Note an app among the caller's own."""
    _require_themselves(call)
    _require_there(target)
    await apps.set_installed(call.tx, call.user, target.version.name, is_installed=True)
    return Ref(target.id)


@method("/app-xxxx/uninstall", access=Access.LOGIN, mode=Mode.WRITE)
async def uninstall(call: Call, target: App, body: dict[str, Any]) -> Ref:
    """Strike an app out of the caller's own, also one that the caller may not use any more."""
    _require_themselves(call)
    await apps.set_installed(call.tx, call.user, target.version.name, is_installed=False)
    return Ref(target.id)


def _require_themselves(call: Call) -> None:
    """Raise if a job or a narrowed token asks: what is installed belongs to the user's account."""
    if call.actor.job is not None or call.actor.scope is not None:
        raise errors.PermissionDenied("This token may not change what its user has installed")


@method("/app-xxxx/addTags", access=Access.APP_DEVELOPER, mode=Mode.WRITE)
async def add_tags(call: Call, target: App, body: dict[str, Any]) -> Ref:
    """Let tags mean this version, whichever they have meant."""
    _require_there(target)
    for tag in _tags(body):
        present = await apps.find_aliased(call.tx, target.version.name, tag)
        if present is not None and present.version == tag:
            if present.id == target.id:
                continue
            raise errors.InvalidInput(f"{tag} is another version of app-{present.name}")
        await apps.set_alias(call.tx, target.version, tag)
    await apps.update_version(call.tx, target.id, {"modified_ms": call.now_ms})
    return Ref(target.id)


@method("/app-xxxx/removeTags", access=Access.APP_DEVELOPER, mode=Mode.WRITE)
async def remove_tags(call: Call, target: App, body: dict[str, Any]) -> Ref:
    """Let tags mean this version no more; its version number stays."""
    aliases = await apps.find_aliases(call.reader, target.id)
    for tag in _tags(body):
        if tag == target.version.version:
            raise errors.InvalidInput(f"{tag} is the version itself, which is no tag")
        if tag in aliases:
            await apps.remove_alias(call.tx, target.version.name, tag)
    await apps.update_version(call.tx, target.id, {"modified_ms": call.now_ms})
    return Ref(target.id)


def _tags(body: dict[str, Any]) -> list[str]:
    keys.require(body, "tags")
    return [app_spec.check_alias(tag, "tags") for tag in keys.strings(body, "tags") or []]
