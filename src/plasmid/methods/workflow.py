"""Workflows: make one, close it (contract E.6). What changes one is in `workflow_edits`."""

from __future__ import annotations

from typing import Any

from plasmid.domain import errors, keys, object_states, workflow_body, workflow_stages
from plasmid.domain.workflow_body import Body
from plasmid.methods import creation, shared, stage_executables, workflow_sources
from plasmid.methods.call import Call, Ref
from plasmid.methods.registry import Mode, method
from plasmid.methods.stage_executables import Stages
from plasmid.methods.targets import Access, DataObject


@method("/workflow/new", access=Access.LOGIN, mode=Mode.WRITE, nonce=True)
async def new(call: Call, target: None, body: dict[str, Any]) -> dict[str, Any]:
    """Create a workflow with or without stages, or from another or what was run; it is open.

    One that is only to be run once (`temporary`) is hidden.
    """
    keys.check_depth(body)
    given, source = await workflow_sources.initialised(call, body)
    content = await read(call, given)
    content["temporary"] = keys.boolean(given, "temporary")
    if content["temporary"]:
        given = {**given, "hidden": True}
    if source is not None:
        content["initializedFrom"] = source
    linked = workflow_body.linked_ids(content)
    state = object_states.born("workflow")
    workflow_id = await creation.create(
        call, "workflow", given, state=state, content={"body": content, "links": linked}
    )
    return {"id": workflow_id, "editVersion": content["editVersion"]}


async def read(call: Call, given: dict[str, Any]) -> Body:
    """Return the body of a new workflow; raises for what is wrong with it, by its path."""
    body = workflow_body.with_settings(workflow_body.blank(), given)
    wanted = keys.hashes(given, "stages")
    workflow_stages.require_room(len(wanted))
    for index, one in enumerate(wanted):
        body["stages"].append(await new_stage(call, body, one, f"stages[{index}]"))
    interfaces = await Stages(call).of_workflow(body)
    for index, stage in enumerate(body["stages"]):
        where = f"stages[{index}].input"
        workflow_stages.check_bound(stage["input"], interfaces[stage["id"]], where)
        for name, value in stage["input"].items():
            workflow_stages.check_sources(value, interfaces, name, where)
    body["ignoreReuse"] = workflow_stages.check_ignored(given.get("ignoreReuse"), body["stages"])
    workflow_body.check(body, is_whole=True)
    return body


async def new_stage(
    call: Call, body: Body, given: dict[str, Any], where: str
) -> workflow_stages.Stage:
    """Return a stage that is to be added to a body; what it binds is not checked yet."""
    if given.get("id") is None:
        stage_id = call.mint("stage")
    else:
        stage_id = workflow_stages.check_id(given["id"], where)
    if any(stage["id"] == stage_id for stage in body["stages"]):
        raise keys.refusal("id", where, f'unique, but another stage is also called "{stage_id}"')
    stage = workflow_stages.read(given, stage_id, where)
    if any(other["executable"] == stage["executable"] for other in body["stages"]):
        return stage  # looked up already: workflows of many stages run few executables
    found = await stage_executables.get(call, stage["executable"], where)
    return {**stage, "executable": found.id}


@method("/workflow-xxxx/close", access=Access.OBJECT_UPLOAD, mode=Mode.WRITE)
async def close(call: Call, target: DataObject, body: dict[str, Any]) -> Ref:
    """Close a workflow; a closed one stays as it is.

    One that names its own inputs takes nothing else from then on.
    """
    if object_states.needs_closing(target.row.state):
        try:
            workflow_body.check(target.row.body, is_whole=True)
        except errors.InvalidInput as error:
            raise errors.InvalidState(f"{target.id} cannot be closed: {error.message}") from error
        await shared.close(call, target, {})
    return Ref(target.id)
