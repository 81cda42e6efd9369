"""Make what an app or a global workflow consists of, region by region (contract E.5, E.8).

A copy of the applet or the workflow, with all that it bundles and runs, lies in a container of its
own, so an app outlives what it was made from; only its developers see it, of a global workflow its
users, too. What a newer build replaces goes when no job of the app needs it any more.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from plasmid.domain import app_spec, errors, folders, https_app, ids, keys, links, run_spec
from plasmid.domain.access import Level
from plasmid.executions import app_containers, cloning, restricted
from plasmid.executions.world import Moment
from plasmid.metadata import objects, projects
from plasmid.metadata.rows import AppRow, ContainerRow, ObjectRow
from plasmid.methods import levels, moments, targets
from plasmid.methods.call import Call
from plasmid.methods.targets import Container, DataObject
from plasmid.methods.wire import data_object as wire

SOURCES: Final = ("applet", "regionalOptions", "resources")
TURNAROUND: Final = "treeTurnaroundTimeThreshold"
_TEXTS: Final = ("title", "summary", "description", "developerNotes")
# Workflows within workflows, and how deep a stage's values may be looked into.
NESTING_MAX: Final = 20


class Source(msgspec.Struct, frozen=True):
    """What there is in one region: an applet or workflow, what the resources are, the prices."""

    executable: DataObject
    resources: Container | list[DataObject]
    pricing: dict[str, Any] | None = None


async def read_applets(
    call: Call, body: dict[str, Any], present: AppRow | None = None
) -> dict[str, Source]:
    """Return what a body says that an app is made from, by region.

    `present` is the app that is changed. Raises InvalidInput, and ResourceNotFound or
    PermissionDenied for what the caller may not copy.
    """
    if body.get("regionalOptions") is None:
        return await _only_source(call, body, present)
    if body.get("applet") is not None:
        raise errors.InvalidInput('Expected input to have "applet" or "regionalOptions", not both')
    return await _regional(call, body, "applet")


async def read_workflows(call: Call, body: dict[str, Any]) -> dict[str, Source]:
    """Return what a body says that a global workflow is made from, by region; raises as above."""
    keys.require(body, "regionalOptions")
    sources = await _regional(call, body, "workflow")
    for source in sources.values():
        if source.executable.row.state != "closed":
            raise errors.InvalidState(
                f"{source.executable.id} is not closed; only a closed workflow can become global"
            )
    return sources


async def _regional(call: Call, body: dict[str, Any], key: str) -> dict[str, Source]:
    """Return the sources that `regionalOptions` names, each under a key that is its class."""
    regional = keys.hash_of(body, "regionalOptions") or {}
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
        source = await _executable(call, options, key, where=where)
        _require_region(await wire.region_of(call.reader, source.place), region, source.id)
        resources = await _resources(call, options, region, where=where)
        found[region] = Source(source, resources, keys.hash_of(options, "pricingPolicy", where))
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
    applet = await _executable(call, body, "applet", where="input")
    region = await wire.region_of(call.reader, applet.place)
    return {region: Source(applet, await _resources(call, body, region, where="input"))}


async def _executable(
    call: Call, options: dict[str, Any], class_name: str, *, where: str
) -> DataObject:
    object_id = keys.require(options, class_name, where)
    if not ids.is_id(object_id, class_name):
        article = "an" if class_name[0] == "a" else "a"
        raise keys.refusal(class_name, where, f"{article} {class_name} ID")
    return await _copyable(call, object_id)


async def _copyable(call: Call, object_id: str) -> DataObject:
    """Return an object where the caller sees it and may copy it from; raises."""
    found = await targets.get_data_object(call, object_id)
    best = found.place
    for place in [best, *(place for place, _ in found.places if place is not best)]:
        try:
            await _copied_from(call, place.container)
        except errors.PermissionDenied:
            continue
        return msgspec.structs.replace(found, place=place)
    await _copied_from(call, best.container)  # says why it may not
    return found


async def _copied_from(call: Call, container_id: str) -> Container:
    found = await targets.get_container(call, container_id, Level.VIEW)
    home = await restricted.home_of(call.reader, found.row)
    if home.flags.get(restricted.FLAG):
        raise errors.PermissionDenied(f"{home.id} is restricted: nothing can be cloned from it")
    await levels.require_code(call, container_id)
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
        thing = await _copyable(call, object_id)
        _require_region(await wire.region_of(call.reader, thing.place), region, object_id)
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
            executable = source.executable
            if executable.row.class_name == "workflow":
                await _Copying(call, moment, content).copy(executable)
            else:
                await _copy_applet(call, moment, executable, content)
            await _copy_resources(moment, source.resources, resources)
            made[region] = {executable.row.class_name: executable.id, "resources": resources.id}
            if source.pricing is not None:
                made[region]["pricingPolicy"] = source.pricing
    return made


async def _copy_applet(
    call: Call, moment: Moment, applet: DataObject, content: ContainerRow
) -> None:
    """Copy an applet with what it bundles, wherever that lies.

    Raises ResourceNotFound or PermissionDenied for what the caller may not copy.
    """
    await cloning.clone_objects(
        moment, [applet.id], source=applet.place.container, destination=content.id
    )
    for object_id in run_spec.bundled_ids(applet.row.body["runSpec"]):
        if await objects.find_placement(moment.tx, content.id, object_id) is None:
            found = await _copyable(call, object_id)
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


class _Copying:
    """Copies a workflow with its inner ones, all that they run, and what their inputs are bound to.

    Apps stay where they are: who runs a global workflow needs to be among their users.
    """

    def __init__(self, call: Call, moment: Moment, content: ContainerRow) -> None:
        self.call = call
        self.moment = moment
        self.content = content
        self.seen: set[str] = set()

    async def copy(self, workflow: DataObject, depth: int = 0) -> None:
        """Copy one workflow; raises for what is not there, not the caller's, or elsewhere."""
        if depth > NESTING_MAX:
            raise errors.InvalidInput(f"Workflows are nested more than {NESTING_MAX} deep")
        await self._place(workflow)
        body = workflow.row.body
        for stage in body.get("stages", []):
            executable = str(stage["executable"])
            if executable in self.seen:
                continue  # many stages run few executables; copied one by one it would never end
            self.seen.add(executable)
            if ids.is_id(executable, *ids.VERSIONED_CLASSES):
                await self._require_app(executable)
                continue
            found = await self._found(executable)
            if found.row.class_name == "workflow":
                await self.copy(found, depth + 1)
            else:
                await _copy_applet(self.call, self.moment, found, self.content)
        bound = [stage.get("input") for stage in body.get("stages", [])]
        for object_id in links.object_ids([bound, body.get("inputs")]):
            await self._place(await self._found(object_id))

    async def _found(self, object_id: str) -> DataObject:
        found = await _copyable(self.call, object_id)
        region = await wire.region_of(self.call.reader, found.place)
        _require_region(region, self.content.region, object_id)
        if found.row.state != "closed":
            raise errors.InvalidState(
                f"{object_id}, which the workflow needs, is not closed: close it first, so that"
                " what is made of it stays as it is"
            )
        return found

    async def _place(self, found: DataObject) -> None:
        await cloning.clone_objects(
            self.moment, [found.id], source=found.place.container, destination=self.content.id
        )

    async def _require_app(self, executable: str) -> None:
        app = await targets.get_app(self.call, executable)
        if self.content.region not in app.version.regional_options:
            raise errors.InvalidInput(
                f"{app.label}, which a stage runs, is not enabled in {self.content.region}"
            )


