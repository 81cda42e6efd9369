"""Make a job from a run: its row, its workspace, and what it waits for (contract F.1, F.2)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from plasmid.domain import errors, ids, links
from plasmid.domain.job_states import State
from plasmid.executions import analysis_outputs, inputs
from plasmid.executions.world import Moment
from plasmid.metadata import jobs
from plasmid.metadata.rows import AnalysisRow, ContainerRow, JobRow

MAIN: Final = "main"
OF_ANALYSIS: Final = "ofAnalysis"
"""The setting of all jobs of a stage: the nearest analysis above, and its stage."""


class Launch(msgspec.Struct, kw_only=True):
    """A run whose input has been checked: what its job will be.

    `parent` is the job that launched it, if one did; `shares_workspace` is true for /job/new. The
    job of a stage has its `analysis` instead, and an id that its other stages know. Only a replay
    gives the job a workspace that is there, and the number of the try.
    """

    executable: str
    executable_name: str
    function: str
    name: str
    project: ContainerRow
    folder: str
    launched_by: str
    run_input: dict[str, Any]
    original_input: dict[str, Any]
    depends_on: list[str]
    tags: list[str]
    properties: dict[str, str]
    priority: str
    rank: int
    instance_type: str
    settings: dict[str, Any]
    parent: JobRow | None = None
    shares_workspace: bool = False
    is_detached: bool = False
    analysis: AnalysisRow | None = None
    stage: str | None = None
    job_id: str = ""
    workspace: str = ""
    attempt: int = 0


async def launch(moment: Moment, run: Launch) -> JobRow:
    """Create the job, settle what can be settled now, and return it.

    Raises InvalidState if its launcher is no longer running, InvalidInput for a circle of waits.
    """
    given = await analysis_outputs.to_jobs(moment.tx, run.original_input)
    parent = None if run.is_detached else run.parent
    if run.parent is not None:
        require_running(run.parent)
    await require_able_to_end(moment, parent, given, run.depends_on)
    row = _row_of(moment, run, given)
    if not run.shares_workspace and not run.workspace:
        workspace = workspace_of(moment, run.project, row.workspace, run.launched_by)
        await moment.tx.add(workspace)
    await moment.tx.add(row)
    return await inputs.settle_input(moment, row)


def require_running(parent: JobRow) -> None:
    """Raise InvalidState if a job can start no others: what it starts would be left alone."""
    if parent.state != State.RUNNING:
        raise errors.InvalidState(f"{parent.id} is {parent.state}; it can start no jobs")


async def require_able_to_end(
    moment: Moment, parent: JobRow | None, given: Any, depends_on: Iterable[str]
) -> None:
    """Raise InvalidInput if what a job starts would wait for who waits for it."""
    if parent is None:
        return
    awaited = {reference.execution for reference in links.references(given)}
    awaited |= {target for target in depends_on if ids.is_id(target, *ids.EXECUTION_CLASSES)}
    if not awaited:
        return
    above = await jobs.find_above(moment.tx, parent.id)
    if awaited & await jobs.find_behind(moment.tx, above):
        raise errors.InvalidInput(
            f"The new job and {parent.id}, which starts it, would wait for each other;"
            f" take {', '.join(sorted(awaited))} out of its input and dependsOn"
        )


def _place_of(run: Launch, job_id: str, parent: JobRow | None) -> tuple[str, str]:
    """Return a job's origin and the root of its tree."""
    if run.analysis is not None:
        return job_id, run.analysis.root_execution
    return (job_id, job_id) if parent is None else (parent.origin_job, parent.root_execution)


def _row_of(moment: Moment, run: Launch, given: dict[str, Any]) -> JobRow:
    job_id = run.job_id or moment.mint("job")
    parent = None if run.is_detached else run.parent
    workspace = run.workspace or moment.mint("container")
    if run.shares_workspace and parent is not None:
        workspace = parent.workspace
    settings = dict(run.settings)
    if run.analysis is not None:
        settings[OF_ANALYSIS] = [run.analysis.id, run.stage]
    if parent is not None:
        settings["parentJobTry"] = parent.attempt
        if parent.settings.get(OF_ANALYSIS):
            settings[OF_ANALYSIS] = parent.settings[OF_ANALYSIS]
    elif run.parent is not None:
        settings["detachedFromTry"] = run.parent.attempt
    origin, root = _place_of(run, job_id, parent)
    return JobRow(
        id=job_id,
        state=State.IDLE.value,
        name=run.name,
        function=run.function,
        executable=run.executable,
        executable_name=run.executable_name,
        project=run.project.id,
        folder=run.folder,
        workspace=workspace,
        region=run.project.region,
        bill_to=run.project.bill_to,
        launched_by=run.launched_by,
        parent_job=parent.id if parent else None,
        origin_job=origin,
        root_execution=root,
        detached_from=run.parent.id if run.parent and run.is_detached else None,
        created_ms=moment.now_ms,
        modified_ms=moment.now_ms,
        started_running_ms=None,
        stopped_running_ms=None,
        attempt=run.attempt,
        attempt_created_ms=moment.now_ms,
        priority=run.priority,
        rank=run.rank,
        instance_type=run.instance_type,
        tags=run.tags,
        properties=run.properties,
        state_transitions=[],
        run_input=run.run_input,
        original_input=run.original_input,
        input=given,
        output=None,
        depends_on=run.depends_on,
        failure_reason=None,
        failure_message=None,
        failure_from=None,
        failure_counts={},
        worker=None,
        settings=settings,
        parent_analysis=run.analysis.id if run.analysis else None,
        stage=run.stage,
    )


def workspace_of(
    moment: Moment, project: ContainerRow, workspace: str, launched_by: str
) -> ContainerRow:
    """Return the new workspace of a master job or an analysis."""
    return ContainerRow(
        id=workspace,
        class_name="container",
        name=workspace,
        region=project.region,
        summary="",
        description="",
        bill_to=project.bill_to,
        created_by=launched_by,
        created_ms=moment.now_ms,
        modified_ms=moment.now_ms,
        version=0,
        flags={},
        tags=[],
        properties={},
        project=project.id,
    )
