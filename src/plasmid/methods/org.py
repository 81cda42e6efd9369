"""Orgs: make, describe, change (contract J.6)."""

from __future__ import annotations

from typing import Any

from plasmid.domain import errors, keys, orgs, properties
from plasmid.metadata import orgs as org_rows
from plasmid.metadata.database import AlreadyThereError
from plasmid.metadata.rows import OrgMemberRow, OrgRow
from plasmid.methods import billing
from plasmid.methods.call import Call, Ref
from plasmid.methods.org_access import Org
from plasmid.methods.registry import Mode, method
from plasmid.methods.targets import Access
from plasmid.methods.wire import fields


@method("/org/new", access=Access.LOGIN, mode=Mode.WRITE, nonce=True)
async def new(call: Call, target: None, body: dict[str, Any]) -> Ref:
    """Make an org of which the caller is the one ADMIN."""
    if call.actor.job is not None or call.actor.scope is not None:
        raise errors.PermissionDenied("This token may not make orgs")
    await _require_room(call)
    handle = orgs.check_handle(keys.require(body, "handle"), "handle")
    row = OrgRow(
        id=f"org-{handle}",
        handle=handle,
        name=properties.check_name(keys.require(body, "name")),
        policies={**orgs.new_policies(), **orgs.check_policies(body.get("policies"))},
        settings={},
        created_by=call.user,
        created_ms=call.now_ms,
    )
    try:
        await call.tx.add(row)
    except AlreadyThereError as error:
        raise errors.InvalidInput(f'The handle "{handle}" is taken; choose another') from error
    await org_rows.set_member(call.tx, OrgMemberRow(row.id, call.user, orgs.ADMIN, {}))
    return Ref(row.id)


async def _require_room(call: Call) -> None:
    """Raise PermissionDenied if a user has made as many orgs as one may make."""
    orgs_max = call.platform.limits.user_orgs_max
    if call.actor.is_operator or not orgs_max:
        return
    if await org_rows.count_made_by(call.reader, call.user) >= orgs_max:
        raise errors.PermissionDenied(
            f"{call.user} has made {orgs_max} orgs, which is the most; the operator can make"
            " others: plasmid org add"
        )


@method("/org-xxxx/describe", access=Access.LOGIN)
async def describe(call: Call, target: Org, body: dict[str, Any]) -> dict[str, Any]:
    """Describe an org; to those who are not in it only what it is called."""
    return await described(call, target, body)


async def described(call: Call, org: Org, options: dict[str, Any]) -> dict[str, Any]:
    """Return what the options ask for of what the caller may know of an org."""
    row = org.row
    permitted = await billing.permitted_regions(call, row.id)
    known: dict[str, Any] = {
        "id": row.id, "class": "org", "handle": row.handle, "name": row.name,
        billing.PERMITTED: permitted,
    }  # fmt: skip
    place = org.place
    if place is not None:
        members = await org_rows.find_members(call.reader, row.id)
        known |= {
            "level": place.level,
            **orgs.access_of(place.level, place.access),
            "admins": [member.user for member in members if member.level == orgs.ADMIN],
            "policies": row.policies,
            "defaultRegion": (permitted or call.platform.regions)[0],
            "created": row.created_ms,
            "createdBy": {"user": row.created_by},
            "samlIdP": row.settings.get("samlIdP"),
        }
        if place.level == orgs.ADMIN and "jobLogsForwarding" in row.settings:
            known["jobLogsForwarding"] = row.settings["jobLogsForwarding"]
    wanted = fields.selected(options, known) | {"id"}
    return {name: value for name, value in known.items() if name in wanted}


def _regions(call: Call, body: dict[str, Any]) -> list[str] | None:
    """Return the regions in which an org is to be billed, None for all; raises InvalidInput."""
    found = keys.strings(body, billing.PERMITTED)
    for region in found or ():
        if region not in call.platform.regions:
            known = ", ".join(call.platform.regions)
            raise keys.refusal(billing.PERMITTED, "input", f"regions among {known}")
    return found


@method("/org-xxxx/update", access=Access.ORG_ADMIN, mode=Mode.WRITE)
async def update(call: Call, target: Org, body: dict[str, Any]) -> Ref:
    """Change an org's name, policies and settings; what is not named stays."""
    row = target.row
    changes: dict[str, Any] = {
        "policies": {**row.policies, **orgs.check_policies(body.get("policies"))}
    }
    if body.get("name") is not None:
        changes["name"] = properties.check_name(body["name"])
    settings = dict(row.settings)
    if "samlIdP" in body:
        settings["samlIdP"] = keys.string(body, "samlIdP")
    if "jobLogsForwarding" in body:
        forwarding = keys.hash_of(body, "jobLogsForwarding")
        keys.check_depth(forwarding, "jobLogsForwarding")
        settings["jobLogsForwarding"] = forwarding
    if billing.PERMITTED in body:
        settings[billing.PERMITTED] = _regions(call, body)
    changes["settings"] = settings
    await org_rows.update_org(call.tx, target.id, changes)
    return Ref(target.id)
