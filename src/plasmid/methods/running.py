"""Check a run and launch its job (contract F.1, F.2, E.1)."""

from __future__ import annotations

from typing import Any, Final

from plasmid.domain import (
    errors,
    fitting,
    folders,
    ids,
    instance_types,
    io_spec,
    keys,
    links,
    properties,
    requirements,
    run_spec,
)
from plasmid.domain.access import Level
from plasmid.executions import cloning, launch
from plasmid.executions.launch import Launch
from plasmid.metadata import jobs, objects, projects
from plasmid.metadata.rows import ContainerRow, JobRow, ObjectRow
from plasmid.methods import moments, targets
from plasmid.methods.call import Call
from plasmid.methods.targets import DataObject

PRIORITIES: Final = ("low", "normal", "high")
DEBUG_REASONS: Final = (
    "AppError", "AppInternalError", "AppInsufficientResourceError", "ExecutionError",
)  # fmt: skip
RANK_MIN: Final = -1024
RANK_MAX: Final = 1023
_ECHOED: Final = (
    "details", "debug", "allowSSH", "ignoreReuse", "delayWorkspaceDestruction", "costLimit",
    "preserveJobOutputs", "singleContext", "detailedJobMetrics", "maxTreeSpotWaitTime",
    "maxJobSpotWaitTime",
)  # fmt: skip


