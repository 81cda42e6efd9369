"""Check what a job puts out, and put it where it belongs (contract F.7)."""

from __future__ import annotations

from typing import Any

from plasmid.domain import access, errors, failures, ids, io_spec, links
from plasmid.domain.access import Level, Scope
from plasmid.domain.failures import JobFailure
from plasmid.executions import cloning, object_metadata, preserving
from plasmid.executions.world import Moment
from plasmid.metadata import jobs, objects, orgs, projects
from plasmid.metadata.rows import JobRow


async def check(moment: Moment, row: JobRow, output: dict[str, Any]) -> dict[str, Any]:
    """Return an output as its spec wants it; raises JobFailure (OutputError) if it is wrong.

    It may link what the job itself may see, and refer to jobs below this one: others could
    belong to somebody else, or wait for this job themselves.
    """
    checked = await fit(moment, row, output)
    linked = links.object_ids(checked)
    reach = await _reach_of(moment, row) if linked else {}
    for object_id in linked:
        if not await _is_visible(moment, row, object_id, reach=reach):
            raise JobFailure(
                failures.OUTPUT_ERROR,
                f"the output links {object_id}, which does not exist; upload it before linking it",
            )
    for reference in links.references(checked):
        if not await _is_below(moment, row, reference.execution):
            raise JobFailure(
                failures.OUTPUT_ERROR,
                f"the output refers to {reference.execution}, which {row.id} did not start;"
                " give that job's output to this one as an input",
            )
    return checked


async def fit(moment: Moment, row: JobRow, output: dict[str, Any]) -> dict[str, Any]:
    """Return the output of main of a master job as its spec wants it, others as they are."""
    spec = None
    if row.function == "main" and not await is_subjob(moment, row):
        executable = await objects.find_object(moment.tx, row.executable)
        spec = executable.body.get("outputSpec") if executable else None
    checked = io_spec.check_output(spec, output)
    try:
        await object_metadata.require_types(moment.tx, spec, checked, where="output")
    except errors.ApiError as error:
        raise JobFailure(failures.OUTPUT_ERROR, error.message) from error
    return checked


async def is_subjob(moment: Moment, row: JobRow) -> bool:
    """Say whether a job works in its parent's workspace."""
    if row.parent_job is None:
        return False
    return await jobs.is_workspace_of(moment.tx, row.workspace, row.parent_job)


async def _is_visible(moment: Moment, row: JobRow, object_id: str, *, reach: Scope) -> bool:
    """Say whether an object is one of the job's own, or where the job itself may look."""
    own = (row.workspace, row.settings.get("resources"), row.settings.get("projectCache"))
    for place in await objects.find_placements(moment.tx, object_id):
        if place.container in own:
            return True
        container = await projects.find_container(moment.tx, place.container)
        project = container.project if container and container.project else place.container
        members = await projects.find_members(moment.tx, project)
        level = await orgs.level_among(moment.tx, row.launched_by, members)
        mine = min(level, access.level_in(reach, project))
        if max(mine, members.get(projects.PUBLIC, Level.NONE)) != Level.NONE:
            return True
    return False


async def _reach_of(moment: Moment, row: JobRow) -> Scope:
    """Return where a job may look: what its executable asks for, of what its launcher had."""
    executable = await objects.find_object(moment.tx, row.executable)
    asked = access.asked(executable.body["access"] if executable else {}, row.project)
    grant = row.settings.get("grant") or {}
    return access.narrowed(asked, access.kept_scope(grant.get("scope"))) or {}


async def _is_below(moment: Moment, row: JobRow, job_id: str) -> bool:
    return row.id in (await jobs.find_above(moment.tx, job_id))[1:]


async def left_open(moment: Moment, row: JobRow, pending: set[str]) -> str | None:
    """Return an object for which a job would wait for ever, or None.

    An open object of a workspace can only be closed by a job of its tree that is not over.
    """
    if await jobs.has_acting(moment.tx, row.root_execution, but=row.id):
        return None
    for object_id in sorted(pending):
        places = await objects.find_placements(moment.tx, object_id)
        if places and all(place.container.startswith("container-") for place in places):
            return object_id
    return None


async def destination(moment: Moment, row: JobRow) -> str:
    """Return where the outputs of a master job go: its project, or its parent's workspace.

    The parent of a stage's job is the job that launched the analysis.
    """
    above = (await jobs.find_above(moment.tx, row.id))[1:]
    parent_id = next((one for one in above if ids.is_id(one, "job")), None)
    parent = await jobs.find_job(moment.tx, parent_id) if parent_id is not None else None
    return row.project if parent is None else parent.workspace


async def clone(moment: Moment, row: JobRow, output: Any) -> None:
    """Clone the outputs of a master job to its project, or to the workspace of who launched it.

    They go below the job's folder there. What a tree that keeps everything has kept is moved.
    """
    target = None if await is_subjob(moment, row) else await destination(moment, row)
    if target != row.project:
        await preserving.keep(moment, row, output)
    if target is None:
        return
    object_ids = links.object_ids(output)
    if object_ids and await projects.find_container(moment.tx, target):
        existing = await cloning.clone_objects(
            moment,
            object_ids,
            source=row.workspace,
            destination=target,
            below=row.folder,
            keeps_folders=True,
        )
        if target == row.project:
            await preserving.move(moment, row, existing)
