"""The form in which a job leaves the API (contract F.6, A.12, P.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from plasmid.domain import https_app, job_states, keys, reuse
from plasmid.metadata.rows import JobRow
from plasmid.methods.wire import fields, tree

IO: Final = ("runInput", "originalInput", "input", "output")
ON_REQUEST: Final = (
    "runSystemRequirements",
    "runSystemRequirementsByExecutable",
    "mergedSystemRequirementsByExecutable",
    "headJobOnDemand",
    "instanceTypeTransitions",
    "ran",
)
# Also on request only: there is nothing of the kind here.
_NOTHING_OF: Final[dict[str, Any]] = {"internetUsageIPs": [], "jobLogsForwardingStatus": None}
# Only what runs an app has these.
_OF_APPS: Final = ("resources", "projectCache")
# Where a running job that allows logins can be reached (contract H.2).
OF_SSH: Final = ("host", "sshPort", "sshHostKey")
# Not of the platform's API: what a job got that is less than its instance type, and what of its
# limits this machine could not enforce; while it runs its newest measurement, then what the try has
# used in all; while it is held for debugging, why and how long (`hold`).
# Below `plasmid`, which is absent where there is none of it.
OWN: Final = ("fitted", "notEnforced", "usage", "metrics")
_ECHOED: Final[dict[str, Any]] = {
    "executionPolicy": {},
    "systemRequirements": {},
    "networkAccess": [],
    "debug": {},
    "details": {},
    "singleContext": False,
    "ignoreReuse": False,
    "costLimit": None,
    "preserveJobOutputs": None,
    "detailedJobMetrics": False,
    "delayWorkspaceDestruction": False,
    "maxTreeSpotWaitTime": None,
    "maxJobSpotWaitTime": None,
}


def describe(
    row: JobRow,
    options: Mapping[str, Any],
    *,
    now_ms: int | None = None,
    web_apps: https_app.Address | None = None,
) -> dict[str, Any]:
    """Return the fields of a job that the options ask for.

    How long a tree has taken so far is told if it is said what time it is, and where its web
    application is if this site has any.
    """
    everything = _defaults(row) | tree.turnaround(
        row, now_ms, is_over=job_states.is_terminal(row.state)
    )
    everything[https_app.FIELD] = https_app.of_job(
        row.settings.get(https_app.FIELD), row.id, web_apps
    )
    if not keys.boolean(dict(options), "io", default=True):
        for name in IO:
            del everything[name]
    if options.get("fields") is None:
        return everything
    wanted = fields.selected(options, everything, (*ON_REQUEST, *_NOTHING_OF))
    everything |= {name: value for name, value in _NOTHING_OF.items() if name in wanted}
    for name in wanted & set(ON_REQUEST):
        everything[name] = row.settings.get(name)
    if everything.get("instanceTypeTransitions") is None:
        everything.pop("instanceTypeTransitions", None)  # absent unless there was one
    return {name: value for name, value in everything.items() if name in wanted}


def _defaults(row: JobRow) -> dict[str, Any]:
    settings = row.settings
    described: dict[str, Any] = {
        "id": row.id,
        "class": "job",
        "region": row.region,
        "name": row.name,
        "tags": row.tags,
        "properties": row.properties,
        "executable": row.executable,
        "executableName": row.executable_name,
        row.executable.split("-")[0]: row.executable,
        "function": row.function,
        "created": row.created_ms,
        "modified": row.modified_ms,
        "try": row.attempt,
        "tryCreated": row.attempt_created_ms,
        "project": row.project,
        "billTo": row.bill_to,
        "folder": row.folder,
        "workspace": row.workspace,
        **tree.relations(row),
        "originJob": row.origin_job,
        "state": row.state,
        "stateTransitions": row.state_transitions,
        "launchedBy": row.launched_by,
        "priority": row.priority,
        "finalPriority": row.priority,
        "rank": row.rank,
        "instanceType": row.instance_type,
        "timeout": settings.get("timeout"),
        "dependsOn": row.depends_on,
        "failureCounts": row.failure_counts,
        reuse.SOURCE: settings.get(reuse.SOURCE),
        "workerReuseDeadlineRunTime": {"state": "reuse-off", "waitTime": -1, "at": -1},
        "invoiceMetadata": None,
        "httpsApp": https_app.OFF,
        "isFree": True,
        "runInput": row.run_input,
        "originalInput": row.original_input,
        "input": row.input,
        "output": row.output,
    }
    for name, default in _ECHOED.items():
        described[name] = settings.get(name, default)
    _add_optional(described, row)
    return described


def _add_optional(described: dict[str, Any], row: JobRow) -> None:
    """Add the keys that must be absent while they do not apply (contract A.12)."""
    if row.started_running_ms is not None:
        described["startedRunning"] = row.started_running_ms
        if row.stopped_running_ms is not None:
            described["stoppedRunning"] = row.stopped_running_ms
    if row.state in (job_states.State.FAILED, job_states.RESTARTED):
        described["failureReason"] = row.failure_reason
        described["failureMessage"] = row.failure_message
        described["failureFrom"] = row.failure_from
    for name in _OF_APPS:
        if row.settings.get(name):
            described[name] = row.settings[name]
    if row.settings.get("allowSSH"):
        described["allowSSH"] = row.settings["allowSSH"]
        if row.state in (job_states.State.RUNNING, job_states.State.DEBUG_HOLD):
            doors = row.settings.get("doors") or {}
            described |= {name: doors[name] for name in OF_SSH if name in doors}
    shown = (*OWN, "hold") if row.state == job_states.State.DEBUG_HOLD else OWN
    own = {name: row.settings[name] for name in shown if row.settings.get(name)}
    if own:
        described["plasmid"] = own
