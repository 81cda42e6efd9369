"""What an analysis puts out, and what references to that mean: outputs of its stages' jobs (F.5).

A reference to the output of an analysis is a reference to that of a job, known as soon as the
analysis is made: so nothing ever waits for more of an analysis than it needs.
"""

from __future__ import annotations

from typing import Any

from plasmid.domain import errors, failures, ids, links, stage_values
from plasmid.domain.links import JobReference
from plasmid.executions import references
from plasmid.executions.cloning import Launcher
from plasmid.metadata import analyses, jobs
from plasmid.metadata.database import Reader
from plasmid.metadata.rows import AnalysisRow

OUTPUTS = "outputs"
"""The setting of an analysis whose workflow names its outputs: their values, as references."""


async def to_jobs(reader: Reader, value: Any) -> Any:
    """Return a value whose references to analyses are references to jobs, or what they mean.

    Raises ResourceNotFound for an analysis that is not there, InvalidInput for what it cannot put
    out.
    """
    found = [one for one in links.references(value) if ids.is_id(one.execution, "analysis")]
    if not found:
        return value
    meant = {reference: await _meaning(reader, reference) for reference in found}
    return links.replace_references(value, lambda one: meant.get(one, links.UNRESOLVED))


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


async def _named(reader: Reader, outputs: dict[str, Any], launcher: Launcher) -> dict[str, Any]:
    """Return the outputs that a workflow names, without those that its stages left out."""
    settled = await to_jobs(reader, outputs)
    wanted = links.references(settled)
    sources = await jobs.find_sources(reader, {reference.execution for reference in wanted})
    values: dict[JobReference, Any] = {}
    for reference in wanted:
        try:
            source = sources[reference.execution]
            values[reference] = await references.value_of(reader, launcher, reference, source)
        except failures.JobFailure:
            values[reference] = None
    named = {
        name: links.replace_references(value, values.__getitem__) for name, value in settled.items()
    }
    return {name: value for name, value in named.items() if value is not None}
