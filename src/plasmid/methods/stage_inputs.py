"""What each stage of a workflow gets in one run, and what the workflow puts out (contract E.6)."""

from __future__ import annotations

from typing import Any

import msgspec

from plasmid.domain import errors, io_spec, links, stage_values
from plasmid.domain.stage_values import Resolver, Values
from plasmid.domain.workflow_spec import SOURCE
from plasmid.executions import analysis_outputs
from plasmid.methods import running
from plasmid.methods.workflow_plans import Plan, Run


class StageValues(msgspec.Struct, frozen=True):
    """The input of each stage, by its id, and an order in which they can be started.

    `outputs` are the values of a workflow's own outputs, None if it names none.
    """

    by_stage: dict[str, Values]
    order: list[str]
    outputs: Values | None


async def read(run: Run, plan: Plan, given: Values, *, prefix: str = "") -> StageValues:
    """Return what the stages get; raises InvalidInput that names the field.

    `given` is by `<stage>.<field>`, or by the workflow's own inputs.
    """
    body = plan.workflow.row.body
    fields, by_stage = _split(plan, given, prefix=prefix)
    if body.get("inputs") is not None:
        where = f"input of stage {prefix.rstrip('.')}" if prefix else "input"
        fields = io_spec.check_values(body["inputs"], fields, where=where)
    await _require_readable(run, fields)
    bound = {}
    for stage_id, planned in plan.stages.items():
        kept = {name: value for name, value in planned.stage["input"].items() if value is not None}
        await _require_readable(run, kept)
        bound[stage_id] = kept | by_stage.get(stage_id, {})
    executions = {stage_id: planned.execution for stage_id, planned in plan.stages.items()}
    resolver = Resolver(bound, executions, fields, values_max=run.room.values)
    values = {stage_id: resolver.stage(stage_id) for stage_id in bound}
    outputs = body.get("outputs")
    if outputs is not None:
        sources = {field["name"]: resolver.value(field.get(SOURCE)) for field in outputs}
        outputs = {name: value for name, value in sources.items() if value is not None}
        # what it puts out does not lead to another analysis, from that to another, and so on
        outputs = await analysis_outputs.to_jobs(run.call.reader, outputs, but=executions.values())
    run.room.values = resolver.left
    return StageValues(values, stage_values.in_order(bound, values, executions), outputs)


async def _require_readable(run: Run, value: Any) -> None:
    """Raise if the caller may not see what a workflow binds, and it was not brought along."""
    named = [one for one in links.object_ids(value) if one not in run.readable]
    brought = [one for one in named if run.trusted and await run.is_trusted(one)]
    others = [links.link(one) for one in named if one not in brought]
    references = [links.as_json(reference) for reference in links.references(value)]
    await running.require_readable(run.call, [*others, *references], run.project)
    run.readable.update(named)


def _split(plan: Plan, given: Values, *, prefix: str) -> tuple[Values, dict[str, Values]]:
    """Return what is given for the workflow's own inputs, and what for the stages' fields."""
    workflow = plan.workflow.row
    own = workflow.body.get("inputs")
    names = [field["name"] for field in own or []]
    fields: Values = {}
    by_stage: dict[str, Values] = {}
    for key, value in given.items():
        stage, _, field = key.partition(".")
        if key in names:
            fields[key] = value
        elif not field or stage not in plan.stages:
            known = (
                f"its inputs are {', '.join(names)}"
                if own is not None
                else (f"its inputs are STAGE.FIELD, with the stages {', '.join(plan.stages)}")
            )
            raise errors.InvalidInput(
                f'Expected key "{prefix}{key}" of input to be an input of the workflow: {known}'
            )
        elif own is not None and workflow.state == "closed":
            raise errors.InvalidInput(
                f'The input "{prefix}{key}" is private and cannot be overridden: the workflow takes'
                f" {', '.join(names) or 'no input'}"
            )
        elif value is not None:
            by_stage.setdefault(stage, {})[field] = value
    return fields, by_stage
