"""Run a workflow: an analysis and the executions of all its stages, in one transaction (E.6, F.2).

A stage's applet or app is run as `methods.running` runs one; a workflow that is a stage becomes an
analysis below the analysis.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from plasmid.domain import errors, folders, keys, properties, run_spec, workflow_wishes
from plasmid.domain.access import Level
from plasmid.domain.workflow_wishes import EVERY, Wishes
from plasmid.executions import (
    analysis_launch,
    analysis_outputs,
    cloning,
    launch,
    restricted,
    settle,
)
from plasmid.executions.analysis_launch import AnalysisLaunch
from plasmid.executions.world import Moment
from plasmid.metadata import analyses
from plasmid.metadata.rows import AnalysisRow, JobRow
from plasmid.methods import moments, running, stage_inputs, stage_runs, workflow_plans
from plasmid.methods.call import Call
from plasmid.methods.registry import Mode, method
from plasmid.methods.stage_inputs import StageValues
from plasmid.methods.targets import Access, DataObject
from plasmid.methods.workflow_plans import Plan, Run

# What a run may say that is the same for the analysis and the jobs of its stages.
_ECHOED: Final = (
    "debug", "allowSSH", "delayWorkspaceDestruction", "costLimit", "preserveJobOutputs",
    "singleContext", "detailedJobMetrics", "maxTreeSpotWaitTime", "maxJobSpotWaitTime",
)  # fmt: skip
_INHERITED: Final = (
    "debug", "allowSSH", "delayWorkspaceDestruction", "detailedJobMetrics", "preserveJobOutputs",
)  # fmt: skip
# What an analysis keeps of its workflow, as it was when it was run.
_KEPT: Final = (
    "title", "summary", "description", "outputFolder", "inputs", "outputs", "editVersion",
    "ignoreReuse", "initializedFrom", "dxapi", "treeTurnaroundTimeThreshold",
)  # fmt: skip
_THRESHOLD: Final = "treeTurnaroundTimeThreshold"


@method("/workflow-xxxx/run", access=Access.OBJECT_VIEW, mode=Mode.WRITE, nonce=True)
async def run_workflow(call: Call, target: DataObject, body: dict[str, Any]) -> dict[str, Any]:
    """Start an analysis of the workflow; say which execution each stage has."""
    return await run(call, target, body)


async def run(
    call: Call,
    workflow: DataObject,
    body: dict[str, Any],
    *,
    is_trusted: bool = False,
    needed: Level = Level.CONTRIBUTE,
) -> dict[str, Any]:
    """Start an analysis and return `{id, stages}`; raises for whatever is wrong, and nothing is.

    The stages of a workflow that `is_trusted` (a global one) run what they name, also what the
    caller may not see. `needed` is what the caller has to have of the project.
    """
    keys.check_depth(body)
    parent = await running.caller_job(call)
    is_detached = keys.boolean(body, "detach") or parent is None
    project = await running.project_of(call, parent, body, is_detached=is_detached, needed=needed)
    given = body.get("input")
    if not isinstance(given, dict):
        raise errors.InvalidInput('Expected key "input" of input to be a hash')
    await running.require_readable(call, given, project)
    await running.require_region(restricted.Homes(call.reader, project.id), workflow, project)
    over = None if is_detached else parent
    if over is None:
        running.require_allowed(project, workflow)
    what = Run(
        call=call,
        body=body,
        project=project,
        parent=parent,
        over=over,
        depends_on=await running.dependencies(call, body),
        priority=running.priority_of(body, parent),
        rank=running.rank_of(body, over),
        trusted=await workflow_plans.containers_of(call, workflow) if is_trusted else frozenset(),
    )
    plan = await workflow_plans.plan(what, workflow)
    _require_version(plan.workflow, body)
    default = plan.workflow.row.body.get("outputFolder") or folders.ROOT
    spot = Spot(
        name=running.name_of(body, workflow.place.name),
        folder=folders.read(body, default=default),
        wishes=workflow_wishes.read(body, plan.stages),
    )
    async with moments.of(call) as moment:
        awaited = await analysis_outputs.to_jobs(moment.tx, given)
        await launch.require_able_to_end(moment, over, awaited, what.depends_on)
        if is_detached:
            await cloning.add_folder_with_parents(moment, project.id, spot.folder)
        row = await start(moment, what, plan, given, spot=spot)
    return {"id": row.id, "stages": [entry["execution"] for entry in row.stages]}


def _require_version(workflow: DataObject, body: dict[str, Any]) -> None:
    """Raise InvalidState if the run is meant for the workflow as it was before an edit."""
    given, present = keys.integer(body, "editVersion"), workflow.row.body["editVersion"]
    if given is not None and given != present:
        raise errors.InvalidState(
            f"The workflow {workflow.id} is at editVersion {present}, not {given}: somebody has"
            " changed it; look at it again"
        )


class Spot(msgspec.Struct, frozen=True, kw_only=True):
    """Where an analysis is: at the top, or the stage of an `outer` one, which is named before it.

    `prefix` stands before the names of its fields where a message names one.
    """

    name: str
    folder: str
    wishes: Wishes
    outer: AnalysisRow | None = None
    stage: str | None = None
    policy: dict[str, Any] = msgspec.field(default_factory=dict)
    prefix: str = ""


async def start(
    moment: Moment, what: Run, plan: Plan, given: dict[str, Any], *, spot: Spot
) -> AnalysisRow:
    """Make an analysis and the executions of its stages; return it with all of them."""
    values = await stage_inputs.read(what, plan, given, prefix=spot.prefix)
    if what.over is not None:
        own = [planned.execution for planned in plan.stages.values()]
        awaited = await analysis_outputs.to_jobs(moment.tx, values.by_stage, but=own)
        await launch.require_able_to_end(moment, what.over, awaited, ())
    row = await analysis_launch.begin(
        moment, _launch_of(what, plan, given, values=values, spot=spot)
    )
    ignored = plan.workflow.row.body.get("ignoreReuse") or ()
    made: list[JobRow] = []
    inners: list[str] = []
    for stage_id in values.order:
        planned = plan.stages[stage_id]
        stage, wishes = planned.stage, spot.wishes
        folder = wishes.folder(stage, row.folder)
        is_fresh = wishes.is_fresh(stage_id, ignored)
        name = stage["name"] or planned.executable.place.name
        if planned.inner is not None:
            inner = Spot(
                name=name,
                folder=folder,
                wishes=Wishes(
                    everywhere=wishes.layer(stage),
                    policy=spot.wishes.policy,
                    rerun=(EVERY,) if is_fresh else (),
                ),
                outer=row,
                stage=stage_id,
                policy=wishes.execution_policy(stage),
                prefix=f"{spot.prefix}{stage_id}.",
            )
            await start(moment, what, planned.inner, values.by_stage[stage_id], spot=inner)
            inners.append(planned.execution)
            continue
        wish = stage_runs.Wish(
            analysis=row,
            stage=stage_id,
            name=name,
            folder=folder,
            layer=wishes.layer(stage),
            policy=wishes.execution_policy(stage),
            is_fresh=is_fresh,
            prefix=f"{spot.prefix}{stage_id}.",
        )
        made.append(
            await stage_runs.start(moment, what, planned, values.by_stage[stage_id], wish=wish)
        )
    # the stages that were made after one had failed at once
    for job in made:
        await settle.fall_again(moment, job)
    for analysis in inners:
        await settle.fall_again_with(moment, analysis)
    return await _with_input(moment, row)


async def _with_input(moment: Moment, row: AnalysisRow) -> AnalysisRow:
    """Keep with an analysis the whole input that its stages have got."""
    stages = await analyses.find_stages(moment.tx, row.id)
    every: list[JobRow | AnalysisRow] = [*stages.jobs.values(), *stages.analyses.values()]
    changes = {
        "original_input": {
            f"{one.stage}.{name}": value
            for one in every
            for name, value in one.original_input.items()
        },
        "input": {
            f"{one.stage}.{name}": value for one in every for name, value in one.input.items()
        },
    }
    await analyses.update_analysis(moment.tx, row.id, changes)
    found = await analyses.find_analysis(moment.tx, row.id)
    if found is None:
        raise RuntimeError(f"{row.id} vanished in its own transaction")
    return found


def _launch_of(
    what: Run, plan: Plan, given: dict[str, Any], *, values: StageValues, spot: Spot
) -> AnalysisLaunch:
    body = what.body if spot.outer is None else {}
    workflow = plan.workflow
    return AnalysisLaunch(
        analysis_id=plan.analysis,
        executable=plan.executable.id,
        executable_name=plan.executable.place.name,
        name=spot.name,
        project=what.project,
        folder=spot.folder,
        launched_by=what.call.user,
        run_input=given,
        depends_on=what.depends_on if spot.outer is None else [],
        tags=properties.check_tags(body.get("tags")),
        properties=properties.check_properties(body.get("properties")),
        priority=what.priority,
        rank=what.rank,
        stages=[
            {"id": stage_id, "execution": planned.execution}
            for stage_id, planned in plan.stages.items()
        ],
        workflow=_as_run(workflow, spot.wishes),
        settings=_settings(what, plan, values, spot=spot),
        parent=what.parent,
        is_detached=what.parent is not None and what.over is None,
        outer=spot.outer,
        stage=spot.stage,
    )


def _as_run(workflow: DataObject, wishes: Wishes) -> dict[str, Any]:
    """Return a workflow as it is run: its stages with the machines that this run gives them."""
    body = workflow.row.body
    stages = [{**stage, "systemRequirements": wishes.layer(stage)} for stage in body["stages"]]
    kept: dict[str, Any] = {name: body[name] for name in _KEPT if name in body}
    return {"id": workflow.id, "name": workflow.place.name, **kept, "stages": stages}


def _settings(what: Run, plan: Plan, values: StageValues, spot: Spot) -> dict[str, Any]:
    """Return what only describe and the rules of failure read of an analysis."""
    body = what.body
    inherited = what.over.settings if what.over else {}
    settings = {name: inherited[name] for name in _INHERITED if inherited.get(name) is not None}
    settings |= {name: body[name] for name in _ECHOED if body.get(name) is not None}
    settings["executionPolicy"] = spot.policy
    settings["ignoreReuse"] = spot.wishes.without_reuse
    if values.outputs is not None:
        settings[analysis_outputs.OUTPUTS] = values.outputs
    by_executable = body.get("systemRequirementsByExecutable")
    settings["mergedSystemRequirementsByExecutable"] = run_spec.merge_by_executable(
        inherited.get("mergedSystemRequirementsByExecutable"), by_executable
    )
    if spot.outer is not None:
        return settings
    if body.get("details") is not None:
        settings["details"] = properties.check_details(body["details"])
    settings["runSystemRequirements"] = body.get("systemRequirements")
    settings["runSystemRequirementsByExecutable"] = by_executable
    settings["runStageSystemRequirements"] = body.get("stageSystemRequirements")
    if what.over is None:
        threshold = plan.workflow.row.body.get(_THRESHOLD)
        origin = "system" if threshold is None else "executable"
        settings["selectedTreeTurnaroundTimeThreshold"] = threshold
        settings["selectedTreeTurnaroundTimeThresholdFrom"] = origin
    return settings
