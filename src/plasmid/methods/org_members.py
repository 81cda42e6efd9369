"""Who is in an org, and what each may do there (contract J.6)."""

from __future__ import annotations

from typing import Any

from plasmid.domain import errors, filters, ids, keys, orgs
from plasmid.domain.access import Level
from plasmid.metadata import apps, projects, users
from plasmid.metadata import orgs as org_rows
from plasmid.metadata.rows import OrgMemberRow
from plasmid.methods import org_access, project_members, targets, user
from plasmid.methods.call import Call, Ref
from plasmid.methods.org_access import Org
from plasmid.methods.registry import Mode, method
from plasmid.methods.targets import Access
from plasmid.methods.wire import fields


@method("/org-xxxx/invite", access=Access.ORG_ADMIN, mode=Mode.WRITE)
async def invite(call: Call, target: Org, body: dict[str, Any]) -> dict[str, Any]:
    """Make a user a member of an org, by default a plain one; nothing is lowered by this.

    What else is said of an ADMIN does not matter: they may everything.
    """
    invitee = await _known(call, body.get("invitee"))
    level = orgs.check_level(body) or orgs.MEMBER
    given = orgs.check_access(body)
    present = await org_rows.find_member(call.reader, target.id, invitee)
    if present is not None and (level, present.level) == (orgs.MEMBER, orgs.ADMIN):
        return {"id": target.id, "state": "accepted"}
    access = {} if level == orgs.ADMIN else given
    if present is not None and level == orgs.MEMBER:
        access = orgs.raised(present.access, given)
    await org_rows.set_member(call.tx, OrgMemberRow(target.id, invitee, level, access))
    return {"id": target.id, "state": "accepted"}


async def _known(call: Call, given: object, key: str = "invitee") -> str:
    """Return the user that an id or an address means; raises ResourceNotFound."""
    if not isinstance(given, str) or not given:
        raise keys.refusal(key, "input", "a user or an email address")
    found = None
    if "@" in given:
        found = await users.find_user_by_email(call.reader, given)
    else:
        found = await users.find_user(call.reader, given)
    if found is None:
        raise targets.not_found(given)
    return found.id


@method("/org-xxxx/removeMember", access=Access.ORG_ADMIN, mode=Mode.WRITE)
async def remove_member(call: Call, target: Org, body: dict[str, Any]) -> dict[str, Any]:
    """Take a user out of an org, and by default out of its projects and apps.

    The answer names those projects and apps. One who is no member is not missed.
    """
    given = await _known(call, keys.require(body, "user"), "user")
    await _require_another_admin(call, target, {given: None})
    lost_projects: dict[str, str] = {}
    lost_apps: dict[str, str] = {}
    if keys.boolean(body, "revokeProjectPermissions", default=True):
        lost_projects = await _leave_projects(call, target.id, given)
    if keys.boolean(body, "revokeAppPermissions", default=True):
        lost_apps = await _leave_apps(call, target.id, given)
    await org_rows.remove_member(call.tx, target.id, given)
    row = await users.find_user(call.reader, given)
    if row is not None and row.bill_to == target.id:
        await users.update_user(call.tx, given, {"bill_to": given})
    return {"id": target.id, "projects": lost_projects, "apps": lost_apps}


async def _leave_projects(call: Call, org_id: str, user_id: str) -> dict[str, str]:
    """Take a user out of the projects that an org is billed for; return the levels they had.

    One that was offered to them is so no more.
    """
    lost = {}
    for project in await org_rows.find_billed(call.reader, org_id):
        if project.flags.get(project_members.PENDING) == user_id:
            flags = project_members.without_offer(project.flags)
            await projects.update_container(call.tx, project.id, {"flags": flags})
        members = await projects.find_members(call.reader, project.id)
        if user_id in members:
            await projects.set_member(call.tx, project.id, user_id, Level.NONE)
            lost[project.id] = members[user_id].name
    return lost


