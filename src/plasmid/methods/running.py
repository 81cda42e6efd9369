"""Check a run and launch its job (contract F.1, F.2, E.1)."""

from __future__ import annotations

from typing import Any, Final

from plasmid.domain import errors, folders, ids, io_spec, keys, links, properties, run_spec
from plasmid.domain.access import Level
from plasmid.executions import cloning, launch, object_metadata, restricted
from plasmid.executions.launch import Launch
from plasmid.metadata import jobs, objects, projects
from plasmid.metadata.rows import ContainerRow, JobRow, ObjectRow
from plasmid.methods import (
    app_runs,
    archival,
    granting,
    moments,
    run_settings,
    targets,
    tree_limits,
)
from plasmid.methods.call import Call
from plasmid.methods.targets import DataObject

PRIORITIES: Final = ("low", "normal", "high")
RANK_MIN: Final = -1024
RANK_MAX: Final = 1023


async def run(call: Call, applet: DataObject, body: dict[str, Any]) -> str:
    """Start a master job of an executable and return its id; raises for whatever is wrong."""
    parent = await caller_job(call)
    is_detached = keys.boolean(body, "detach") or parent is None
    project = await project_of(call, parent, body, is_detached=is_detached)
    given = body.get("input")
    if not isinstance(given, dict):
        raise errors.InvalidInput('Expected key "input" of input to be a hash')
    spec = applet.row.body.get("inputSpec")
    checked = io_spec.check_values(spec, given)
    await require_readable(call, checked, project)
    await require_region(restricted.Homes(call.reader, project.id), applet, project)
    await object_metadata.require_types(call.reader, spec, checked)
    folder = folders.read(body)
    over = None if is_detached else parent
    await tree_limits.require_room(call, over)
    if over is None:
        require_allowed(project, applet)
    executable = app_runs.in_region(applet.row, project.region)
    await _require_bundled(call, executable, project.id)
    settings = run_settings.read(call, executable, body, function="main", parent=over)
    settings |= await granting.settings_of(call, parent)
    settings |= await app_runs.containers_of(call, applet, project)
    run_fields = Launch(
        executable=applet.id,
        executable_name=applet.place.name,
        function="main",
        name=name_of(body, applet.place.name),
        project=project,
        folder=folder,
        launched_by=call.user,
        run_input=given,
        original_input=checked,
        depends_on=await dependencies(call, body),
        tags=properties.check_tags(body.get("tags")),
        properties=properties.check_properties(body.get("properties")),
        priority=priority_of(body, parent),
        rank=rank_of(body, over),
        instance_type=run_settings.instance_type(call, executable, settings, "main"),
        settings=settings,
        parent=parent,
        is_detached=parent is not None and is_detached,
    )
    async with moments.of(call) as moment:
        if is_detached:
            await cloning.add_folder_with_parents(moment, project.id, folder)
        row = await launch.launch(moment, run_fields)
    return row.id


async def caller_job(call: Call) -> JobRow | None:
    """Return the job whose token the caller uses, if it is one."""
    return await jobs.find_job(call.reader, call.actor.job) if call.actor.job else None


async def project_of(
    call: Call,
    parent: JobRow | None,
    body: dict[str, Any],
    *,
    is_detached: bool,
    needed: Level = Level.CONTRIBUTE,
) -> ContainerRow:
    """Return the project in which a run is to be; raises if the caller may run nothing there.

    Only a run that is taken back may have less `needed` of them.
    """
    project = body.get("project")
    if parent is not None and not is_detached:
        project = parent.project
        found = await projects.find_container(call.reader, project)
        if found is None:
            raise targets.not_found(project)
        await granting.require_launcher(call, project)
        return found
    if project is None and parent is not None:
        project = parent.project
    if project is None:
        raise errors.InvalidInput('Expected input to have property "project"')
    if not ids.is_id(project, "project"):
        raise errors.InvalidInput('Expected key "project" of input to be a project ID')
    try:
        return (await targets.get_container(call, project, needed)).row
    except errors.PermissionDenied as error:
        if parent is None:
            raise
        # the client looks for this word and then says how not to detach
        raise errors.PermissionDenied(f"{error.message} (to start a detachedJob there)") from error


def require_allowed(project: ContainerRow, executable: DataObject) -> None:
    """Raise PermissionDenied if a project names the executables of its trees and this is none."""
    allowed = project.flags.get("allowedExecutables")
    if allowed is None:
        return
    named = {executable.id}
    class_name = executable.row.class_name
    if class_name in ids.VERSIONED_CLASSES:
        named.add(f"{class_name}-{executable.place.name}")
    if not named & set(allowed):
        raise errors.PermissionDenied(
            f"{executable.id} may not be run in {project.id}, whose allowedExecutables are"
            f" {', '.join(allowed) or 'none'}"
        )


