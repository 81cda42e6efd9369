"""Versions of apps and of global workflows, which share their names (contract E.5, E.8).

A new version, publishing it, deleting it, which tags mean it, and who has installed what.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from plasmid.domain import app_spec, errors, keys, properties
from plasmid.executions import app_containers
from plasmid.metadata import apps, users
from plasmid.metadata.rows import AppNameRow, AppRow
from plasmid.methods import app_making, billing, levels, moments
from plasmid.methods.app_making import Source
from plasmid.methods.call import Call, Ref
from plasmid.methods.registry import Mode, method
from plasmid.methods.targets import Access, App

# The client compares this text with what it gets, letter by letter.
CONFLICT: Final = "Specified name and version conflict with an existing alias"
# One call looks each of them up while others wait to write.
TAGS_MAX: Final = 1000
WORDS: Final = {"app": "an app", "globalworkflow": "a global workflow"}


def _routes(verb: str) -> tuple[str, str]:
    return f"/app-xxxx/{verb}", f"/globalworkflow-xxxx/{verb}"


def _require_maker(call: Call, class_name: str) -> None:
    """Raise PermissionDenied for the token of a job that does not ask to be a developer."""
    if not call.actor.may_develop:
        raise errors.PermissionDenied(
            f"This token may not make {WORDS[class_name]}; an executable that does needs"
            " access.developer"
        )


async def add(
    call: Call,
    class_name: str,
    body: dict[str, Any],
    *,
    read: Callable[[Call, dict[str, Any]], Awaitable[dict[str, Source]]],
    made_of: Callable[[dict[str, Any], dict[str, Source]], dict[str, Any]],
) -> Ref:
    """Make a version from the sources by region that `read` returns, once its name is free.

    `made_of` says what it is. The first version of a name is its default.
    """
    _require_maker(call, class_name)
    keys.check_depth(body)
    name = app_spec.check_name(keys.require(body, "name"))
    version = app_spec.check_alias(keys.require(body, "version"), "version")
    listing, is_first = await _claimed(call, class_name, name, body=body)
    is_taken = await apps.find_aliased(call.reader, name, version) is not None
    if is_taken or version == app_spec.DEFAULT:
        raise errors.InvalidInput(CONFLICT)
    sources = await read(call, body)
    for region in sources:
        await billing.require_region(call, listing.bill_to, region)
    row = AppRow(
        id=call.mint(class_name),
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
    content = made_of(body, sources)
    details = next(iter(sources.values())).executable.row.details
    if body.get("details") is not None:
        details = properties.check_details(body["details"])
    await call.tx.add(row)
    await call.tx.add(app_making.object_of(row, content, details))
    for alias in (version, app_spec.DEFAULT) if is_first else (version,):
        await apps.set_alias(call.tx, row, alias)
    return Ref(row.id)


async def _claimed(
    call: Call, class_name: str, name: str, *, body: dict[str, Any]
) -> tuple[AppNameRow, bool]:
    """Return a name's row, taken for the caller if it was free, and whether it has no version."""
    label = f"{class_name}-{name}"
    listing = await apps.find_name(call.reader, name)
    if listing is None:
        app_spec.require_free_name(name)
        listing = AppNameRow(name, await billing.bill_to_of(call, body), [call.user], [], [])
        await call.tx.add(listing)
        return listing, True
    versions = await apps.find_versions(call.reader, name)
    other = next((row for row in versions if not row.id.startswith(f"{class_name}-")), None)
    if other is not None:
        kind = WORDS[other.id.partition("-")[0]]
        raise errors.InvalidInput(
            f'The name "{name}" is that of {kind} already: apps and global workflows share their'
            " names; choose another one"
        )
    if not levels.may_develop(call, listing):
        raise errors.PermissionDenied(f"Only developers of {label} may make versions of it")
    await _require_same_payer(call, listing, body, label=label)
    return listing, not versions


