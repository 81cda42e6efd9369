"""Keep the outputs of all jobs of a tree in its project (`preserveJobOutputs`, contract F.2)."""

from __future__ import annotations

from typing import Final

from plasmid.domain import folders, links
from plasmid.executions import cloning
from plasmid.executions.world import Moment
from plasmid.metadata import analyses, jobs, objects, projects
from plasmid.metadata.rows import AnalysisRow, JobRow

SETTING: Final = "preserveJobOutputs"
FOLDER: Final = "intermediateJobOutputs"


async def _root_of(moment: Moment, row: JobRow) -> JobRow | AnalysisRow | None:
    root = row.root_execution
    if root == row.id:
        return row
    return await jobs.find_job(moment.tx, root) or await analyses.find_analysis(moment.tx, root)


def folder_of(root: JobRow | AnalysisRow) -> str:
    """Return where a tree keeps the outputs of its jobs: absolute, or below the root's folder."""
    asked = str(root.settings[SETTING].get("folder") or FOLDER)
    return folders.join(folders.ROOT if asked.startswith("/") else root.folder, asked)


async def keep(moment: Moment, row: JobRow, output: object) -> None:
    """Clone what a job that is done has put out into the project, if its tree asks for that.

    What goes to the project anyway, the root's own output and those of stages, has a folder there
    (`move`).
    """
    if row.settings.get(SETTING) is None:
        return
    root = await _root_of(moment, row)
    object_ids = links.object_ids(output)
    if root is None or not object_ids:
        return
    if await projects.find_container(moment.tx, root.project) is None:
        return
    await cloning.clone_objects(
        moment,
        object_ids,
        source=row.workspace,
        destination=root.project,
        below=folder_of(root),
        keeps_folders=True,
    )


async def move(moment: Moment, row: JobRow, object_ids: list[str]) -> None:
    """Move outputs of a job that were in its project already, if only kept there, to its folder."""
    root = await _root_of(moment, row) if row.settings.get(SETTING) is not None else None
    if root is None:
        return
    kept = folder_of(root)
    found = await objects.find_objects(moment.tx, object_ids)
    for place in await objects.find_placements_in(moment.tx, row.project, object_ids):
        maker = await jobs.find_job(moment.tx, found[place.object].created_by_job or "")
        if maker is None or maker.root_execution != row.root_execution:
            continue  # it was in the project before this tree
        if not folders.is_inside(place.folder, kept):
            continue  # somebody has put it elsewhere
        folder = folders.rebase(place.folder, kept, row.folder)
        await cloning.add_folder_with_parents(moment, row.project, folder)
        changes = {"folder": folder, "modified_ms": moment.now_ms}
        await objects.update_placement(moment.tx, place, changes)
