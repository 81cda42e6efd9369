"""Hold the input of a job that has waited against its specification (contract E.1, F.5)."""

from __future__ import annotations

from typing import Any

from plasmid.domain import errors, failures, io_spec, links, metadata_defaults
from plasmid.domain.failures import JobFailure
from plasmid.domain.job_states import State
from plasmid.domain.metadata_defaults import MetadataDefault
from plasmid.executions import cloning, object_metadata, outputs
from plasmid.executions.world import Moment
from plasmid.metadata import objects
from plasmid.metadata.rows import JobRow


async def fit(moment: Moment, row: JobRow, settled: dict[str, Any]) -> dict[str, Any]:
    """Return the settled input of main of a master job as its spec wants it, others as they are.

    Defaults from the metadata of other inputs are put in. Raises JobFailure (InputError).
    """
    if not _has_changed(row) or row.function != "main" or await outputs.is_subjob(moment, row):
        return settled
    executable = await objects.find_object(moment.tx, row.executable)
    spec = executable.body.get("inputSpec") if executable else None
    filled = await _with_metadata(moment, row, settled, spec=spec)
    checked = io_spec.check_resolved(metadata_defaults.without(spec), filled)
    try:
        await object_metadata.require_types(moment.tx, spec, checked)
    except errors.ApiError as error:
        raise JobFailure(failures.INPUT_ERROR, error.message) from error
    return checked


def _has_changed(row: JobRow) -> bool:
    """Say whether the input can be another than the one that was checked when the job was made."""
    return (
        row.state == State.WAITING_ON_INPUT
        or bool(links.references(row.original_input))
        or any(metadata_defaults.of(value) for value in row.original_input.values())
    )


async def _with_metadata(
    moment: Moment, row: JobRow, values: dict[str, Any], *, spec: list[dict[str, Any]] | None
) -> dict[str, Any]:
    defaults = metadata_defaults.applying(spec, row.run_input, values)
    found = {
        name: await _read(moment, row, values, default=default)
        for name, default in defaults.items()
    }
    return {**values, **found}


async def _read(
    moment: Moment, row: JobRow, values: dict[str, Any], *, default: MetadataDefault
) -> Any:
    """Return what a default is: of each object if the other input is an array of them."""
    ids = links.object_ids(metadata_defaults.linked(default, values))
    read = [
        await object_metadata.read(
            moment.tx, cloning.launcher_of(row, values), object_id, name=default.metadata
        )
        for object_id in ids
    ]
    if isinstance(values.get(default.input), list) and default.index is None:
        return read
    return read[0] if read else None
