"""Find people: those with whom the caller shares something (contract B.7)."""

from __future__ import annotations

from typing import Any

from plasmid.domain import errors, filters, ids, keys, orgs
from plasmid.domain.access import Level
from plasmid.metadata import orgs as org_rows
from plasmid.metadata import projects, users
from plasmid.methods import org_access, targets, user
from plasmid.methods.call import Call
from plasmid.methods.registry import method
from plasmid.methods.targets import Access
from plasmid.methods.wire import fields


@method("/system/findUsers", "/system/findAffiliates", access=Access.LOGIN)
async def find_users(call: Call, target: None, body: dict[str, Any]) -> dict[str, Any]:
    """Find the caller, and the users who share a project or an org with them, by id.

    Those of an org count where its policy lets the caller see its members.
    """
    known = {call.user: None, **dict.fromkeys(await _in_own_orgs(call))}
    known |= dict.fromkeys(await _in_own_projects(call))
    wanted = filters.read_ids(body, "id", "user")
    found = [name for name in sorted(known) if wanted is None or name in wanted]
    return await _page(call, body, [{"id": name} for name in found])


async def _in_own_orgs(call: Call) -> list[str]:
    """Return who is in the caller's orgs with them; a job or a narrowed token sees none of it."""
    found: list[str] = []
    if not org_access.is_whole(call):
        return found
    for org in await org_rows.find_orgs(call.reader, call.orgs):
        is_admin = call.orgs[org.id].level == orgs.ADMIN
        if is_admin or org.policies["memberListVisibility"] != orgs.ADMIN:
            found += [row.user for row in await org_rows.find_members(call.reader, org.id)]
    return found


async def _in_own_projects(call: Call) -> list[str]:
    reachable = await org_rows.find_reachable(call.reader, call.user)
    own = [name for name in reachable if call.actor.ceiling(name) >= Level.VIEW]
    members = await org_rows.find_members_of_any(call.reader, own)
    return [name for name in members if ids.is_id(name, "user")]


@method("/system/findProjectMembers", access=Access.LOGIN)
async def find_project_members(call: Call, target: None, body: dict[str, Any]) -> dict[str, Any]:
    """Find the members of a project that the caller may see: users, orgs, and PUBLIC."""
    project = keys.require(body, "project")
    if not ids.is_id(project, "project"):
        raise errors.InvalidInput('Expected key "project" of input to be a project ID')
    container = await targets.get_container(call, project, Level.VIEW)
    level = Level.parse(body.get("level"))
    members = await projects.find_members(call.reader, container.id)
    found = [
        {"id": name, "level": members[name].name}
        for name in sorted(members)
        if members[name] >= level
    ]
    return await _page(call, body, found)


async def _page(call: Call, body: dict[str, Any], found: list[dict[str, Any]]) -> dict[str, Any]:
    """Return one page of results, described if that is asked for."""
    page = filters.read_page(body)
    starting = keys.string(body, "starting") or ""
    left = [entry for entry in found if entry["id"] >= starting]
    options = fields.options_of(page.describe)
    results = left[: page.limit]
    if options is not None:
        for entry in results:
            row = await users.find_user(call.reader, entry["id"])
            if row is not None:
                entry["describe"] = await user.described(call, row, options)
    rest = left[page.limit : page.limit + 1]
    return {"results": results, "next": rest[0]["id"] if rest else None}
