"""Apps and global workflows: their names, versions, aliases and installations.

Both share one space of names; of which class a version is says its id. What a version runs is a
row of the objects with the same id; here is what it is called and whose.
"""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from plasmid.domain import app_spec
from plasmid.metadata import rows, schema
from plasmid.metadata.database import Prepared, Reader, Transaction, param
from plasmid.metadata.rows import AppAliasRow, AppInstallRow, AppNameRow, AppRow, ContainerRow

_n, _v, _a, _i = (
    schema.app_names.c, schema.apps.c, schema.app_aliases.c, schema.app_installs.c,
)  # fmt: skip
_c = schema.containers.c
_NAME = Prepared(sa.select(schema.app_names).where(_n.name == param("k")))
_VERSION = Prepared(sa.select(schema.apps).where(_v.id == param("k")))
_ALIASED = Prepared(
    sa.select(schema.apps)
    .join(schema.app_aliases, _a.app == _v.id)
    .where(_a.name == param("n"), _a.alias == param("a"))
)
_ALIASES = Prepared(sa.select(_a.alias).where(_a.app == param("k")).order_by(_a.alias))
_DROP_ALIAS = Prepared(
    sa.delete(schema.app_aliases).where(_a.name == param("n"), _a.alias == param("a"))
)
_DROP_ALIASES = Prepared(sa.delete(schema.app_aliases).where(_a.app == param("k")))
_VERSIONS = Prepared(
    sa.select(schema.apps)
    .where(_v.deleted_ms.is_(None), _v.id.like(param("p")))
    .order_by(_v.name, _v.created_ms, _v.id)
)
_VERSIONS_OF = Prepared(
    sa.select(schema.apps)
    .where(_v.name == param("k"), _v.deleted_ms.is_(None))
    .order_by(_v.created_ms, _v.id)
)
_NAMES = Prepared(sa.select(schema.app_names))
_DEFAULTS = Prepared(sa.select(_a.app).where(_a.alias == app_spec.DEFAULT))
_INSTALLED = Prepared(sa.select(_i.name).where(_i.user == param("k")).order_by(_i.name))
_COUNT_INSTALLS = Prepared(sa.select(sa.func.count()).where(_i.name == param("k")))
_DROP_INSTALL = Prepared(
    sa.delete(schema.app_installs).where(_i.user == param("u"), _i.name == param("n"))
)
_CACHE = Prepared(
    sa.select(schema.containers).where(
        _c.project == param("p"), _c.app == param("a"), _c.kind == param("k")
    )
)
_CONTAINERS = Prepared(sa.select(schema.containers).where(_c.app == param("a")).order_by(_c.id))


class Found(msgspec.Struct, frozen=True):
    """A version of an app with what it shares with the others; `is_default` among them."""

    version: AppRow
    listing: AppNameRow
    is_default: bool


async def find_name(reader: Reader, name: str) -> AppNameRow | None:
    """Return what the versions of an app have in common; None if the name is free."""
    return await reader.struct(AppNameRow, _NAME, {"k": name})


async def update_name(tx: Transaction, name: str, changes: dict[str, Any]) -> None:
    """Change some of what the versions of an app have in common."""
    await tx.update(schema.app_names, {"name": name}, rows.changes(AppNameRow, changes))


async def find_version(reader: Reader, app_id: str) -> AppRow | None:
    """Return a version of an app by its id, also a deleted one, or None."""
    return await reader.struct(AppRow, _VERSION, {"k": app_id})


async def find_aliased(reader: Reader, name: str, alias: str) -> AppRow | None:
    """Return the version of an app that a version number or tag names, or None."""
    return await reader.struct(AppRow, _ALIASED, {"n": name, "a": alias})


async def update_version(tx: Transaction, app_id: str, changes: dict[str, Any]) -> None:
    """Change some fields of a version."""
    await tx.update(schema.apps, {"id": app_id}, rows.changes(AppRow, changes))


async def find_aliases(reader: Reader, app_id: str) -> list[str]:
    """Return the version number and tags of a version, sorted."""
    return [str(row[0]) for row in await reader.rows(_ALIASES, {"k": app_id})]


async def set_alias(tx: Transaction, app: AppRow, alias: str) -> None:
    """Let an alias mean a version, whichever it has meant."""
    await remove_alias(tx, app.name, alias)
    await tx.add(AppAliasRow(app.name, alias, app.id))


async def remove_alias(tx: Transaction, name: str, alias: str) -> None:
    """Let an alias mean nothing."""
    await tx.execute(_DROP_ALIAS, {"n": name, "a": alias})


async def remove_aliases(tx: Transaction, app_id: str) -> None:
    """Take all aliases from a version."""
    await tx.execute(_DROP_ALIASES, {"k": app_id})


async def find_all(reader: Reader, class_name: str) -> list[Found]:
    """Return every version that is not deleted of the apps or of the global workflows."""
    names = {row.name: row for row in await reader.structs(AppNameRow, _NAMES)}
    defaults = {str(row[0]) for row in await reader.rows(_DEFAULTS)}
    versions = await reader.structs(AppRow, _VERSIONS, {"p": f"{class_name}-%"})
    return [Found(row, names[row.name], row.id in defaults) for row in versions]


async def find_versions(reader: Reader, name: str) -> list[AppRow]:
    """Return the versions of an app that are not deleted, the oldest first."""
    return await reader.structs(AppRow, _VERSIONS_OF, {"k": name})


async def find_installed(reader: Reader, user: str) -> list[str]:
    """Return the names of the apps that a user has installed."""
    return [str(row[0]) for row in await reader.rows(_INSTALLED, {"k": user})]


async def count_installs(reader: Reader, name: str) -> int:
    """Return how many users have installed an app."""
    row = await reader.row(_COUNT_INSTALLS, {"k": name})
    return int(row[0]) if row else 0


async def set_installed(tx: Transaction, user: str, name: str, *, is_installed: bool) -> None:
    """Keep that a user has installed an app, or has it no more."""
    await tx.execute(_DROP_INSTALL, {"u": user, "n": name})
    if is_installed:
        await tx.add(AppInstallRow(user, name))


async def find_cache(reader: Reader, project: str, app_id: str, kind: str) -> ContainerRow | None:
    """Return the container of a kind that a version of an app has in a project, or None."""
    return await reader.struct(ContainerRow, _CACHE, {"p": project, "a": app_id, "k": kind})


async def find_containers_of(reader: Reader, app_id: str) -> list[ContainerRow]:
    """Return every container that belongs to a version of an app."""
    return await reader.structs(ContainerRow, _CONTAINERS, {"a": app_id})
