"""Make a job from a run: its row, its workspace, and what it waits for (contract F.1, F.2)."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from plasmid.domain import errors, ids, links
from plasmid.domain.job_states import State
from plasmid.executions import inputs
from plasmid.executions.world import Moment
from plasmid.metadata import jobs
from plasmid.metadata.rows import ContainerRow, JobRow

MAIN: Final = "main"


class Launch(msgspec.Struct, kw_only=True):
    """A run whose input has been checked: what its job will be.

    `parent` is the job that launched it, if one did; `shares_workspace` is true for /job/new. Only
    a replay gives the job an id, a workspace that is there, and the number of the try.
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
    job_id: str = ""
    workspace: str = ""
    attempt: int = 0


async def launch(moment: Moment, run: Launch) -> JobRow:
    """Create the job, settle what can be settled now, and return it.

    Raises InvalidState if its launcher is no longer running, InvalidInput for a circle of waits.
    """
    await _require_able_to_end(moment, run)
    row = _row_of(moment, run)
    if not run.shares_workspace and not run.workspace:
        await moment.tx.add(_workspace_of(moment, run, row.workspace))
    await moment.tx.add(row)
    return await inputs.settle_input(moment, row)


async def _require_able_to_end(moment: Moment, run: Launch) -> None:
    """Raise if the job would be left alone, or would wait for who waits for it."""
    if run.parent is None:
        return
    if run.parent.state != State.RUNNING:
        raise errors.InvalidState(f"{run.parent.id} is {run.parent.state}; it can start no jobs")
    awaited = {reference.execution for reference in links.references(run.original_input)}
    awaited |= {target for target in run.depends_on if ids.is_id(target, "job")}
    if not awaited or run.is_detached:
        return
    above = await jobs.find_above(moment.tx, run.parent.id)
    if awaited & await jobs.find_behind(moment.tx, above):
        raise errors.InvalidInput(
            f"The new job and {run.parent.id}, which starts it, would wait for each other;"
            f" take {', '.join(sorted(awaited))} out of its input and dependsOn"
        )


def _row_of(moment: Moment, run: Launch) -> JobRow:
    job_id = run.job_id or moment.mint("job")
    parent = None if run.is_detached else run.parent
    workspace = run.workspace or moment.mint("container")
    if run.shares_workspace and parent is not None:
        workspace = parent.workspace
    settings = dict(run.settings)
    if parent is not None:
        settings["parentJobTry"] = parent.attempt
    elif run.parent is not None:
        settings["detachedFromTry"] = run.parent.attempt
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
        origin_job=parent.origin_job if parent else job_id,
        root_execution=parent.root_execution if parent else job_id,
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
        input=run.original_input,
        output=None,
        depends_on=run.depends_on,
        failure_reason=None,
        failure_message=None,
        failure_from=None,
        failure_counts={},
        worker=None,
        settings=settings,
    )


def _workspace_of(moment: Moment, run: Launch, workspace: str) -> ContainerRow:
    return ContainerRow(
        id=workspace,
        class_name="container",
        name=workspace,
        region=run.project.region,
        summary="",
        description="",
        bill_to=run.project.bill_to,
        created_by=run.launched_by,
        created_ms=moment.now_ms,
        modified_ms=moment.now_ms,
        version=0,
        flags={},
        tags=[],
        properties={},
        project=run.project.id,
    )