async def _require_same_payer(
    call: Call, listing: AppNameRow, body: dict[str, Any], *, label: str
) -> None:
    """Raise if somebody else is to be billed for a further version.

    The client names its user's own default with every version; that asks for nothing.
    """
    given = body.get("billTo")
    if given in (None, listing.bill_to):
        return
    own = await users.find_user(call.reader, call.user)
    if own is None or given != own.bill_to:
        raise errors.PermissionDenied(f"{label} is billed to {listing.bill_to} already")


async def refill(call: Call, target: App, sources: dict[str, Source]) -> dict[str, Any]:
    """Make a version from other sources; return its regional options."""
    for region in sources:
        await billing.require_region(call, target.listing.bill_to, region)
    async with moments.of(call) as moment:
        await app_containers.let_go(moment, target.id, app_spec.CONTENT, app_spec.RESOURCES)
    return await app_making.fill(call, target.version, sources, bill_to=target.listing.bill_to)


def require_unpublished(target: App) -> None:
    """Raise InvalidState if a version is published or deleted."""
    require_there(target)
    if target.version.published_ms is not None:
        raise errors.InvalidState(
            f"Version {target.version.version} of {target.label} is already published;"
            " make a new version"
        )


def require_there(target: App) -> None:
    """Raise InvalidState if a version is deleted."""
    if target.version.deleted_ms is not None:
        raise errors.InvalidState(f"{target.id} is deleted")


@method(*_routes("publish"), access=Access.APP_DEVELOPER, mode=Mode.WRITE)
async def publish(call: Call, target: App, body: dict[str, Any]) -> Ref:
    """Let the authorized users have a version; with `makeDefault` under its name."""
    require_unpublished(target)
    if keys.boolean(body, "makeDefault"):
        await apps.set_alias(call.tx, target.version, app_spec.DEFAULT)
    await apps.update_version(
        call.tx, target.id, {"published_ms": call.now_ms, "modified_ms": call.now_ms}
    )
    return Ref(target.id)


@method(*_routes("delete"), access=Access.APP_DEVELOPER, mode=Mode.WRITE)
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
            f"{target.id} is the default version of {target.label}; first make another one the"
            f" default: addTags of {target.label}/{others[-1]}"
        )
    await apps.remove_aliases(call.tx, target.id)
    await apps.update_version(
        call.tx, target.id, {"deleted_ms": call.now_ms, "modified_ms": call.now_ms}
    )
    async with moments.of(call) as moment:
        kinds = (app_spec.CONTENT, app_spec.RESOURCES, app_spec.CACHE)
        await app_containers.let_go(moment, target.id, *kinds)
    return Ref(target.id)


@method(*_routes("addTags"), access=Access.APP_DEVELOPER, mode=Mode.WRITE)
async def add_tags(call: Call, target: App, body: dict[str, Any]) -> Ref:
    """Let tags mean this version, whichever they have meant."""
    require_there(target)
    for tag in _tags(body):
        present = await apps.find_aliased(call.tx, target.version.name, tag)
        if present is not None and present.version == tag:
            if present.id == target.id:
                continue
            raise errors.InvalidInput(f"{tag} is another version of {target.label}")
        await apps.set_alias(call.tx, target.version, tag)
    await apps.update_version(call.tx, target.id, {"modified_ms": call.now_ms})
    return Ref(target.id)


@method(*_routes("removeTags"), access=Access.APP_DEVELOPER, mode=Mode.WRITE)
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
    given = keys.strings(body, "tags") or []
    if len(given) > TAGS_MAX:
        raise keys.refusal("tags", "input", f"an array of at most {TAGS_MAX} strings")
    return [app_spec.check_alias(tag, "tags") for tag in given]


@method("/app-xxxx/install", access=Access.APP_VIEW, mode=Mode.WRITE)
async def install(call: Call, target: App, body: dict[str, Any]) -> Ref:
    """Note an app among the caller's own."""
    _require_themselves(call)
    require_there(target)
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
