"""What changes a workflow, each time from a version of it that the caller knows (contract E.6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plasmid.domain import (
    errors,
    keys,
    links,
    object_states,
    stage_links,
    workflow_body,
    workflow_stages,
)
from plasmid.domain.stage_links import StageLink
from plasmid.domain.workflow_body import Body
from plasmid.domain.workflow_spec import SOURCE, Interface
from plasmid.domain.workflow_stages import Stage
from plasmid.metadata import objects
from plasmid.methods import stage_executables, workflow, workflow_sources
from plasmid.methods.call import Call
from plasmid.methods.registry import Mode, method
from plasmid.methods.stage_executables import Stages
from plasmid.methods.targets import Access, DataObject


@method("/workflow-xxxx/addStage", access=Access.CONTRIBUTE, mode=Mode.WRITE)
async def add_stage(call: Call, target: DataObject, body: dict[str, Any]) -> dict[str, Any]:
    """Add a stage behind the others and say its id."""
    content = _begun(target, body)
    workflow_stages.require_room(len(content["stages"]) + 1)
    stage = await workflow.new_stage(call, content, body, "input")
    found = await stage_executables.get(call, stage["executable"], "input")
    await stage_executables.require_no_circle(call, found, target.id)
    content["stages"] = [*content["stages"], stage]
    _check_bound(await Stages(call).of_workflow(content), stage, stage["input"])
    return {**await _keep(call, target, content), "stage": stage["id"]}


@method("/workflow-xxxx/removeStage", access=Access.CONTRIBUTE, mode=Mode.WRITE)
async def remove_stage(call: Call, target: DataObject, body: dict[str, Any]) -> dict[str, Any]:
    """Remove a stage; what other stages had bound to it is bound to nothing.

    Raises InvalidState if an output of the workflow comes from it.
    """
    content = _begun(target, body)
    lost = workflow_stages.get(content["stages"], body.get("stage"))["id"]
    for field in content["outputs"] or []:
        source = stage_links.link_of(field[SOURCE])
        if isinstance(source, StageLink) and source.stage == lost:
            raise errors.InvalidState(
                f'The output "{field["name"]}" of the workflow comes from stage {lost}: change the'
                " outputs first"
            )
    left = [stage for stage in content["stages"] if stage["id"] != lost]
    content["stages"] = workflow_stages.without_links(left, lambda link: link.stage == lost)
    kept = [stage for stage in content["ignoreReuse"] or [] if stage != lost]
    content["ignoreReuse"] = kept or None
    return await _keep(call, target, content)


@method("/workflow-xxxx/moveStage", access=Access.CONTRIBUTE, mode=Mode.WRITE)
async def move_stage(call: Call, target: DataObject, body: dict[str, Any]) -> dict[str, Any]:
    """Give a stage another place among the others."""
    content = _begun(target, body)
    stage = workflow_stages.get(content["stages"], body.get("stage"))
    keys.require(body, "newIndex")
    index = keys.integer(body, "newIndex", minimum=0, maximum=len(content["stages"]) - 1)
    others = [other for other in content["stages"] if other is not stage]
    content["stages"] = [*others[:index], stage, *others[index:]]
    return await _keep(call, target, content)


@method("/workflow-xxxx/update", access=Access.CONTRIBUTE, mode=Mode.WRITE)
async def update(call: Call, target: DataObject, body: dict[str, Any]) -> dict[str, Any]:
    """Change what is said of a workflow and of its stages; null unsets."""
    content = workflow_body.with_settings(_begun(target, body), body)
    if "ignoreReuse" in body:
        ignored = workflow_stages.check_ignored(body["ignoreReuse"], content["stages"])
        content["ignoreReuse"] = ignored
    changes = keys.hash_of(body, "stages") or {}
    known = await Stages(call).of_workflow(content) if changes else {}
    for stage_id in changes:
        stage = workflow_stages.get(content["stages"], stage_id)
        where = f"stages.{stage_id}"
        wanted = keys.hash_of(changes, stage_id, "stages") or {}
        new = workflow_stages.changed(stage, wanted, where)
        content["stages"] = _replaced(content["stages"], new)
        _check_bound(known, new, wanted.get("input") or {})
    return await _keep(call, target, content)


def _replaced(stages: list[Stage], new: Stage) -> list[Stage]:
    return [new if stage["id"] == new["id"] else stage for stage in stages]


@method("/workflow-xxxx/updateStageExecutable", access=Access.CONTRIBUTE, mode=Mode.WRITE)
async def update_stage_executable(
    call: Call, target: DataObject, body: dict[str, Any]
) -> dict[str, Any]:
    """Let a stage run something else; with `force` also what takes and gives other fields.

    Then what is bound to a field that is no more, or takes something else, is bound to nothing.
    """
    content = _begun(target, body)
    stage = workflow_stages.get(content["stages"], body.get("stage"))
    found, new, reasons = await _compared(call, stage, body)
    if reasons and not keys.boolean(body, "force"):
        raise errors.InvalidState(
            f"{found.id} is not a compatible replacement for {stage['executable']}:"
            f" {'; '.join(reasons)}. Replace it anyway with force",
            {"incompatibilities": reasons},
        )
    await stage_executables.require_no_circle(call, found, target.id)
    changed = {**stage, "executable": found.id, "input": _still_bound(stage, new)}

    def is_lost(link: StageLink) -> bool:
        return link.stage == stage["id"] and not workflow_stages.has_field(new, link)

    stages = _replaced(content["stages"], changed)
    content["stages"] = workflow_stages.without_links(stages, is_lost) if reasons else stages
    return await _keep(call, target, content)


@method("/workflow-xxxx/isStageCompatible", access=Access.OBJECT_VIEW)
async def is_stage_compatible(
    call: Call, target: DataObject, body: dict[str, Any]
) -> dict[str, Any]:
    """Say whether a stage could run something else as it stands, and if not, why."""
    _require_version(target, body)
    stage = workflow_stages.get(target.row.body["stages"], body.get("stage"))
    _, _, reasons = await _compared(call, stage, body)
    answer: dict[str, Any] = {"id": target.id, "compatible": not reasons}
    return {**answer, "incompatibilities": reasons} if reasons else answer


async def _compared(
    call: Call, stage: Stage, body: dict[str, Any]
) -> tuple[DataObject, Interface | None, list[str]]:
    """Return the executable that a body names, what it takes, and why it is not compatible."""
    found = await stage_executables.get(call, keys.require(body, "executable"), "input")
    known = Stages(call)
    new = await known.of_target(found)
    old = await known.interface(stage["executable"])
    return found, new, workflow_body.incompatibilities(old, new)


def _still_bound(stage: Stage, found: Interface | None) -> dict[str, Any]:
    """Return what a stage binds, but for what its new executable does not take."""
    bound = {}
    for name, value in stage["input"].items():
        try:
            workflow_stages.check_bound({name: value}, found, stage["id"])
        except errors.InvalidInput:
            continue
        bound[name] = value
    return bound


@method("/workflow-xxxx/overwrite", access=Access.CONTRIBUTE, mode=Mode.WRITE)
async def overwrite(call: Call, target: DataObject, body: dict[str, Any]) -> dict[str, Any]:
    """Give a workflow the stages and all else of another, or of what was run."""
    content = _begun(target, body)
    source = keys.require(body, "from")
    given, named = await workflow_sources.copied(call, keys.hash_itself(source, "from"), "from")
    new = await workflow.read(call, given)
    for stage in new["stages"]:
        found = await stage_executables.find(call, stage["executable"])
        if found is not None:
            await stage_executables.require_no_circle(call, found, target.id)
    new["temporary"] = content["temporary"]
    new["editVersion"] = content["editVersion"]
    new["initializedFrom"] = named
    return await _keep(call, target, new)


def _begun(target: DataObject, body: dict[str, Any]) -> Body:
    """Return what a call is to change; raises InvalidState if it cannot or has changed since."""
    keys.check_depth(body)
    object_states.require_open(target.id, target.row.state)
    _require_version(target, body)
    return dict(target.row.body)


def _require_version(target: DataObject, body: dict[str, Any]) -> None:
    keys.require(body, "editVersion")
    given, present = keys.integer(body, "editVersion"), target.row.body["editVersion"]
    if given != present:
        raise errors.InvalidState(
            f"The workflow {target.id} is at editVersion {present}, not {given}: somebody has"
            " changed it; describe it and try again"
        )


def _check_bound(
    known: Mapping[str, Interface | None], stage: Stage, bound: dict[str, Any]
) -> None:
    """Raise InvalidInput for what is newly bound in a stage and does not fit or leads nowhere."""
    where = f"the input of {stage['id']}"
    workflow_stages.check_bound(bound, known[stage["id"]], where)
    for name, value in bound.items():
        workflow_stages.check_sources(value, known, name, where)


async def _keep(call: Call, target: DataObject, content: Body) -> dict[str, Any]:
    """Write a changed workflow and return its id and new version; raises InvalidInput."""
    workflow_body.check(content)
    content["editVersion"] += 1
    linked = [*links.object_ids(target.row.details), *workflow_body.linked_ids(content)]
    linked = list(dict.fromkeys(linked))
    await objects.update_object(call.tx, target.id, {"body": content, "links": linked})
    if linked != target.row.links:
        await objects.set_links(call.tx, target.id, linked)
    for place, _ in target.places:
        await objects.update_placement(call.tx, place, {"modified_ms": call.now_ms})
    return {"id": target.id, "editVersion": content["editVersion"]}
