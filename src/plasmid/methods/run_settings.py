"""Read what a run says of its job beyond input, name and place: the job's settings (F.2, F.3)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from plasmid.domain import (
    errors,
    escalation,
    failures,
    fitting,
    folders,
    https_app,
    instance_types,
    keys,
    properties,
    requirements,
    reuse,
    run_spec,
    ssh_access,
)
from plasmid.metadata.rows import JobRow, ObjectRow
from plasmid.methods import ssh_logins
from plasmid.methods.call import Call

DEBUG_REASONS: Final = (
    "AppError", "AppInternalError", "AppInsufficientResourceError", "ExecutionError",
)  # fmt: skip
# What a run may say, and what is true of all jobs that a job starts, whatever they say.
_ECHOED: Final = (
    "details", "debug", "allowSSH", "ignoreReuse", "delayWorkspaceDestruction", "costLimit",
    "preserveJobOutputs", "singleContext", "detailedJobMetrics", "maxTreeSpotWaitTime",
    "maxJobSpotWaitTime",
)  # fmt: skip
_ECHOED_OF_SUBJOBS: Final = ("details", "ignoreReuse", "delayWorkspaceDestruction")
_INHERITED: Final = (
    "debug", "allowSSH", "delayWorkspaceDestruction", "detailedJobMetrics", "preserveJobOutputs",
)  # fmt: skip
_BOOLEANS: Final = (
    "delayWorkspaceDestruction", "singleContext", "detailedJobMetrics", "ignoreReuse",
    "headJobOnDemand",
)  # fmt: skip
_SHORTAGE: Final = failures.APP_INSUFFICIENT_RESOURCE_ERROR
_THRESHOLD: Final = "treeTurnaroundTimeThreshold"


def read(
    call: Call,
    executable: ObjectRow,
    body: dict[str, Any],
    *,
    function: str,
    parent: JobRow | None,
    is_subjob: bool = False,
) -> dict[str, Any]:
    """Return the settings of a new job; raises InvalidInput that names the field.

    `parent` is the job whose tree it belongs to, None if it is a root.
    """
    spec = executable.body["runSpec"]
    _check(body)
    settings = _echoed(body, parent, _ECHOED_OF_SUBJOBS if is_subjob else _ECHOED)
    settings = ssh_logins.without_disabled(call.platform, settings)
    if call.platform.limits.reuse:
        settings[reuse.SETTING] = True
    web_app = https_app.declared_by(executable.body)
    if web_app is not None:
        settings[https_app.FIELD] = web_app
    if parent is None:
        settings |= _turnaround(executable)
    elif body.get("preserveJobOutputs") is not None and not is_subjob:
        raise errors.InvalidInput(
            "preserveJobOutputs is said once for a whole tree: give it to the run that starts the"
            " tree, or detach this one"
        )
    runtime = body.get("systemRequirements")
    if is_subjob and parent is not None and runtime is None:
        runtime = parent.settings.get("runSystemRequirements")
    inherited = parent.settings.get("mergedSystemRequirementsByExecutable") if parent else None
    by_executable = run_spec.merge_by_executable(
        inherited, body.get("systemRequirementsByExecutable")
    )
    layer = run_spec.layer_for(by_executable, executable.id)
    timeouts = _timeouts(body, parent)
    timeout_ms = run_spec.timeout_ms(spec, function, runtime=timeouts.get(executable.id))
    on_demand = keys.boolean(body, "headJobOnDemand", default=bool(spec.get("headJobOnDemand")))
    return settings | {
        "systemRequirements": run_spec.system_requirements(spec, runtime, layer),
        "executionPolicy": run_spec.execution_policy(
            spec,
            body.get("executionPolicy"),
            inherited=parent.settings.get("executionPolicy") if parent else None,
        ),
        "timeout": min(timeout_ms, call.platform.limits.job_timeout_ms),
        "timeoutPolicyByExecutable": timeouts,
        "networkAccess": executable.body["access"].get("network") or [],
        "headJobOnDemand": on_demand,
        "runSystemRequirements": runtime,
        "runSystemRequirementsByExecutable": body.get("systemRequirementsByExecutable"),
        "mergedSystemRequirementsByExecutable": by_executable,
    }


def _echoed(body: dict[str, Any], parent: JobRow | None, names: Iterable[str]) -> dict[str, Any]:
    """Return what is kept as it was said; what a run leaves out it has from its parent."""
    inherited = parent.settings if parent else {}
    kept = {name: inherited[name] for name in _INHERITED if inherited.get(name) is not None}
    return kept | {name: body[name] for name in names if body.get(name) is not None}


def _turnaround(executable: ObjectRow) -> dict[str, Any]:
    """Return how long the author of a root's executable thinks that its tree may take."""
    given = executable.body.get(_THRESHOLD)
    return {
        "selectedTreeTurnaroundTimeThreshold": given,
        "selectedTreeTurnaroundTimeThresholdFrom": "system" if given is None else "executable",
    }


def _timeouts(body: dict[str, Any], parent: JobRow | None) -> dict[str, Any]:
    """Return timeoutPolicyByExecutable: what a job says beats what those below it say."""
    where = "timeoutPolicyByExecutable"
    given = keys.hash_of(body, where) or {}
    for executable, policy in given.items():
        requirements.check_timeout_policy(policy, where=f"{where}.{executable}")
    inherited = parent.settings.get("timeoutPolicyByExecutable") if parent else None
    return {**given, **(inherited or {})}


def instance_type(
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
    may_shrink = limits.fit or not asked
    fitting.check(chosen, machine, may_shrink=may_shrink)
    fitted = fitting.shown(chosen, machine)
    if fitted is not None:
        settings["fitted"] = fitted
    if run_spec.restarts_allowed(settings["executionPolicy"], _SHORTAGE):
        steps = escalation.ladder(
            chosen, machine, allowed=asked, grows=limits.escalate, may_shrink=may_shrink
        )
        if steps:
            settings[escalation.LADDER] = steps
    return chosen.name


def _check(body: dict[str, Any]) -> None:
    if body.get("details") is not None:
        properties.check_details(body["details"])
    ssh_access.allowed_by(body)
    for name in _BOOLEANS:
        keys.boolean(body, name)
    for name in ("maxTreeSpotWaitTime", "maxJobSpotWaitTime"):
        keys.integer(body, name, minimum=0)
    keys.positive(body, "costLimit")
    preserved = keys.hash_of(body, "preserveJobOutputs") or {}
    folder = keys.string(preserved, "folder", "preserveJobOutputs")
    if folder is not None:
        folders.normalise("/" + folder, "folder", "preserveJobOutputs")
    debug = keys.hash_of(body, "debug") or {}
    for reason in keys.strings(debug, "debugOn", "debug") or []:
        if reason not in DEBUG_REASONS:
            allowed = ", ".join(DEBUG_REASONS)
            raise errors.InvalidInput(
                f'Expected key "debug.debugOn" of input to hold only {allowed}'
            )
