"""What an analysis puts out, and what references to that mean: outputs of its stages' jobs (F.5).

A reference to the output of an analysis is a reference to that of a job, known as soon as the
analysis is made: so nothing ever waits for more of an analysis than it needs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from typing import Any

from plasmid.domain import errors, failures, ids, links, stage_values
from plasmid.domain.analysis_states import State
from plasmid.domain.links import JobReference
from plasmid.executions import references
from plasmid.executions.cloning import Launcher
from plasmid.metadata import analyses, jobs, reuse
from plasmid.metadata.analyses import Stages
from plasmid.metadata.database import Reader
from plasmid.metadata.rows import AnalysisRow, JobRow

OUTPUTS = "outputs"
"""The setting of an analysis whose workflow names its outputs: their values, as references."""


async def to_jobs(reader: Reader, value: Any, *, but: Collection[str] = ()) -> Any:
    """Return a value whose references to analyses are references to jobs, or what they mean.

    Those to the analyses of `but` stay: they are not made yet.
    Raises ResourceNotFound for an analysis that is not there, InvalidInput for what it cannot put
    out, or if that is too much.
    """
    found = [
        one
        for one in links.references(value)
        if ids.is_id(one.execution, "analysis") and one.execution not in but
    ]
    if not found:
        return value
    meant = {reference: await _meaning(reader, reference) for reference in found}
    try:
        return links.replace_references(value, lambda one: meant.get(one, links.UNRESOLVED))
    except failures.JobFailure as failure:
        raise errors.InvalidInput(failure.message) from failure


async def _meaning(reader: Reader, reference: JobReference) -> Any:
    row = await analyses.find_analysis(reader, reference.execution)
    if row is None:
        raise errors.ResourceNotFound(f"The entity {reference.execution} could not be found")
    outputs = row.settings.get(OUTPUTS)
    if reference.stage is None and outputs is not None and reference.field in outputs:
        value = stage_values.part_of(outputs[reference.field], reference)
        return await to_jobs(reader, value)
    stage, field = reference.stage, reference.field
    if stage is None:
        stage, _, field = reference.field.partition(".")
    execution = next((one["execution"] for one in row.stages if one["id"] == stage), None)
    if execution is None or not field:
        known = f"; its stages are {', '.join(one['id'] for one in row.stages)}"
        raise errors.InvalidInput(
            f'{row.id} ({row.name}) has no output "{reference.field}"'
            f"{f' of {reference.stage}' if reference.stage else ''}{known}"
        )
    meant = JobReference(execution, field, None, reference.index, reference.metadata)
    if ids.is_id(execution, "job"):
        return links.as_json(meant)
    return await _meaning(reader, meant)


async def assembled(reader: Reader, row: AnalysisRow) -> dict[str, Any]:
    """Return the output of an analysis all of whose stages are done."""
    outputs = row.settings.get(OUTPUTS)
    if outputs is not None:
        return await _named(reader, outputs, Launcher(row.launched_by, row.project, {}))
    executions = {one["execution"]: one["id"] for one in row.stages}
    found = await jobs.find_sources(reader, executions)
    return {
        f"{stage}.{field}": value
        for execution, stage in executions.items()
        for field, value in (found[execution].output or {}).items()
    }


async def so_far(reader: Reader, row: AnalysisRow, stages: Stages) -> dict[str, Any] | None:
    """Return what an analysis has put out by now; None until one of its stages is done.

    One that fails keeps what the stages that are done have put out.
    """
    if row.state == State.DONE:
        return row.output
    every: list[JobRow | AnalysisRow] = [*stages.jobs.values(), *stages.analyses.values()]
    known = {one.id: one.output for one in every if one.state == State.DONE}
    for below in stages.analyses.values():
        if below.id not in known:
            inner = await analyses.find_stages(reader, below.id)
            partial = await so_far(reader, below, inner)
            if partial is not None:
                known[below.id] = partial
    if not known:
        return None
    outputs = row.settings.get(OUTPUTS)
    if outputs is not None:
        return await _named(reader, outputs, Launcher(row.launched_by, row.project, {}))
    return {
        f"{entry['id']}.{field}": value
        for entry in row.stages
        for field, value in (known.get(entry["execution"]) or {}).items()
    }


async def reused_from(reader: Reader, row: AnalysisRow, output: dict[str, Any]) -> str | None:
    """Return the analysis of which one that is done has all its stages' outputs; None if it ran.

    None also if they come from several, or if that one has put out something else.
    """
    found = await reuse.find_sources_of_stages(reader, row.id)
    sources = {one.analysis if one.is_same_stage else None for one in found}
    source = sources.pop() if len(sources) == 1 else None
    earlier = await analyses.find_analysis(reader, source) if source else None
    if earlier is None or len(found) < len(row.stages) or earlier.output != output:
        return None
    return earlier.id


async def _named(reader: Reader, outputs: dict[str, Any], launcher: Launcher) -> dict[str, Any]:
    """Return the outputs that a workflow names, without those that nothing has been put out for.

    Nothing that is wrong with one may keep the last stage from its end. One that needs a job that
    is not done is left out.
    """
    settled = {}
    for name, value in outputs.items():
        with contextlib.suppress(errors.ApiError):  # as of a workflow within, which has it no more
            settled[name] = await to_jobs(reader, value)
    wanted = links.references(settled)
    sources = await jobs.find_sources(reader, {reference.execution for reference in wanted})
    values: dict[JobReference, Any] = {}
    for reference in wanted:
        source = sources.get(reference.execution)
        if source is None or source.state != State.DONE:
            continue
        try:
            values[reference] = await references.value_of(reader, launcher, reference, source)
        except failures.JobFailure:
            values[reference] = None
    named = {}
    for name, value in settled.items():
        if not values.keys() >= set(links.references(value)):
            continue
        with contextlib.suppress(failures.JobFailure):
            named[name] = links.replace_references(value, values.__getitem__)
    return {name: value for name, value in named.items() if value is not None}
