"""Projects and containers: rows, members, folders."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from plasmid.domain.access import Level
from plasmid.metadata import analyses, jobs, rows, schema
from plasmid.metadata.database import Prepared, Reader, Transaction, listed, param
from plasmid.metadata.rows import ContainerRow

PUBLIC = "PUBLIC"

_c, _m, _f = schema.containers.c, schema.members.c, schema.folders.c
_j = schema.jobs.c
_y = schema.analyses.c
_GET = Prepared(sa.select(schema.containers).where(_c.id == param("k")))
_SEVERAL = Prepared(sa.select(schema.containers).where(_c.id.in_(listed("ids"))))
_MEMBERS = Prepared(sa.select(_m.member, _m.level).where(_m.container == param("k")))
_DROP_MEMBER = Prepared(
    sa.delete(schema.members).where(_m.container == param("k"), _m.member == param("m"))
)
_ADD_MEMBER = Prepared(sa.insert(schema.members))
_MEMBERSHIPS = Prepared(sa.select(_m.container, _m.level).where(_m.member == param("m")))
_FOLDERS = Prepared(sa.select(_f.path).where(_f.container == param("k")).order_by(_f.path))
_HAS_FOLDER = Prepared(sa.select(_f.path).where(_f.container == param("k"), _f.path == param("p")))
_ADD_FOLDER = Prepared(sa.insert(schema.folders))
_WITHIN = Prepared(
    sa.select(schema.containers).where(_c.project == param("k")).order_by(_c.app, _c.id)
)
_OUTLIVED = Prepared(
    sa.select(schema.containers)
    .where(
        _c.destroy_at_ms <= param("t"),
        sa.or_(
            _c.app.is_(None),  # a workspace: nothing to look for among the jobs
            sa.and_(
                sa.not_(
                    sa.select(_j.id)
                    .where(_j.executable == _c.app, _j.state.in_(jobs.UNFINISHED))
                    .exists()
                ),
                # the stages of a global workflow run what lies in its containers
                sa.not_(
                    sa.select(_y.id)
                    .where(_y.executable == _c.app, _y.state.in_(analyses.UNFINISHED))
                    .exists()
                ),
            ),
        ),
    )
    .order_by(_c.destroy_at_ms)
    .limit(param("n"))
)
FOLDERS_AT_ONCE = 5_000
_DROP_SOME_FOLDERS = Prepared(
    sa.delete(schema.folders).where(
        _f.container == param("k"),
        _f.path.in_(sa.select(_f.path).where(_f.container == param("k")).limit(FOLDERS_AT_ONCE)),
    )
)
_DROP_CONTAINER = (
    Prepared(sa.delete(schema.members).where(_m.container == param("k"))),
    Prepared(sa.delete(schema.placements).where(schema.placements.c.container == param("k"))),
    Prepared(sa.delete(schema.containers).where(_c.id == param("k"))),
)
_TOUCH = Prepared(
    sa.update(schema.containers).where(_c.id == param("k")).values(modified_ms=param("t"))
)


async def find_container(reader: Reader, container_id: str) -> ContainerRow | None:
    """Return a project or container, or None."""
    return await reader.struct(ContainerRow, _GET, {"k": container_id})


async def find_containers(reader: Reader, container_ids: Iterable[str]) -> list[ContainerRow]:
    """Return those of the containers that exist, any number."""
    values = {"ids": msgspec.json.encode(list(container_ids)).decode()}
    return await reader.structs(ContainerRow, _SEVERAL, values)


async def find_containers_within(reader: Reader, project_id: str) -> list[ContainerRow]:
    """Return the containers of executions whose project context is a project."""
    return await reader.structs(ContainerRow, _WITHIN, {"k": project_id})


async def find_outlived(reader: Reader, now_ms: int, limit: int) -> list[ContainerRow]:
    """Return containers whose time has come, but for those of apps that are still run."""
    return await reader.structs(ContainerRow, _OUTLIVED, {"t": now_ms, "n": limit})


async def update_container(tx: Transaction, container_id: str, changes: dict[str, Any]) -> None:
    """Change some fields of a container."""
    values = rows.changes(ContainerRow, changes)
    await tx.update(schema.containers, {"id": container_id}, values)


async def touch(tx: Transaction, container_id: str, now_ms: int) -> None:
    """Say that a container was modified."""
    await tx.execute(_TOUCH, {"k": container_id, "t": now_ms})


async def find_members(reader: Reader, container_id: str) -> dict[str, Level]:
    """Return the explicit levels on a container by member."""
    return {
        member: _held(member, level)
        for member, level in await reader.rows(_MEMBERS, {"k": container_id})
    }


def _held(member: str, level: int) -> Level:
    """Return the level that a member has by what is kept; everybody together only ever reads."""
    return min(Level(level), Level.VIEW) if member == PUBLIC else Level(level)


async def find_memberships(reader: Reader, member: str) -> dict[str, Level]:
    """Return the containers on which a member has an explicit level."""
    found = await reader.rows(_MEMBERSHIPS, {"m": member})
    return {container: _held(member, level) for container, level in found}


async def set_member(tx: Transaction, container_id: str, member: str, level: Level) -> None:
    """Give a member exactly this level; NONE removes it."""
    await tx.execute(_DROP_MEMBER, {"k": container_id, "m": member})
    if level is not Level.NONE:
        await tx.execute(
            _ADD_MEMBER, {"container": container_id, "member": member, "level": int(level)}
        )


async def find_folders(reader: Reader, container_id: str) -> list[str]:
    """Return every folder's path, sorted."""
    return [str(row[0]) for row in await reader.rows(_FOLDERS, {"k": container_id})]


