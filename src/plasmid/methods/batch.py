"""Batches: propose inputs from the names of files, check a table of inputs (contract B.8)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any, Final

from plasmid.domain import batches, errors, folders, ids, instance_types, io_spec, keys, links
from plasmid.domain.access import Level
from plasmid.domain.batches import Batch, Columns
from plasmid.metadata import objects
from plasmid.methods import folders as folder_methods
from plasmid.methods import targets
from plasmid.methods.call import Call
from plasmid.methods.registry import method
from plasmid.methods.stage_executables import Stages
from plasmid.methods.targets import Access, DataObject

# For how long names are held against expressions before the call is refused.
SECONDS_MAX: Final = 20.0


@method("/system/generateBatchInputs", access=Access.LOGIN)
async def generate_batch_inputs(call: Call, target: None, body: dict[str, Any]) -> dict[str, Any]:
    """Join the files of a folder whose names agree in what each input's expression takes out."""
    project = keys.require(body, "project")
    if not ids.is_container(project):
        raise keys.refusal("project", "input", "a project or container ID")
    expressions = batches.read_expressions(keys.require(body, "inputs"))
    await targets.get_container(call, project, Level.VIEW)
    folder = folders.read(body)
    await folder_methods.require_folder(call, project, folder)
    named = await objects.find_names_in_folder(call.reader, project, folder)
    files = [(object_id, name) for object_id, name in named if object_id.startswith("file-")]
    # the more files and expressions, the longer it takes: others must not wait for it
    made = await asyncio.to_thread(batches.grouped, _in_time(files), expressions)
    return {"batchInputs": [_shown(batch, list(expressions)) for batch in made]}


def _in_time(files: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield the files; raises InvalidInput if what is done with them takes too long."""
    ends = time.monotonic() + SECONDS_MAX
    for number, file in enumerate(files):
        if time.monotonic() > ends:
            raise errors.InvalidInput(
                f"Only {number} of the {len(files)} files of the folder could be held against the"
                f' "inputs" in {SECONDS_MAX:.0f} s: give simpler expressions, or a smaller folder'
            )
        yield file


def _shown(batch: Batch, wanted: list[str]) -> dict[str, Any]:
    inputs = {
        name: {"name": matches.name, "ids": matches.ids} for name, matches in batch.inputs.items()
    }
    shown: dict[str, Any] = {"batchPattern": batch.pattern, "inputs": inputs}
    error = batches.error_of(batch, wanted)
    return shown if error is None else shown | {"error": error}


@method("/applet-xxxx/validateBatch", "/workflow-xxxx/validateBatch", access=Access.OBJECT_VIEW)
async def validate_batch(call: Call, target: DataObject, body: dict[str, Any]) -> dict[str, Any]:
    """Return the inputs of all runs of a batch; raises InvalidInput naming the row and field."""
    return await _validated(call, target, body)


@method("/app-xxxx/validateBatch", "/globalworkflow-xxxx/validateBatch", access=Access.APP_VIEW)
async def validate_app_batch(
    call: Call, target: DataObject, body: dict[str, Any]
) -> dict[str, Any]:
    """Do the same for an app or a global workflow."""
    return await _validated(call, target, body)


async def _validated(call: Call, target: DataObject, body: dict[str, Any]) -> dict[str, Any]:
    found = await Stages(call).of_target(target)
    spec = None if found is None else found.inputs
    if spec is None:
        raise errors.InvalidInput("The executable has no inputSpec, by which a batch is checked")
    columns = batches.read_columns(body)
    batches.require_few_cells(columns, len(spec))
    types = keys.array(body, "instanceTypes") or []
    batches.require_length(types, columns, "instanceTypes")
    for name in types:
        instance_types.get(name, "instanceTypes")
    files = links.object_ids(keys.array(body, "files")) + links.object_ids(columns.of_rows)
    for object_id in dict.fromkeys(files + links.object_ids(columns.common)):
        await targets.get_data_object(call, object_id)
    # many rows of many fields take long: others must not wait for it
    return {"expandedBatch": await asyncio.to_thread(_checked, spec, columns)}


def _checked(spec: list[dict[str, Any]], columns: Columns) -> list[dict[str, Any]]:
    """Return the rows, each checked as the input of a run; the answer has no defaults put in."""
    rows = columns.rows()
    for number, row in enumerate(rows, start=1):
        try:
            io_spec.check_values(spec, row)
        except errors.InvalidInput as error:
            raise errors.InvalidInput(f"Row {number} of the batch: {error.message}") from error
    return [{name: value for name, value in row.items() if value is not None} for row in rows]
