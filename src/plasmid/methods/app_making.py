"""Make what an app consists of, region by region: copies of applets, resources (contract E.5).

A copy of the applet with all that it bundles lies in a container that only the app's developers
see, so an app outlives what it was made from. What a newer build replaces goes when no job of the
app needs it any more.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from plasmid.domain import app_spec, errors, folders, https_app, ids, keys, run_spec
from plasmid.domain.access import Level
from plasmid.executions import app_containers, cloning
from plasmid.executions.world import Moment
from plasmid.metadata import objects, projects
from plasmid.metadata.rows import AppRow, ContainerRow, ObjectRow
from plasmid.methods import moments, targets
from plasmid.methods.call import Call
from plasmid.methods.targets import Container, DataObject
from plasmid.methods.wire import data_object as wire

_TEXTS: Final = ("title", "summary", "description", "developerNotes")
_SOURCES: Final = ("applet", "regionalOptions", "resources")


class Source(msgspec.Struct, frozen=True):
    """What an app is made from in one region: an applet, what its resources are, its prices."""

    applet: DataObject
    resources: Container | list[DataObject]
    pricing: dict[str, Any] | None = None


async def read_sources(
    call: Call, body: dict[str, Any], present: AppRow | None = None
) -> dict[str, Source] | None:
    """Return what a body says that an app is made from, by region.

    `present` is the app that is changed: it may leave all of it as it is (None). Raises
    InvalidInput, and ResourceNotFound or PermissionDenied for what the caller may not copy.
    """
    if present is not None and not any(body.get(key) for key in _SOURCES):
        return None
    regional = keys.hash_of(body, "regionalOptions")
    if regional is None:
        return await _only_source(call, body, present)
    if body.get("applet") is not None:
        raise errors.InvalidInput('Expected input to have "applet" or "regionalOptions", not both')
    if not regional:
        raise errors.InvalidInput('Expected key "regionalOptions" of input to name a region')
    found = {}
    for region in regional:
        where = f"regionalOptions.{region}"
        options = keys.hash_of(regional, region, "regionalOptions") or {}
        if region not in call.platform.regions:
            known = ", ".join(call.platform.regions)
            raise errors.InvalidInput(
                f'Expected key "regionalOptions" of input to name only {known}; got "{region}"'
            )
        applet = await _applet(call, options, where=where)
        _require_region(await wire.region_of(call.reader, applet.place), region, applet.id)
        resources = await _resources(call, options, region, where=where)
        found[region] = Source(applet, resources, keys.hash_of(options, "pricingPolicy", where))
    return found


async def _only_source(
    call: Call, body: dict[str, Any], present: AppRow | None
) -> dict[str, Source]:
    """Return the source of an app of one region: that in which its applet lies."""
    if present is not None and body.get("applet") is None:
        options = list(present.regional_options.values())
        if len(options) > 1:
            raise errors.InvalidInput('Expected input to have property "regionalOptions"')
        body = {**body, "applet": options[0].get("applet")}
    applet = await _applet(call, body, where="input")
    region = await wire.region_of(call.reader, applet.place)
    return {region: Source(applet, await _resources(call, body, region, where="input"))}


async def _applet(call: Call, options: dict[str, Any], *, where: str) -> DataObject:
    applet_id = keys.require(options, "applet", where)
    if not ids.is_id(applet_id, "applet"):
        raise errors.InvalidInput(f'Expected key "applet" of {where} to be an applet ID')
    found = await targets.get_data_object(call, applet_id)
    await _copied_from(call, found.place.container)
    return found


async def _copied_from(call: Call, container_id: str) -> Container:
    found = await targets.get_container(call, container_id, Level.VIEW)
    if found.row.flags.get("restricted"):
        raise errors.PermissionDenied(f"{found.id} is restricted: nothing can be cloned from it")
    return found


def _require_region(found: str, wanted: str, what: str) -> None:
    if found != wanted:
        raise errors.InvalidInput(f"{what} is in region {found}, not in {wanted}")


async def _resources(
    call: Call, options: dict[str, Any], region: str, *, where: str
) -> Container | list[DataObject]:
    """Return what is to become an app's resources: a project, or objects."""
    given = options.get("resources")
    if ids.is_container(given):
        found = await _copied_from(call, str(given))
        _require_region(found.row.region, region, found.id)
        return found
    wanted = []
    for object_id in keys.strings(options, "resources", where) or []:
        thing = await targets.get_data_object(call, object_id)
        container = await _copied_from(call, thing.place.container)
        _require_region(container.row.region, region, object_id)
        if thing.row.state != "closed":
            raise errors.InvalidState(f"{object_id} is not closed; only closed objects are copied")
        wanted.append(thing)
    return wanted


