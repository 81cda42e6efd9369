"""Workspaces live as long as their trees; what names a row names one that is there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from plasmid.domain import job_states
from plasmid.executions import cloning, settle
from plasmid.integrity.around import Around
from plasmid.integrity.finding import Finding, Repair, Workshop
from plasmid.metadata import contradictions, inspection, jobs
from plasmid.metadata.contradictions import Kind
from plasmid.metadata.database import Reader
from plasmid.metadata.rows import AnalysisRow, JobRow

PLACES = "places"
"""Stands where others have the number of an invariant."""


def check(row: JobRow, around: Around, containers: dict[str, tuple[str, str]]) -> Iterator[Finding]:
    """Yield a finding if a job's workspace is gone too early or stays too long."""
    tree = around.trees.get(row.root_execution, [])
    lives = not all(job_states.is_terminal(member.state) for member in tree)
    if lives and row.workspace not in containers:
        yield Finding(
            invariant=PLACES,
            subject=row.id,
            detail=f"its tree is not over, but its workspace {row.workspace} is gone; terminate it",
        )


def is_kept(row: JobRow | AnalysisRow) -> bool:
    """Say whether a job or an analysis keeps its workspace after its end."""
    return bool(row.settings.get("delayWorkspaceDestruction"))


def check_left(
    around: Around, containers: dict[str, tuple[str, str]], kept: set[str]
) -> Iterator[Finding]:
    """Yield the workspaces of trees that are over, except those that are kept."""
    left = {
        member.workspace: root
        for root, tree in around.trees.items()
        if all(job_states.is_terminal(member.state) for member in tree)
        for member in tree
        if member.workspace in containers and member.workspace not in kept
    }
    for workspace, root in sorted(left.items()):
        yield Finding(
            invariant=PLACES,
            subject=workspace,
            detail=f"is a workspace of the tree of {root}, which is over; repair removes it",
            repair=_remove_workspace(workspace, root),
        )


def _remove_workspace(workspace: str, root: str) -> Repair:
    async def repair(workshop: Workshop) -> None:
        async with workshop.moment() as moment:
            tree = await jobs.find_tree(moment.tx, root)
            if all(job_states.is_terminal(member.state) for member in tree):
                await settle.remove_container(moment, workspace)

    return repair


async def check_rows(reader: Reader) -> AsyncIterator[Finding]:
    """Yield the rows that name what is not there."""
    for kind in contradictions.KINDS:
        for subject in await contradictions.find(reader, kind):
            yield Finding(
                invariant=PLACES,
                subject=subject,
                detail=f"{kind.detail}; repair removes the row",
                repair=_undo(kind, subject),
            )
    for container, folder in await contradictions.find_lost_folders(reader):
        yield Finding(
            invariant=PLACES,
            subject=container,
            detail=f"objects lie in its folder {folder}, which is not there; repair makes it",
            repair=_make_folder(container, folder),
        )


def _undo(kind: Kind, subject: str) -> Repair:
    async def repair(workshop: Workshop) -> None:
        async with workshop.database.transaction() as tx:
            await contradictions.undo(tx, kind, subject)

    return repair


def _make_folder(container: str, folder: str) -> Repair:
    async def repair(workshop: Workshop) -> None:
        async with workshop.moment() as moment:
            await cloning.add_folder_with_parents(moment, container, folder)

    return repair


async def find_containers(reader: Reader) -> dict[str, tuple[str, str]]:
    """Return the class and the name of every project and container."""
    return await inspection.find_container_names(reader)
