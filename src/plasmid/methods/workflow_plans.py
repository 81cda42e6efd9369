"""What a workflow's stages run in one run, looked up before anything is made (contract E.6)."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from plasmid.domain import app_spec, errors, ids, links
from plasmid.domain.access import Level
from plasmid.executions import restricted
from plasmid.metadata import apps, objects
from plasmid.metadata.rows import ContainerRow, JobRow
from plasmid.methods import running, stage_executables
from plasmid.methods.call import Call
from plasmid.methods.stage_executables import NESTING_MAX
from plasmid.methods.targets import App, DataObject

WORKFLOWS: Final = ("workflow", "globalworkflow")
STAGES_MAX: Final = 1000
"""How many stages one run may start, those of workflows within included."""


class Room(msgspec.Struct):
    """What a run may still start and hand on: workflows within workflows grow by each level.

    `left` is how many stages, `values` how many values may come in the place of links.
    """

    left: int = STAGES_MAX
    values: int = links.VALUES_MAX

    def take(self) -> None:
        """Count a stage; raises InvalidState if that is one too many."""
        self.left -= 1
        if self.left < 0:
            raise errors.InvalidState(
                f"The workflow has more than {STAGES_MAX} stages, with those of the workflows that"
                " its stages run; have jobs run some of them"
            )


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What is the same for all that one call starts.

    `parent` is the calling job, `over` the one in whose tree all of it is (None if it is a tree of
    its own). What lies in one of the containers that are `trusted` needs no permission; what is
    known to be `readable` is not looked at again for each stage.
    """

    call: Call
    body: dict[str, Any]
    project: ContainerRow
    parent: JobRow | None
    over: JobRow | None
    depends_on: list[str]
    priority: str
    rank: int
    trusted: frozenset[str]
    room: Room = msgspec.field(default_factory=Room)
    readable: set[str] = msgspec.field(default_factory=set)

    async def is_trusted(self, object_id: str) -> bool:
        """Say whether an object lies where what is run has brought it along."""
        if not self.trusted:
            return False
        places = await objects.find_placements(self.call.reader, object_id)
        return any(place.container in self.trusted for place in places)


class Planned(msgspec.Struct, frozen=True):
    """A stage with what it runs, the id of that execution, and if it is a workflow, its plan."""

    stage: dict[str, Any]
    executable: DataObject
    execution: str
    inner: Plan | None


class Plan(msgspec.Struct, frozen=True):
    """A workflow that is about to be run: its stages in order, by their ids.

    `executable` is what was asked for; `workflow` is what that is in the region of the project.
    """

    executable: DataObject
    workflow: DataObject
    analysis: str
    stages: dict[str, Planned]


async def containers_of(call: Call, executable: DataObject) -> frozenset[str]:
    """Return the containers that a global workflow has brought its parts along in."""
    own = await apps.find_containers_of(call.reader, executable.id)
    places = [executable.place.container, *(place.container for place, _ in executable.places)]
    return frozenset(one for one in [*places, *(row.id for row in own)] if one)


async def plan(run: Run, executable: DataObject, *, depth: int = 0) -> Plan:
    """Return what runs for a workflow.

    Raises InvalidState if a stage cannot run, InvalidInput for one that is in another region.
    """
    workflow = await _in_region(run, executable)
    if depth > NESTING_MAX:
        raise errors.InvalidState(
            f"{workflow.id} runs workflows nested more than {NESTING_MAX} deep"
        )
    given = workflow.row.body.get("stages") or []
    if not given:
        raise errors.InvalidState(f"{workflow.id} has no stages; add one before it is run")
    stages = {stage["id"]: await _planned(run, workflow, stage, depth=depth) for stage in given}
    return Plan(executable, workflow, run.call.mint("analysis"), stages)


async def _planned(run: Run, workflow: DataObject, stage: dict[str, Any], *, depth: int) -> Planned:
    run.room.take()
    found = await _find(run, stage["executable"])
    if found is None:
        raise errors.InvalidState(
            f"The stage {stage['id']} of {workflow.id} is inaccessible: {stage['executable']} was"
            " removed, or you may not see it"
        )
    if found.row.class_name not in WORKFLOWS:
        return Planned(stage, found, run.call.mint("job"), None)
    inner = await plan(run, found, depth=depth + 1)
    return Planned(stage, found, inner.analysis, inner)


async def _find(run: Run, executable: str) -> DataObject | None:
    if ids.is_data_object(executable) and await run.is_trusted(executable):
        return await _brought(run, executable)
    found = await stage_executables.find(run.call, executable)
    if found is not None:
        homes = restricted.Homes(run.call.reader, run.project.id)
        await running.require_region(homes, found, run.project)
    return found


async def _brought(run: Run, object_id: str) -> DataObject | None:
    """Return an executable as it lies in a container that is trusted."""
    row = await objects.find_object(run.call.reader, object_id)
    for place in await objects.find_placements(run.call.reader, object_id):
        if row is not None and place.container in run.trusted:
            return DataObject(row, [(place, Level.VIEW)], place, Level.VIEW)
    return None


async def _in_region(run: Run, executable: DataObject) -> DataObject:
    """Return the workflow that a global one is in the project's region, others as they are."""
    if not isinstance(executable, App):
        return executable
    options = executable.version.regional_options
    region = run.project.region
    if region not in options:
        raise errors.InvalidInput(
            f"{executable.label} cannot run in {run.project.id}, which is in {region}: it is made"
            f" for {', '.join(options)}"
        )
    for container in await apps.find_containers_of(run.call.reader, executable.id):
        if container.kind == app_spec.CONTENT and container.region == region:
            workflow = options[region]["workflow"]
            place = await objects.find_placement(run.call.reader, container.id, workflow)
            row = await objects.find_object(run.call.reader, workflow)
            if place is not None and row is not None:
                return DataObject(row, [(place, Level.VIEW)], place, Level.VIEW)
    raise errors.InvalidState(f"{executable.label} is deleted; run another")