async def fill(
    call: Call, app: AppRow, sources: dict[str, Source], *, bill_to: str
) -> dict[str, dict[str, Any]]:
    """Copy what an app is made from into new containers of it; return its regional options."""
    made: dict[str, dict[str, Any]] = {}
    async with moments.of(call) as moment:
        for region, source in sources.items():
            content, resources = [
                await app_containers.add(moment, app, kind, region=region, bill_to=bill_to)
                for kind in (app_spec.CONTENT, app_spec.RESOURCES)
            ]
            await _copy_applet(call, moment, source.applet, content)
            await _copy_resources(moment, source.resources, resources)
            made[region] = {"applet": source.applet.id, "resources": resources.id}
            if source.pricing is not None:
                made[region]["pricingPolicy"] = source.pricing
    return made


async def _copy_applet(
    call: Call, moment: Moment, applet: DataObject, content: ContainerRow
) -> None:
    """Copy an applet with what it bundles, wherever that lies; raises ResourceNotFound."""
    await cloning.clone_objects(
        moment, [applet.id], source=applet.place.container, destination=content.id
    )
    for object_id in run_spec.bundled_ids(applet.row.body["runSpec"]):
        if await objects.find_placement(moment.tx, content.id, object_id) is None:
            found = await targets.get_data_object(call, object_id)
            await cloning.clone_objects(
                moment, [object_id], source=found.place.container, destination=content.id
            )


async def _copy_resources(
    moment: Moment, given: Container | list[DataObject], destination: ContainerRow
) -> None:
    if isinstance(given, list):
        for thing in given:
            await cloning.clone_objects(
                moment, [thing.id], source=thing.place.container, destination=destination.id
            )
        return
    for path in await projects.find_folders(moment.tx, given.id):
        await cloning.add_folder_with_parents(moment, destination.id, path)
    places = await objects.find_visible_places(moment.tx, given.id, folders.ROOT)
    await cloning.clone_objects(
        moment,
        [place.object for place in places],
        source=given.id,
        destination=destination.id,
        keeps_folders=True,
    )


def body_of(
    given: dict[str, Any], sources: dict[str, Source] | None, present: dict[str, Any]
) -> dict[str, Any]:
    """Return what an app is by what is said of it now, what it is made from, and what it was."""
    body = dict(present)
    for name in _TEXTS:
        if keys.string(given, name) is not None:
            body[name] = given[name]
    for name in ("ignoreReuse", "openSource"):
        if given.get(name) is not None:
            body[name] = keys.boolean(given, name)
    if given.get("treeTurnaroundTimeThreshold") is not None:
        body["treeTurnaroundTimeThreshold"] = given["treeTurnaroundTimeThreshold"]
    if given.get(https_app.FIELD) is not None:
        body[https_app.FIELD] = https_app.check(given)
    if given.get("access") is not None or "access" not in body:
        body["access"] = run_spec.check_access(given.get("access"))
    if sources is not None:
        applets = {region: source.applet.row.body for region, source in sources.items()}
        body |= app_spec.merged(applets)
    return body


def object_of(app: AppRow, body: dict[str, Any], details: Any) -> ObjectRow:
    """Return the row of the objects that says what an app runs."""
    return ObjectRow(
        id=app.id,
        class_name="app",
        state="closed",
        hidden=False,
        types=[],
        details=details,
        links=[],
        created_ms=app.created_ms,
        created_by=app.created_by,
        created_by_job=None,
        created_by_executable=None,
        media=None,
        size_bytes=None,
        body=body,
    )
