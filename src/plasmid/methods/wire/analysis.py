"""The form in which an analysis leaves the API (contract F.6.3, A.12, P.4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from plasmid.domain import analysis_states, keys, reuse
from plasmid.metadata.rows import AnalysisRow
from plasmid.methods.wire import fields, tree

IO: Final = ("runInput", "originalInput", "input", "output")
ON_REQUEST: Final = (
    "runSystemRequirements",
    "runSystemRequirementsByExecutable",
    "mergedSystemRequirementsByExecutable",
    "runStageSystemRequirements",
)
# What is made of the executions of the stages, which have to be read for it.
OF_STAGES: Final = ("stages", "input", "output")
_ECHOED: Final[dict[str, Any]] = {
    "details": {},
    "debug": {},
    "ignoreReuse": None,
    "costLimit": None,
    "preserveJobOutputs": None,
    "detailedJobMetrics": False,
    "delayWorkspaceDestruction": False,
    "singleContext": False,
    "maxTreeSpotWaitTime": None,
    "maxJobSpotWaitTime": None,
}


def wanted(options: Mapping[str, Any]) -> set[str]:
    """Return which of the fields that are made of the stages' executions the options ask for."""
    names = fields.selected(options, OF_STAGES)
    has_io = keys.boolean(dict(options), "io", default=True)
    return {name for name in OF_STAGES if name in names and (has_io or name not in IO)}


def describe(
    row: AnalysisRow,
    stages: list[dict[str, Any]],
    options: Mapping[str, Any],
    *,
    now_ms: int | None = None,
) -> dict[str, Any]:
    """Return the fields of an analysis that the options ask for.

    `stages` are `{id, execution}` with the describe of each execution, as far as it is wanted.
    """
    everything = _defaults(row) | tree.turnaround(
        row, now_ms, is_over=analysis_states.is_terminal(row.state)
    )
    everything["stages"] = stages
    if not keys.boolean(dict(options), "io", default=True):
        for name in IO:
            del everything[name]
    if options.get("fields") is None:
        return everything
    names = fields.selected(options, everything, ON_REQUEST)
    everything |= {name: row.settings.get(name) for name in ON_REQUEST if name in names}
    return {name: value for name, value in everything.items() if name in names}


def _defaults(row: AnalysisRow) -> dict[str, Any]:
    described: dict[str, Any] = {
        "id": row.id,
        "class": "analysis",
        "region": row.region,
        "name": row.name,
        "executable": row.executable,
        "executableName": row.executable_name,
        "created": row.created_ms,
        "modified": row.modified_ms,
        "billTo": row.bill_to,
        "project": row.project,
        "folder": row.folder,
        "workspace": row.workspace,
        **tree.relations(row),
        "workflow": row.workflow,
        "state": row.state,
        "stateTransitions": row.state_transitions,
        "launchedBy": row.launched_by,
        "tags": row.tags,
        "properties": row.properties,
        "dependsOn": row.depends_on,
        "priority": row.priority,
        "rank": row.rank,
        reuse.SOURCE: row.settings.get(reuse.SOURCE),
        "invoiceMetadata": None,
        "isFree": True,
        "runInput": row.run_input,
        "originalInput": row.original_input,
        "input": row.input,
        "output": row.output,
    }
    for name, default in _ECHOED.items():
        described[name] = row.settings.get(name, default)
    if row.settings.get("allowSSH"):
        described["allowSSH"] = row.settings["allowSSH"]
    if row.state in analysis_states.WITH_FAILURE:
        for name in ("failureReason", "failureMessage", "failureFrom"):
            described[name] = row.settings.get(name)
    return described
