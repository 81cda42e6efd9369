"""Orgs and their members, and what users reach through them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import sqlalchemy as sa

from plasmid.domain import orgs
from plasmid.domain.access import Level
from plasmid.metadata import projects, rows, schema
from plasmid.metadata.database import Prepared, Reader, Transaction, listed, param
from plasmid.metadata.rows import AppNameRow, ContainerRow, OrgMemberRow, OrgRow

_o, _m, _c = schema.orgs.c, schema.org_members.c, schema.containers.c
_p = schema.members.c
_ORG = Prepared(sa.select(schema.orgs).where(_o.id == param("k")))
_ORGS = Prepared(sa.select(schema.orgs).where(_o.id.in_(listed("ks"))).order_by(_o.id))
_ALL = Prepared(sa.select(schema.orgs).order_by(_o.id))
_MEMBER = Prepared(sa.select(schema.org_members).where(_m.org == param("o"), _m.user == param("u")))
_MEMBERS = Prepared(
    sa.select(schema.org_members).where(_m.org == param("k")).order_by(_m.user)
)  # fmt: skip
_MEMBERSHIPS = Prepared(sa.select(schema.org_members).where(_m.user == param("k")).order_by(_m.org))
_DROP_MEMBER = Prepared(
    sa.delete(schema.org_members).where(_m.org == param("o"), _m.user == param("u"))
)
_SHARED = Prepared(
    sa.select(_p.container, _p.level, _m.level, _m.access)
    .select_from(schema.members)
    .join(schema.org_members, _m.org == _p.member)
    .where(_m.user == param("k"))
)
_MEMBERS_OF_ANY = Prepared(sa.select(_p.member).where(_p.container.in_(listed("ks"))).distinct())
_MADE_BY = Prepared(sa.select(sa.func.count()).where(_o.created_by == param("k")))
_BILLED = Prepared(
    sa.select(schema.containers)
    .where(_c.bill_to == param("k"), sa.text("class_name = 'project'"))
    .order_by(_c.id)
)
_BILLED_APPS = Prepared(
    sa.select(schema.app_names)
    .where(schema.app_names.c.bill_to == param("k"))
    .order_by(schema.app_names.c.name)
)
_OFFERED = Prepared(
    sa.select(schema.containers)
    .where(
        sa.text("class_name = 'project'"),
        sa.func.json_extract(_c.flags, "$.pendingTransfer") == param("k"),
    )
    .order_by(_c.id)
)
_APP_NAMES = Prepared(sa.select(schema.app_names).order_by(schema.app_names.c.name))
_u = schema.users.c
_REMOVALS = (
    Prepared(sa.update(schema.users).where(_u.bill_to == param("k")).values(bill_to=_u.id)),
    Prepared(sa.delete(schema.members).where(_p.member == param("k"))),
    Prepared(sa.delete(schema.org_members).where(_m.org == param("k"))),
    Prepared(sa.delete(schema.orgs).where(_o.id == param("k"))),
)


async def find_org(reader: Reader, org_id: str) -> OrgRow | None:
    """Return an org, or None."""
    return await reader.struct(OrgRow, _ORG, {"k": org_id})


async def find_orgs(reader: Reader, org_ids: Iterable[str]) -> list[OrgRow]:
    """Return those of the orgs that exist, by id."""
    return await reader.structs(OrgRow, _ORGS, {"ks": rows.stored(list(org_ids))})


async def find_all(reader: Reader) -> list[OrgRow]:
    """Return every org, by id."""
    return await reader.structs(OrgRow, _ALL)


async def count_made_by(reader: Reader, user_id: str) -> int:
    """Return how many orgs there are that a user has made."""
    found = await reader.row(_MADE_BY, {"k": user_id})
    return int(found[0]) if found is not None else 0


async def update_org(tx: Transaction, org_id: str, changes: dict[str, Any]) -> None:
    """Change some fields of an org."""
    await tx.update(schema.orgs, {"id": org_id}, rows.changes(OrgRow, changes))


async def find_member(reader: Reader, org_id: str, user_id: str) -> OrgMemberRow | None:
    """Return a user's place in an org, or None."""
    return await reader.struct(OrgMemberRow, _MEMBER, {"o": org_id, "u": user_id})


async def find_members(reader: Reader, org_id: str) -> list[OrgMemberRow]:
    """Return the members of an org, by user."""
    return await reader.structs(OrgMemberRow, _MEMBERS, {"k": org_id})


async def find_orgs_of(reader: Reader, user_id: str) -> list[OrgMemberRow]:
    """Return a user's places in orgs, by org."""
    return await reader.structs(OrgMemberRow, _MEMBERSHIPS, {"k": user_id})


async def set_member(tx: Transaction, row: OrgMemberRow) -> None:
    """Give a user this place in an org, whichever they had."""
    await remove_member(tx, row.org, row.user)
    await tx.add(row)


async def remove_member(tx: Transaction, org_id: str, user_id: str) -> None:
    """Take a user out of an org."""
    await tx.execute(_DROP_MEMBER, {"o": org_id, "u": user_id})


async def find_members_of_any(reader: Reader, container_ids: Iterable[str]) -> list[str]:
    """Return who is a member of at least one of some containers, each once."""
    values = {"ks": rows.stored(list(container_ids))}
    return [str(row[0]) for row in await reader.rows(_MEMBERS_OF_ANY, values)]


async def find_billed(reader: Reader, bill_to: str) -> list[ContainerRow]:
    """Return the projects that a user or an org is billed for, by id."""
    return await reader.structs(ContainerRow, _BILLED, {"k": bill_to})


async def find_billed_apps(reader: Reader, bill_to: str) -> list[AppNameRow]:
    """Return what the versions of each app have in common that an org is billed for, by name."""
    return await reader.structs(AppNameRow, _BILLED_APPS, {"k": bill_to})


async def find_offered(reader: Reader, entity: str) -> list[ContainerRow]:
    """Return the projects that wait for a user or an org to pay for them, by id."""
    return await reader.structs(ContainerRow, _OFFERED, {"k": entity})


async def find_apps_naming(reader: Reader, org_id: str) -> list[AppNameRow]:
    """Return what the versions of each app have in common of which an org is user or developer."""
    found = await reader.structs(AppNameRow, _APP_NAMES)
    return [row for row in found if org_id in (*row.authorized_users, *row.developers)]


async def remove_org(tx: Transaction, org_id: str) -> None:
    """Forget an org: who is in it, what is shared with it, and who had it pay by default."""
    for statement in _REMOVALS:
        await tx.execute(statement, {"k": org_id})


async def level_among(reader: Reader, user_id: str, members: Mapping[str, Level]) -> Level:
    """Return a user's level on a container with these members: their own, or through an org.

    An org's permission reaches each member up to their access to projects (contract C.4).
    """
    found = members.get(user_id, Level.NONE)
    for member, level in members.items():
        if level <= found or not member.startswith("org-"):
            continue
        place = await find_member(reader, member, user_id)
        if place is not None:
            found = max(found, min(level, orgs.project_access(place.level, place.access)))
    return found


async def find_reachable(reader: Reader, user_id: str) -> dict[str, Level]:
    """Return the containers on which a user has a level, their own or through an org."""
    found = await projects.find_memberships(reader, user_id)
    for container, level, place, access in await reader.rows(_SHARED, {"k": user_id}):
        most = orgs.project_access(place, msgspec.json.decode(access))
        reached = min(Level(level), most)
        if reached > found.get(container, Level.NONE):
            found[container] = reached
    return found
