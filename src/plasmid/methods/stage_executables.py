"""What the stages of workflows run, as far as the caller may see it (contract E.6).

A stage is accessible if its executable is there, the caller may see it, and so on for the stages of
a workflow that it runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from plasmid.domain import errors, ids, keys, workflow_spec
from plasmid.domain.workflow_spec import Interface
from plasmid.metadata import objects
from plasmid.methods import targets
from plasmid.methods.call import Call
from plasmid.methods.targets import DataObject

CLASSES: Final = ("applet", "app", "workflow", "globalworkflow")
# Workflows run workflows; nothing that people build is deeper than this.
NESTING_MAX: Final = 8


class Stages(msgspec.Struct):
    """What the executables of workflows' stages take and give; a call looks each up once."""

    call: Call

    async def interface(self, executable: str, depth: int = 0) -> Interface | None:
        """Return what an executable takes and gives; None if it is not accessible."""
        known = self.call.interfaces
        if executable not in known:
            # a workflow that runs itself takes nothing that could be said
            known[executable] = None
            found = await find(self.call, executable) if depth <= NESTING_MAX else None
            if found is not None:
                known[executable] = await self.of_target(found, depth)
        return known[executable]

    async def of_target(self, found: DataObject, depth: int = 0) -> Interface | None:
        """Return what an applet, app or workflow takes and gives, as `interface` does."""
        if found.row.class_name not in ("workflow", "globalworkflow"):
            return workflow_spec.of_executable(found.row.body)
        return workflow_spec.of_workflow(
            found.row.body, await self.of_workflow(found.row.body, depth)
        )

    async def of_workflow(
        self, body: Mapping[str, Any], depth: int = 0
    ) -> dict[str, Interface | None]:
        """Return the interfaces of a workflow's stages, by the id of the stage."""
        stages = body.get("stages") or []
        return {
            stage["id"]: await self.interface(stage["executable"], depth + 1) for stage in stages
        }


async def find(call: Call, executable: str) -> DataObject | None:
    """Return an executable that the caller may see and run, or None."""
    if ids.is_id(executable, "applet", "workflow"):
        return await targets.find_data_object(call, executable)
    try:
        found = await targets.get_app(call, executable)
    except (errors.ResourceNotFound, errors.PermissionDenied):
        return None
    return None if found.version.deleted_ms is not None else found


async def get(call: Call, executable: object, where: str) -> DataObject:
    """Return the executable that a stage is to run; raises InvalidInput, ResourceNotFound, ….

    An app's name, with version or tag or without, means the version that this is now.
    """
    subject = str(executable)
    if not ids.is_id(subject.partition("/")[0], *CLASSES):
        raise keys.refusal("executable", where, f"the ID of an executable, got {executable!r}")
    if ids.is_id(subject, "applet", "workflow"):
        return await targets.get_data_object(call, subject)
    found = await targets.get_app(call, subject)
    if found.version.deleted_ms is not None:
        raise errors.InvalidState(f"{found.label}/{found.version.version} is deleted; use another")
    return found


async def require_no_circle(call: Call, executable: DataObject, workflow_id: str) -> None:
    """Raise InvalidInput if an executable runs a workflow, at any depth, or runs too deep."""
    level, depth = [executable.row], 0
    seen: set[str] = set()
    while level:
        depth += 1
        below: list[str] = []
        for row in level:
            if row.id == workflow_id:
                raise errors.InvalidInput(
                    f"A stage cannot run {executable.id}: that runs {workflow_id} itself, in a loop"
                )
            below += [stage["executable"] for stage in row.body.get("stages") or []]
        if depth > NESTING_MAX:
            raise errors.InvalidInput(
                f"A stage cannot run {executable.id}: workflows are nested at most"
                f" {NESTING_MAX} deep"
            )
        fresh = {inner for inner in below if inner not in seen}
        seen |= fresh
        level = list((await objects.find_objects(call.reader, sorted(fresh))).values())