async def _leave_apps(call: Call, org_id: str, user_id: str) -> dict[str, str]:
    """Take a user from the users and developers of the apps that an org is billed for.

    The place of an app's last developer goes to an ADMIN: somebody has to be able to change it.
    """
    lost = {}
    heir = await _heir(call, org_id, user_id)
    for listing in await org_rows.find_billed_apps(call.reader, org_id):
        users_left = [name for name in listing.authorized_users if name != user_id]
        developers_left = [name for name in listing.developers if name != user_id]
        changes = {"authorized_users": users_left, "developers": developers_left or [heir]}
        before = {"authorized_users": listing.authorized_users, "developers": listing.developers}
        if any(before[name] != left for name, left in changes.items()):
            await apps.update_name(call.tx, listing.name, changes)
            versions = await apps.find_versions(call.reader, listing.name)
            class_name = versions[0].id.partition("-")[0] if versions else "app"
            lost[f"{class_name}-{listing.name}"] = "NONE"
    return lost


async def _heir(call: Call, org_id: str, leaving: str) -> str:
    """Return the ADMIN who takes over from a leaving member: the caller if they are one."""
    admins = [
        row.user
        for row in await org_rows.find_members(call.reader, org_id)
        if row.level == orgs.ADMIN and row.user != leaving
    ]
    return call.user if call.user in admins or not admins else admins[0]


async def _require_another_admin(call: Call, org: Org, changes: dict[str, str | None]) -> None:
    """Raise InvalidState if an org were left without an ADMIN; None is for who leaves."""
    members = await org_rows.find_members(call.reader, org.id)
    after = {member.user: member.level for member in members} | changes
    if orgs.ADMIN not in after.values() and orgs.ADMIN in {member.level for member in members}:
        raise errors.InvalidState(
            f"{org.id} would be left without an ADMIN: make another member one first"
        )


@method("/org-xxxx/setMemberAccess", access=Access.ORG_ADMIN, mode=Mode.WRITE)
async def set_member_access(call: Call, target: Org, body: dict[str, Any]) -> Ref:
    """Change the level of members and what they may do; what is not said stays as it is."""
    places = {row.user: row for row in await org_rows.find_members(call.reader, target.id)}
    changed = {}
    for user_id in body:
        if user_id == "nonce":
            continue
        if user_id not in places:
            raise errors.ResourceNotFound(f"{user_id} is not a member of {target.id}")
        given = keys.hash_of(body, user_id) or {}
        changed[user_id] = _changed(places[user_id], given)
    levels: dict[str, str | None] = {name: row.level for name, row in changed.items()}
    await _require_another_admin(call, target, levels)
    for row in changed.values():
        await org_rows.set_member(call.tx, row)
    return Ref(target.id)


def _changed(present: OrgMemberRow, given: dict[str, Any]) -> OrgMemberRow:
    level = orgs.check_level(given, present.user) or present.level
    access = orgs.check_access(given, present.user)
    if level == orgs.ADMIN and access:
        raise errors.InvalidInput(
            f"{present.user} is ADMIN, which includes all access: leave out {', '.join(access)},"
            ' or set "level" to MEMBER'
        )
    kept = present.access if level == present.level else {}
    return OrgMemberRow(present.org, present.user, level, {**kept, **access})


@method("/org-xxxx/findMembers", access=Access.LOGIN)
async def find_members(call: Call, target: Org, body: dict[str, Any]) -> dict[str, Any]:
    """Find the members of an org, by user; who may is the org's policy memberListVisibility."""
    if not call.actor.is_operator:
        org_access.require_seen_members(target)
    page = filters.read_page(body)
    level = orgs.check_level(body)
    wanted = _wanted(body)
    starting = keys.string(body, "starting") or ""
    options = fields.options_of(page.describe)
    results: list[dict[str, Any]] = []
    for row in await org_rows.find_members(call.reader, target.id):
        is_wanted = wanted is None or row.user in wanted
        if row.user < starting or not is_wanted or level not in (None, row.level):
            continue
        if len(results) == page.limit:
            return {"results": results, "next": row.user}
        entry = {"id": row.user, "level": row.level, **orgs.access_of(row.level, row.access)}
        if options is not None:
            entry["describe"] = await _described(call, row.user, options)
        results.append(entry)
    return {"results": results, "next": None}


def _wanted(body: dict[str, Any]) -> list[str] | None:
    given = body.get("id")
    if isinstance(given, str):
        given = [given]
    wanted = keys.strings({"id": given}, "id")
    for user_id in wanted or ():
        if not ids.is_id(user_id, "user"):
            raise keys.refusal("id", "input", f'user ids, got "{user_id}"')
    return wanted


async def _described(call: Call, user_id: str, options: Any) -> dict[str, Any] | None:
    row = await users.find_user(call.reader, user_id)
    return None if row is None else await user.described(call, row, options)
