"""Apps: make, describe, get, run, change (contract E.5); what follows is in `app_versions`."""

from __future__ import annotations

from typing import Any

from plasmid.domain import errors, keys, properties
from plasmid.metadata import apps, objects
from plasmid.methods import app_making, app_versions, running
from plasmid.methods.call import Call, Ref
from plasmid.methods.registry import Mode, method
from plasmid.methods.targets import Access, App
from plasmid.methods.wire import app as wire


async def facts(call: Call, app: App) -> wire.Facts:
    """Return what is told of an app or global workflow to this caller."""
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
            f"{target.label} is not open source: only its developers get its code"
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
    return await app_versions.add(
        call,
        "app",
        body,
        read=app_making.read_applets,
        made_of=lambda given, sources: app_making.body_of(given, sources, {}),
    )


@method("/app-xxxx/update", access=Access.APP_DEVELOPER, mode=Mode.WRITE)
async def update(call: Call, target: App, body: dict[str, Any]) -> Ref:
    """Change a version that is not published: what it is made from and what is said of it."""
    app_versions.require_unpublished(target)
    keys.check_depth(body)
    sources = None
    if any(body.get(key) for key in app_making.SOURCES):
        sources = await app_making.read_applets(call, body, target.version)
    changes: dict[str, Any] = {"modified_ms": call.now_ms}
    if sources is not None:
        changes["regional_options"] = await app_versions.refill(call, target, sources)
    await apps.update_version(call.tx, target.id, changes)
    content = {"body": app_making.body_of(body, sources, target.row.body)}
    if body.get("details") is not None:
        content["details"] = properties.check_details(body["details"])
    await objects.update_object(call.tx, target.id, content)
    return Ref(target.id)
