"""The end of an org; somebody else has to pay for what it pays for (contract J.6)."""

from __future__ import annotations

from typing import Any, Final

from plasmid.domain import errors, ids, keys, orgs
from plasmid.metadata import apps, projects, users
from plasmid.metadata import orgs as org_rows
from plasmid.metadata.rows import AppNameRow
from plasmid.methods import billing, project_members, targets
from plasmid.methods.call import Call, Ref
from plasmid.methods.org_access import Org
from plasmid.methods.registry import Mode, method
from plasmid.methods.targets import Access

NAMED_MAX: Final = 3


@method("/org-xxxx/destroy", access=Access.ORG_ADMIN, mode=Mode.WRITE)
async def destroy(call: Call, target: Org, body: dict[str, Any]) -> Ref:
    """End an org; its members lose what was shared with them through it.

    `billTo` pays for its projects and apps from then on; without it there may be none. Whom the org
    was to pay for by default pays for themselves. Its handle is free again.
    """
    heir = keys.string(body, "billTo")
    if heir is not None:
        await _require_heir(call, target, heir)
    await _hand_on(call, target, heir)
    for project in await org_rows.find_offered(call.reader, target.id):
        flags = project_members.without_offer(project.flags)
        await projects.update_container(call.tx, project.id, {"flags": flags})
    for listing in await org_rows.find_apps_naming(call.reader, target.id):
        await _leave_app(call, listing, target.id)
    await org_rows.remove_org(call.tx, target.id)
    return Ref(target.id)


async def _require_heir(call: Call, org: Org, heir: str) -> None:
    """Raise unless the caller may have somebody pay instead of an org; the operator may anybody."""
    if heir == org.id:
        raise errors.InvalidInput(f'Expected key "billTo" of input to be another than {org.id}')
    if not call.actor.is_operator:
        await billing.require_billable(call, heir)
        return
    is_user = ids.is_id(heir, "user")
    find = users.find_user if is_user else org_rows.find_org
    if await find(call.reader, heir) is None:
        raise targets.not_found(heir)


async def _hand_on(call: Call, org: Org, heir: str | None) -> None:
    """Have another pay for an org's projects and apps; raises InvalidState if nobody is named.

    An app of which all versions are deleted is no reason to name one.
    """
    owned = await org_rows.find_billed(call.reader, org.id)
    listings = await org_rows.find_billed_apps(call.reader, org.id)
    alive = [listing.name for listing in listings if await _has_versions(call, listing.name)]
    named = [*(project.id for project in owned), *alive]
    if named and heir is None:
        more = f" and {len(named) - NAMED_MAX} more" if len(named) > NAMED_MAX else ""
        raise errors.InvalidState(
            f"{org.id} pays for {', '.join(named[:NAMED_MAX])}{more}: destroy them, or name who"
            ' pays for them from now on ("billTo"; plasmid org remove --bill-to)'
        )
    for project in owned:
        await billing.require_region(call, str(heir), project.region)
        flags = project_members.without_offer(project.flags)
        changes = {"bill_to": heir, "flags": flags, "modified_ms": call.now_ms}
        await projects.update_container(call.tx, project.id, changes)
    for listing in listings:
        await apps.update_name(call.tx, listing.name, {"bill_to": heir or call.user})


async def _has_versions(call: Call, name: str) -> bool:
    versions = await apps.find_versions(call.reader, name)
    return any(version.deleted_ms is None for version in versions)


async def _leave_app(call: Call, listing: AppNameRow, org_id: str) -> None:
    """Take an org from the users and developers of an app.

    The place of its last developer goes to who pays, or to an ADMIN of that org.
    """
    users_left = [name for name in listing.authorized_users if name != org_id]
    developers = [name for name in listing.developers if name != org_id]
    if not developers:
        developers = [await _payer(call, listing.bill_to)]
    changes = {"authorized_users": users_left, "developers": developers}
    await apps.update_name(call.tx, listing.name, changes)


async def _payer(call: Call, bill_to: str) -> str:
    if ids.is_id(bill_to, "user"):
        return bill_to
    members = await org_rows.find_members(call.reader, bill_to)
    return next((row.user for row in members if row.level == orgs.ADMIN), call.user)