def described(given: dict[str, Any], present: dict[str, Any]) -> dict[str, Any]:
    """Return what is said of an app or global workflow now, with what was said before."""
    body = dict(present)
    for name in _TEXTS:
        if keys.string(given, name) is not None:
            body[name] = given[name]
    threshold = keys.integer(given, TURNAROUND)
    if threshold is not None:
        body[TURNAROUND] = threshold
    return body


def body_of(
    given: dict[str, Any], sources: dict[str, Source] | None, present: dict[str, Any]
) -> dict[str, Any]:
    """Return what an app is by what is said of it now, what it is made from, and what it was."""
    body = described(given, present)
    for name in ("ignoreReuse", "openSource"):
        if given.get(name) is not None:
            body[name] = keys.boolean(given, name)
    if given.get(https_app.FIELD) is not None:
        body[https_app.FIELD] = https_app.check(given)
    if given.get("access") is not None or "access" not in body:
        body["access"] = run_spec.check_access(given.get("access"))
    if sources is not None:
        applets = {region: source.executable.row.body for region, source in sources.items()}
        body |= app_spec.merged(applets)
    return body


def object_of(app: AppRow, body: dict[str, Any], details: Any) -> ObjectRow:
    """Return the row of the objects that says what an app or a global workflow runs."""
    return ObjectRow(
        id=app.id,
        class_name=app.id.partition("-")[0],
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
