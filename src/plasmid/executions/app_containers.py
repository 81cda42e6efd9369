"""The containers that belong to apps: content, resources, project caches (contract C.10, E.5)."""

from __future__ import annotations

from plasmid.domain import app_spec
from plasmid.executions.world import Moment
from plasmid.metadata import apps, projects
from plasmid.metadata.rows import AppRow, ContainerRow


def row_of(
    app: AppRow, kind: str, *, container_id: str, region: str, bill_to: str, now_ms: int
) -> ContainerRow:
    """Return a new container of a version of an app."""
    return ContainerRow(
        id=container_id,
        class_name="container",
        name=f"{app.name} {app.version} {kind}",
        region=region,
        summary="",
        description="",
        bill_to=bill_to,
        created_by=app.created_by,
        created_ms=now_ms,
        modified_ms=now_ms,
        version=0,
        flags={},
        tags=[],
        properties={},
        project=None,
        kind=kind,
        app=app.id,
    )


async def add(moment: Moment, app: AppRow, kind: str, *, region: str, bill_to: str) -> ContainerRow:
    """Make a container of a version of an app."""
    row = row_of(
        app,
        kind,
        container_id=moment.mint("container"),
        region=region,
        bill_to=bill_to,
        now_ms=moment.now_ms,
    )
    await moment.tx.add(row)
    return row


async def cache_of(moment: Moment, app: AppRow, project: ContainerRow) -> ContainerRow:
    """Return the cache of a version of an app in a project; the first run there makes it."""
    found = await apps.find_cache(moment.tx, project.id, app.id, app_spec.CACHE)
    if found is None:
        found = await add(
            moment, app, app_spec.CACHE, region=project.region, bill_to=project.bill_to
        )
        await projects.update_container(moment.tx, found.id, {"project": project.id})
    return found


async def let_go(moment: Moment, app_id: str, *kinds: str) -> None:
    """Have the containers of these kinds destroyed as soon as no job of the version is left."""
    for row in await apps.find_containers_of(moment.tx, app_id):
        if row.kind in kinds and row.destroy_at_ms is None:
            await projects.update_container(moment.tx, row.id, {"destroy_at_ms": moment.now_ms})
