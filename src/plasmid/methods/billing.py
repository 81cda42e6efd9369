"""Who pays for what a caller makes (contract J.4)."""

from __future__ import annotations

from typing import Any, Final

from plasmid.domain import errors, ids, keys, orgs
from plasmid.metadata import orgs as org_rows
from plasmid.metadata import users
from plasmid.metadata.rows import ContainerRow, OrgMemberRow
from plasmid.methods.call import Call

PERMITTED: Final = "permittedRegions"
_CHECK_LEVEL = "Please check your access level and the billing policy of the org."


async def bill_to_of(call: Call, body: dict[str, Any]) -> str:
    """Return the body's `billTo`, by default the caller's own.

    Raises PermissionDenied, and ResourceNotFound for an org that is not there.
    """
    given = keys.string(body, "billTo")
    if given is None:
        own = await users.find_user(call.reader, call.user)
        given = own.bill_to if own else call.user
    await require_billable(call, given)
    return given


async def require_billable(call: Call, entity: str) -> None:
    """Raise unless the caller may make what a user or an org is billed for."""
    if entity == call.user:
        return
    if not ids.is_id(entity, "user", "org"):
        raise errors.InvalidInput(
            f'Expected key "billTo" of input to be the ID of a user or an org, got "{entity}"'
        )
    if ids.is_id(entity, "user"):
        raise errors.PermissionDenied(f"You may not bill {entity}")
    if await org_rows.find_org(call.reader, entity) is None:
        raise errors.ResourceNotFound(f"The entity {entity} could not be found")
    place = call.orgs.get(entity)
    if place is None or not orgs.may_bill(place.level, place.access):
        raise errors.PermissionDenied(
            f"You are not a member in {entity} with allowBillableActivities permission."
            f" {_CHECK_LEVEL}"
        )


async def permitted_regions(call: Call, entity: str) -> list[str]:
    """Return the regions in which a user or an org lets itself be billed: by default all."""
    org = await org_rows.find_org(call.reader, entity) if ids.is_id(entity, "org") else None
    found: list[str] | None = org.settings.get(PERMITTED) if org else None
    return list(call.platform.regions) if found is None else found


async def require_region(call: Call, entity: str, region: str) -> None:
    """Raise PermissionDenied if an org is not to be billed for anything in a region."""
    permitted = await permitted_regions(call, entity)
    if region not in permitted:
        raise errors.PermissionDenied(
            f"{entity} is not billed for anything in {region}: its permittedRegions are"
            f" {', '.join(permitted) or 'none'}"
        )


async def moved_to(call: Call, row: ContainerRow, body: dict[str, Any]) -> str:
    """Return who is to be billed for a project by an update of it (contract C.3).

    Raises InvalidInput for who cannot be billed, PermissionDenied for who the caller may not bill,
    for an org whose policy keeps its projects, and for a job or a narrowed token.
    """
    given = keys.string(body, "billTo")
    if given is None or given == row.bill_to:
        return row.bill_to
    if call.actor.job is not None or call.actor.scope is not None:
        raise errors.PermissionDenied(f"This token may not change who is billed for {row.id}")
    if given != call.user and ids.is_id(given, "user"):
        raise errors.InvalidInput(f"{given} cannot be billed for this project")
    await require_billable(call, given)
    await require_region(call, given, row.region)
    await require_releasable(call, row)
    return given


async def require_releasable(call: Call, row: ContainerRow) -> None:
    """Raise PermissionDenied if only ADMINs of the org that pays may let another one pay."""
    if not await is_releasable(call, row, call.orgs.get(row.bill_to)):
        raise errors.PermissionDenied(
            f"{row.id} is billed to {row.bill_to}: only its members whom its policy"
            " restrictProjectTransfer names may let another be billed for it"
        )


async def is_releasable(call: Call, row: ContainerRow, place: OrgMemberRow | None) -> bool:
    """Say whether a user with this place in the org that pays may let another one pay."""
    org = await org_rows.find_org(call.reader, row.bill_to)
    if org is None:
        return True
    needed = org.policies["restrictProjectTransfer"]
    return place is not None and (needed == orgs.MEMBER or place.level == orgs.ADMIN)
