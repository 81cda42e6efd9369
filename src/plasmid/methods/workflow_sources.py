"""What a workflow can be made from: another one, a global one, or what was run (contract E.6)."""

from __future__ import annotations

from typing import Any, Final

from plasmid.domain import ids, keys, workflow_body
from plasmid.metadata.rows import AnalysisRow
from plasmid.methods import creation, targets
from plasmid.methods.call import Call

SOURCES: Final = ("workflow", "analysis", "globalworkflow")
# What a source says of a workflow; the rest is the workflow's own.
COPIED: Final = (
    "title", "summary", "description", "outputFolder", "stages", "inputs", "outputs",
    "ignoreReuse", "dxapi", workflow_body.TURNAROUND,
)  # fmt: skip

Given = dict[str, Any]


async def initialised(call: Call, given: Given) -> tuple[Given, dict[str, Any] | None]:
    """Return a constructor's body with what it lacks from `initializeFrom`, and what that was.

    Raises InvalidInput, and ResourceNotFound or PermissionDenied for a source the caller lacks.
    """
    source = keys.hash_of(given, "initializeFrom")
    if source is None:
        return given, None
    inherited, named = await copied(call, source, "initializeFrom")
    return inherited | {name: value for name, value in given.items() if value is not None}, named


async def copied(call: Call, source: Given, where: str) -> tuple[Given, dict[str, Any]]:
    """Return what a source gives to a new workflow, and how the workflow names it later."""
    source_id = keys.require(source, "id", where)
    if not ids.is_id(str(source_id).partition("/")[0], *SOURCES):
        wanted = "the ID of a workflow, an analysis or a global workflow"
        raise keys.refusal("id", where, wanted)
    if ids.is_id(source_id, "analysis"):
        return await _of_analysis(call, source_id)
    if not ids.is_id(source_id, "workflow"):
        app = await targets.get_app(call, source_id)
        name = {"name": app.version.name}
        return {**name, **_content(app.row.body)}, {"id": app.id}
    hint = source.get("project")
    found = await targets.get_data_object(call, source_id, hint)
    named = {
        "id": found.id,
        "project": found.place.container,
        "editVersion": found.row.body["editVersion"],
    }
    return {**creation.handed_on(found), **_content(found.row.body)}, named


def _content(body: dict[str, Any]) -> Given:
    return {name: body[name] for name in COPIED if body.get(name) is not None}


async def _of_analysis(call: Call, analysis_id: str) -> tuple[Given, dict[str, Any]]:
    row = await targets.get_execution(call, analysis_id)
    if not isinstance(row, AnalysisRow):
        raise targets.not_found(analysis_id)
    return {"name": row.executable_name, **as_run(row)}, {"id": row.id}


def as_run(row: AnalysisRow) -> Given:
    """Return the workflow that does again what an analysis did: its input is bound in it."""
    content = _content(row.workflow)
    stages = {stage["id"]: {**stage, "input": dict(stage["input"])} for stage in content["stages"]}
    inputs = {field["name"]: dict(field) for field in content.get("inputs") or []}
    for name, value in row.run_input.items():
        stage, _, field = name.partition(".")
        if field and stage in stages:
            stages[stage]["input"][field] = value
        elif name in inputs:
            inputs[name]["default"] = value
    content["stages"] = list(stages.values())
    if inputs:
        content["inputs"] = list(inputs.values())
    return content