async def require_readable(call: Call, value: Any, project: ContainerRow) -> None:
    """Raise if the caller may not see an object or a job that an input names.

    Nor is an object taken that lies only in a restricted project other than that of the run, or in
    another region.
    """
    named = links.named_projects(value)
    homes = restricted.Homes(call.reader, project.id)
    for object_id in links.object_ids(value):
        found = await targets.get_data_object(call, object_id)
        archival.require_live(call, found, named.get(object_id), "used as input")
        keeper = await homes.all_closed_by(place.container for place, _ in found.places)
        if keeper is not None:
            raise errors.PermissionDenied(restricted.told(object_id, keeper))
        await require_region(homes, found, project)
    executions = {reference.execution: None for reference in links.references(value)}
    await targets.require_executions(call, executions)


async def require_region(homes: restricted.Homes, thing: DataObject, project: ContainerRow) -> None:
    """Raise InvalidInput if the caller sees something only in other regions than a project's."""
    region = await homes.only_in((place.container for place, _ in thing.places), project.region)
    if region is not None:
        raise errors.InvalidInput(
            f"{thing.id} is in region {region}, {project.id} is in {project.region}: a run takes"
            " what is in its own region only (download it and upload it there)"
        )


async def _require_bundled(call: Call, executable: ObjectRow, project: str) -> None:
    """Raise PermissionDenied if a restricted project keeps what an executable bundles."""
    homes = restricted.Homes(call.reader, project)
    for object_id in run_spec.bundled_ids(executable.body["runSpec"]):
        keeper = await restricted.keeper_of(call.reader, homes, object_id)
        if keeper is not None:
            raise errors.PermissionDenied(restricted.told(object_id, keeper))


async def dependencies(call: Call, body: dict[str, Any]) -> list[str]:
    """Return what a run waits for besides its input; raises if the caller may not see it."""
    given = body.get("dependsOn") or []
    if not isinstance(given, list):
        raise errors.InvalidInput('Expected key "dependsOn" of input to be an array')
    named = list(dict.fromkeys(str(item) for item in given))
    executions = {item: None for item in named if ids.is_id(item, *ids.EXECUTION_CLASSES)}
    await targets.require_executions(call, executions)
    for entity_id in named:
        if entity_id in executions:
            continue
        if ids.is_data_object(entity_id):
            await targets.get_data_object(call, entity_id)
        else:
            raise targets.not_found(entity_id)
    return named


def name_of(body: dict[str, Any], default: str) -> str:
    """Return the name of an execution: what the run says, or the default."""
    return default if body.get("name") is None else properties.check_name(body["name"])


def priority_of(body: dict[str, Any], parent: JobRow | None) -> str:
    """Return the priority of an execution: what the run says, or that of what launches it."""
    given = body.get("priority") or (parent.priority if parent else "normal")
    if given not in PRIORITIES:
        raise errors.InvalidInput('Expected key "priority" of input to be low, normal or high')
    return str(given)


def rank_of(body: dict[str, Any], parent: JobRow | None) -> int:
    """Return the rank of a tree's root as the run says it; all below have that of the root."""
    given = keys.integer(body, "rank", minimum=RANK_MIN, maximum=RANK_MAX) or 0
    return parent.rank if parent else given


async def run_subjob(call: Call, body: dict[str, Any]) -> str:
    """Start another entry point of the caller's executable in the caller's workspace (F.1)."""
    parent = await caller_job(call)
    if parent is None:
        raise errors.PermissionDenied("Only a running job may call /job/new")
    function = body.get("function")
    if not isinstance(function, str) or not function:
        raise errors.InvalidInput('Expected key "function" of input to be a nonempty string')
    given = body.get("input")
    if not isinstance(given, dict):
        raise errors.InvalidInput('Expected key "input" of input to be a hash')
    executable = await objects.find_object(call.reader, parent.executable)
    if executable is None:
        raise targets.not_found(parent.executable)
    project = await projects.find_container(call.reader, parent.project)
    if project is None:
        raise targets.not_found(parent.project)
    await require_readable(call, given, project)
    await granting.require_launcher(call, project.id)
    await tree_limits.require_room(call, parent)
    executable = app_runs.in_region(executable, project.region)
    settings = run_settings.read(
        call, executable, body, function=function, parent=parent, is_subjob=True
    )
    settings |= await granting.settings_of(call, parent)
    settings |= app_runs.of_parent(parent)
    run_fields = Launch(
        executable=parent.executable,
        executable_name=parent.executable_name,
        function=function,
        name=name_of(body, f"{parent.name}:{function}"),
        project=project,
        folder=parent.folder,
        launched_by=parent.launched_by,
        run_input=given,
        original_input=io_spec.check_values(None, given),
        depends_on=await dependencies(call, body),
        tags=properties.check_tags(body.get("tags")),
        properties=properties.check_properties(body.get("properties")),
        priority=priority_of(body, parent),
        rank=parent.rank,
        instance_type=run_settings.instance_type(call, executable, settings, function),
        settings=settings,
        parent=parent,
        shares_workspace=True,
    )
    async with moments.of(call) as moment:
        row = await launch.launch(moment, run_fields)
    return row.id
