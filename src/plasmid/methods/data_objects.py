"""Describe data objects, of every class, for a caller (contract D.1.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plasmid.domain import workflow_spec
from plasmid.domain.access import Level
from plasmid.metadata import workflows
from plasmid.metadata.rows import ObjectRow, PlacementRow
from plasmid.metadata.workflows import Latest
from plasmid.methods import levels
from plasmid.methods.call import Call
from plasmid.methods.stage_executables import Stages
from plasmid.methods.wire import data_object as wire
from plasmid.methods.wire import workflow as workflow_wire


async def describe(
    call: Call, row: ObjectRow, place: PlacementRow, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the fields of an object in one container that the options ask for."""
    seen = None
    if row.class_name == "workflow":
        seen = await _of_workflow(call, row, wire.wanted(row, options))
    return await wire.describe(call.reader, row, place, options, now_ms=call.now_ms, seen=seen)


async def _of_workflow(call: Call, row: ObjectRow, wanted: set[str]) -> dict[str, Any]:
    """Return what a caller sees of a workflow, as far as it is wanted."""
    seen: dict[str, Any] = {}
    if wanted & {workflow_wire.STAGES, *workflow_wire.SPECS}:
        interfaces = await Stages(call).of_workflow(row.body)
        seen[workflow_wire.STAGES] = workflow_wire.stages(row.body, interfaces)
        seen |= workflow_wire.specs(workflow_spec.of_workflow(row.body, interfaces))
    if workflow_wire.LATEST in wanted:
        latest = await latest_analysis(call, row.id)
        seen[workflow_wire.LATEST] = workflow_wire.latest(latest)
    return seen


async def latest_analysis(call: Call, executable: str) -> Latest | None:
    """Return the newest run of a workflow among those that the caller may see, or None."""
    hidden: set[str] = set()
    while True:
        found = await workflows.find_latest(call.reader, executable, without=hidden)
        if found is None or await levels.level_on(call, found.project) >= Level.VIEW:
            return found
        hidden.add(found.project)
