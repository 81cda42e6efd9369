"""Start the job of a stage, as a run of its applet or app (contract F.1, F.3)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from plasmid.domain import errors, io_spec, links
from plasmid.domain.requirements import Layer
from plasmid.domain.stage_values import Values
from plasmid.executions import launch, object_metadata, references
from plasmid.executions.launch import Launch
from plasmid.executions.world import Moment
from plasmid.metadata.rows import AnalysisRow, JobRow
from plasmid.methods import app_runs, granting, run_settings, tree_limits
from plasmid.methods.workflow_plans import Planned, Run

# What a run says that is said to the job of each stage; the rest is the analysis' own.
_PASSED: Final = (
    "debug", "allowSSH", "delayWorkspaceDestruction", "costLimit", "preserveJobOutputs",
    "singleContext", "detailedJobMetrics", "maxTreeSpotWaitTime", "maxJobSpotWaitTime",
    "systemRequirementsByExecutable", "timeoutPolicyByExecutable", "headJobOnDemand",
)  # fmt: skip
_OF_ROOTS: Final = (
    "selectedTreeTurnaroundTimeThreshold", "selectedTreeTurnaroundTimeThresholdFrom",
)  # fmt: skip


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """How a stage is run in an analysis; `is_fresh` says that earlier results are not wanted.

    `prefix` stands before the names of its fields where a message names one.
    """

    analysis: AnalysisRow
    stage: str
    name: str
    folder: str
    layer: Layer
    policy: dict[str, Any]
    is_fresh: bool
    prefix: str


async def start(
    moment: Moment, run: Run, planned: Planned, values: Values, *, wish: Wish
) -> JobRow:
    """Make the job of a stage; raises InvalidInput that names what is wrong."""
    call, found = run.call, planned.executable
    spec = found.row.body.get("inputSpec")
    _require_all(spec, values, wish.prefix)
    where = f"input of stage {wish.prefix.rstrip('.')}"
    checked = io_spec.check_values(spec, values, where=where)
    await object_metadata.require_types(call.reader, spec, checked, where=where)
    await tree_limits.require_room(call, run.over)
    executable = app_runs.in_region(found.row, run.project.region)
    body = {name: run.body[name] for name in _PASSED if run.body.get(name) is not None}
    body["systemRequirements"] = wish.layer or None
    body["executionPolicy"] = wish.policy or None
    body["ignoreReuse"] = wish.is_fresh
    settings = run_settings.read(call, executable, body, function=launch.MAIN, parent=run.over)
    with _naming(wish.prefix.rstrip(".")):
        instance_type = run_settings.instance_type(call, executable, settings, launch.MAIN)
    settings |= await granting.settings_of(call, run.parent)
    settings |= await app_runs.containers_of(call, found, run.project)
    settings = {name: value for name, value in settings.items() if name not in _OF_ROOTS}
    settings[references.OPTIONAL] = _may_be_left_out(spec, checked)
    return await launch.launch(
        moment,
        Launch(
            executable=found.id,
            executable_name=found.place.name,
            function=launch.MAIN,
            name=wish.name,
            project=run.project,
            folder=wish.folder,
            launched_by=run.call.user,
            run_input=values,
            original_input=checked,
            depends_on=run.depends_on,
            tags=[],
            properties={},
            priority=run.priority,
            rank=run.rank,
            instance_type=instance_type,
            settings=settings,
            analysis=wish.analysis,
            stage=wish.stage,
            job_id=planned.execution,
        ),
    )


@contextlib.contextmanager
def _naming(stage: str) -> Iterator[None]:
    """Let what is wrong with a run of a stage say which stage that is."""
    try:
        yield
    except errors.InvalidInput as refused:
        raise errors.InvalidInput(f"Stage {stage}: {refused.message}") from refused


def _require_all(spec: list[dict[str, Any]] | None, values: Values, prefix: str) -> None:
    """Raise InvalidInput that names a field as a run of the workflow would give it."""
    for field in spec or []:
        is_needed = not field.get("optional") and field.get("default") is None
        if is_needed and values.get(field["name"]) is None:
            raise errors.InvalidInput(f'Expected input to have property "{prefix}{field["name"]}"')


def _may_be_left_out(spec: list[dict[str, Any]] | None, values: Values) -> list[str]:
    """Return the optional fields whose value is an output of something that may leave it out."""
    return [
        field["name"]
        for field in spec or []
        if (field.get("optional") or field.get("default") is not None)
        and links.reference_of(values.get(field["name"])) is not None
    ]