async def run(call: Call, applet: DataObject, body: dict[str, Any]) -> str:
    """Start a master job of an executable and return its id; raises for whatever is wrong."""
    parent = await caller_job(call)
    is_detached = keys.boolean(body, "detach") or parent is None
    project = await _project_of(call, parent, body, is_detached=is_detached)
    given = body.get("input")
    if not isinstance(given, dict):
        raise errors.InvalidInput('Expected key "input" of input to be a hash')
    checked = io_spec.check_values(applet.row.body.get("inputSpec"), given)
    await _require_readable(call, checked)
    folder = folders.read(body)
    over = None if is_detached else parent
    settings = _settings(call, applet.row, body, function="main", parent=over)
    run_fields = Launch(
        executable=applet.id,
        executable_name=applet.place.name,
        function="main",
        name=_name(body, applet.place.name),
        project=project,
        folder=folder,
        launched_by=call.user,
        run_input=given,
        original_input=checked,
        depends_on=await _depends_on(call, body),
        tags=properties.check_tags(body.get("tags")),
        properties=properties.check_properties(body.get("properties")),
        priority=_priority(body, parent),
        rank=_rank(body),
        instance_type=_instance_type(call, applet.row, settings, "main"),
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


async def _project_of(
    call: Call, parent: JobRow | None, body: dict[str, Any], *, is_detached: bool
) -> ContainerRow:
    project = body.get("project")
    if parent is not None and not is_detached:
        project = parent.project
        found = await projects.find_container(call.reader, project)
        if found is None:
            raise targets.not_found(project)
        return found
    if project is None:
        raise errors.InvalidInput('Expected input to have property "project"')
    if not ids.is_id(project, "project"):
        raise errors.InvalidInput('Expected key "project" of input to be a project ID')
    return (await targets.get_container(call, project, Level.CONTRIBUTE)).row


async def _require_readable(call: Call, value: Any) -> None:
    """Raise if the caller may not see an object or a job that the input names."""
    for object_id in links.object_ids(value):
        await targets.get_data_object(call, object_id)
    for reference in links.references(value):
        if not ids.is_id(reference.execution, "job"):
            raise targets.not_found(reference.execution)
        await targets.get_job(call, reference.execution)


async def _depends_on(call: Call, body: dict[str, Any]) -> list[str]:
    given = body.get("dependsOn") or []
    if not isinstance(given, list):
        raise errors.InvalidInput('Expected key "dependsOn" of input to be an array')
    for entity_id in given:
        if ids.is_id(entity_id, "job"):
            await targets.get_job(call, entity_id)
        elif ids.is_data_object(entity_id):
            await targets.get_data_object(call, entity_id)
        else:
            raise targets.not_found(str(entity_id))
    return list(dict.fromkeys(given))


def _name(body: dict[str, Any], default: str) -> str:
    return default if body.get("name") is None else properties.check_name(body["name"])


def _priority(body: dict[str, Any], parent: JobRow | None) -> str:
    given = body.get("priority") or (parent.priority if parent else "normal")
    if given not in PRIORITIES:
        raise errors.InvalidInput('Expected key "priority" of input to be low, normal or high')
    return str(given)


def _rank(body: dict[str, Any]) -> int:
    return keys.integer(body, "rank", minimum=RANK_MIN, maximum=RANK_MAX) or 0


def _settings(
    call: Call,
    executable: ObjectRow,
    body: dict[str, Any],
    *,
    function: str,
    parent: JobRow | None,
) -> dict[str, Any]:
    """Return the fields of a job that only describe, access and restarts read."""
    spec = executable.body["runSpec"]
    inherited = parent.settings.get("mergedSystemRequirementsByExecutable") if parent else None
    by_executable = run_spec.merge_by_executable(
        inherited, body.get("systemRequirementsByExecutable")
    )
    layer = run_spec.layer_for(by_executable, executable.id)
    requirements = run_spec.system_requirements(spec, body.get("systemRequirements"), layer)
    access = executable.body["access"]
    settings = {name: body[name] for name in _ECHOED if body.get(name) is not None}
    _check_settings(settings)
    timeouts = _timeouts(body, parent)
    timeout_ms = run_spec.timeout_ms(spec, function, runtime=timeouts.get(executable.id))
    settings |= {
        "systemRequirements": requirements,
        "executionPolicy": run_spec.execution_policy(spec, body.get("executionPolicy")),
        "timeout": min(timeout_ms, call.platform.limits.job_timeout_ms),
        "timeoutPolicyByExecutable": timeouts,
        "networkAccess": access.get("network") or [],
        "headJobOnDemand": bool(body.get("headJobOnDemand", spec.get("headJobOnDemand", False))),
        "runSystemRequirements": body.get("systemRequirements"),
        "runSystemRequirementsByExecutable": body.get("systemRequirementsByExecutable"),
        "mergedSystemRequirementsByExecutable": by_executable,
    }
    return settings


def _timeouts(body: dict[str, Any], parent: JobRow | None) -> dict[str, Any]:
    """Return timeoutPolicyByExecutable: what a job says beats what those below it say."""
    where = "timeoutPolicyByExecutable"
    given = keys.hash_of(body, where) or {}
    for executable, policy in given.items():
        requirements.check_timeout_policy(policy, where=f"{where}.{executable}")
    inherited = parent.settings.get("timeoutPolicyByExecutable") if parent else None
    return {**given, **(inherited or {})}


def _instance_type(
    call: Call, executable: ObjectRow, settings: dict[str, Any], function: str
) -> str:
    """Return the instance type of a new job; raises InvalidInput if it cannot run here.

    What it gets of a type that is larger than the machine is kept in its settings.
    """
    limits = call.platform.limits
    machine = limits.machine
    asked = run_spec.instance_types_for(settings["systemRequirements"], function)
    wanted = [instance_types.get(name) for name in asked]
    wanted = [found for found in wanted if not fitting.is_larger(found, machine)] or wanted
    if wanted:
        chosen = wanted[0]
    else:
        release = executable.body["runSpec"].get("release")
        chosen = instance_types.get(fitting.default(release, machine))
    fitting.check(chosen, machine, may_shrink=limits.fit or not asked)
    if fitting.is_larger(chosen, machine):
        less = fitting.fitted(chosen, machine)
        settings["fitted"] = {
            "cores": less.cores,
            "memoryBytes": less.memory_bytes,
            "diskBytes": less.disk_bytes,
        }
    return chosen.name


def _check_settings(settings: dict[str, Any]) -> None:
    if "details" in settings:
        properties.check_details(settings["details"])
    keys.strings(settings, "allowSSH")
    keys.hash_of(settings, "preserveJobOutputs")
    for name in ("delayWorkspaceDestruction", "singleContext", "detailedJobMetrics"):
        keys.boolean(settings, name)
    debug = keys.hash_of(settings, "debug") or {}
    for reason in keys.strings(debug, "debugOn", "debug") or []:
        if reason not in DEBUG_REASONS:
            allowed = ", ".join(DEBUG_REASONS)
            raise errors.InvalidInput(
                f'Expected key "debug.debugOn" of input to hold only {allowed}'
            )


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
    await _require_readable(call, given)
    project = await projects.find_container(call.reader, parent.project)
    if project is None:
        raise targets.not_found(parent.project)
    inherited = parent.settings.get("runSystemRequirements")
    whole = {"systemRequirements": inherited, **body}
    settings = _settings(call, executable, whole, function=function, parent=parent)
    run_fields = Launch(
        executable=parent.executable,
        executable_name=parent.executable_name,
        function=function,
        name=_name(body, f"{parent.name}:{function}"),
        project=project,
        folder=parent.folder,
        launched_by=parent.launched_by,
        run_input=given,
        original_input=io_spec.check_values(None, given),
        depends_on=await _depends_on(call, body),
        tags=properties.check_tags(body.get("tags")),
        properties=properties.check_properties(body.get("properties")),
        priority=_priority(body, parent),
        rank=parent.rank,
        instance_type=_instance_type(call, executable, settings, function),
        settings=settings,
        parent=parent,
        shares_workspace=True,
    )
    async with moments.of(call) as moment:
        row = await launch.launch(moment, run_fields)
    return row.id
