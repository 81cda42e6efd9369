"""Make an analysis from a run of a workflow; the executions of its stages follow (contract F.1)."""

from __future__ import annotations

from typing import Any

import msgspec

from plasmid.domain.analysis_states import State
from plasmid.executions import launch
from plasmid.executions.world import Moment
from plasmid.metadata.rows import AnalysisRow, ContainerRow, JobRow


class AnalysisLaunch(msgspec.Struct, kw_only=True):
    """A run of a workflow that has been checked: what its analysis will be.

    `stages` has the id of each stage's execution, none of which is made yet; `parent` is the job
    that launched it, if one did; `outer` and `stage` are set for a workflow that is a stage.
    """

    analysis_id: str
    executable: str
    executable_name: str
    name: str
    project: ContainerRow
    folder: str
    launched_by: str
    run_input: dict[str, Any]
    depends_on: list[str]
    tags: list[str]
    properties: dict[str, str]
    priority: str
    rank: int
    stages: list[dict[str, Any]]
    workflow: dict[str, Any]
    settings: dict[str, Any]
    parent: JobRow | None = None
    is_detached: bool = False
    outer: AnalysisRow | None = None
    stage: str | None = None


async def begin(moment: Moment, run: AnalysisLaunch) -> AnalysisRow:
    """Create the analysis and its workspace; raises InvalidState if its launcher has ended."""
    if run.parent is not None:
        launch.require_running(run.parent)
    row = _row_of(moment, run)
    await moment.tx.add(launch.workspace_of(moment, run.project, row.workspace, run.launched_by))
    await moment.tx.add(row)
    return row


def _root_of(run: AnalysisLaunch, parent: JobRow | None) -> str:
    if run.outer is not None:
        return run.outer.root_execution
    return run.analysis_id if parent is None else parent.root_execution


def _settings_of(run: AnalysisLaunch, parent: JobRow | None) -> dict[str, Any]:
    settings = dict(run.settings)
    if run.outer is not None:
        settings[launch.OF_ANALYSIS] = [run.outer.id, run.stage]
    elif parent is not None:
        settings["parentJobTry"] = parent.attempt
        if parent.settings.get(launch.OF_ANALYSIS):
            settings[launch.OF_ANALYSIS] = parent.settings[launch.OF_ANALYSIS]
    elif run.parent is not None:
        settings["detachedFromTry"] = run.parent.attempt
    return settings


def _row_of(moment: Moment, run: AnalysisLaunch) -> AnalysisRow:
    parent = None if run.is_detached or run.outer is not None else run.parent
    return AnalysisRow(
        id=run.analysis_id,
        state=State.IN_PROGRESS.value,
        name=run.name,
        executable=run.executable,
        executable_name=run.executable_name,
        project=run.project.id,
        folder=run.folder,
        workspace=moment.mint("container"),
        region=run.project.region,
        bill_to=run.project.bill_to,
        launched_by=run.launched_by,
        parent_job=parent.id if parent else None,
        parent_analysis=run.outer.id if run.outer else None,
        stage=run.stage,
        root_execution=_root_of(run, parent),
        detached_from=run.parent.id if run.parent and run.is_detached else None,
        created_ms=moment.now_ms,
        modified_ms=moment.now_ms,
        priority=run.priority,
        rank=run.rank,
        tags=run.tags,
        properties=run.properties,
        state_transitions=[{"newState": State.IN_PROGRESS.value, "setAt": moment.now_ms}],
        run_input=run.run_input,
        original_input=run.run_input,
        input=run.run_input,
        output=None,
        depends_on=run.depends_on,
        stages=run.stages,
        workflow=run.workflow,
        settings=_settings_of(run, parent),
    )