async def has_folder(reader: Reader, container_id: str, path: str) -> bool:
    """Say whether a folder exists; the root always does."""
    return path == "/" or await reader.row(_HAS_FOLDER, {"k": container_id, "p": path}) is not None


async def find_subfolders(reader: Reader, container_id: str, path: str) -> list[str]:
    """Return the paths of the direct subfolders of a folder, sorted."""
    prefix = "/" if path == "/" else path + "/"
    statement = (
        sa.select(_f.path)
        .where(
            _f.container == container_id,
            _f.path > prefix,
            _f.path < prefix[:-1] + "0",  # "0" is the character after "/"
            sa.not_(sa.func.substr(_f.path, len(prefix) + 1).contains("/")),
        )
        .order_by(_f.path)
    )
    return [str(row[0]) for row in await reader.rows(statement)]


async def add_folders(tx: Transaction, container_id: str, paths: Sequence[str]) -> None:
    """Add folders that are not there yet."""
    for path in paths:
        await tx.execute(_ADD_FOLDER, {"container": container_id, "path": path})


async def move_folders(tx: Transaction, container_id: str, old: str, new: str) -> None:
    """Give a folder, its subfolders and all objects in them a new path."""
    for table, column in (
        (schema.folders, _f.path),
        (schema.placements, schema.placements.c.folder),
    ):
        container = table.c.container
        moved = sa.literal(new) + sa.func.substr(column, len(old) + 1)
        await tx.aside.execute(
            sa.update(table)
            .where(container == container_id, inside(column, old))
            .values({column.name: moved})
        )


async def remove_folders(tx: Transaction, container_id: str, path: str) -> None:
    """Remove a folder and its subfolders (of the root: all but the root)."""
    await tx.aside.execute(
        sa.delete(schema.folders).where(_f.container == container_id, inside(_f.path, path))
    )


def inside(column: Any, folder: str) -> sa.ColumnElement[bool]:
    """Return the condition that a path is a folder or lies below it."""
    if folder == "/":
        return sa.true()
    # one range, for an index, without what lies beside the folder in it ("/a!" of "/a")
    return sa.and_(
        column >= folder,
        column < folder + "0",
        sa.or_(column == folder, column > folder + "/"),
    )


async def remove_container(tx: Transaction, container_id: str) -> None:
    """Remove a container with its members, folders and placements."""
    while True:
        dropped = await tx.execute(_DROP_SOME_FOLDERS, {"k": container_id})
        if dropped < FOLDERS_AT_ONCE:
            break
        await asyncio.sleep(0)  # many folders are no reason to let others wait
    for statement in _DROP_CONTAINER:
        await tx.execute(statement, {"k": container_id})
