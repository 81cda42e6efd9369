"""Who shares a project and who pays: invite, lower, join, leave, transfer (contract C.4)."""

from __future__ import annotations

from typing import Any, Final

from plasmid.domain import errors, ids, keys, orgs
from plasmid.domain.access import Level
from plasmid.metadata import orgs as org_rows
from plasmid.metadata import projects, users
from plasmid.methods import billing, targets
from plasmid.methods.call import Call, Ref
from plasmid.methods.registry import Mode, method
from plasmid.methods.targets import Access, Container

PENDING: Final = "pendingTransfer"
# Who has offered it, and who paid then: an offer is as good as the right to make it.
OFFERED: Final = "transferOffered"


@method("/project-xxxx/invite", access=Access.ADMINISTER, mode=Mode.WRITE)
async def invite(call: Call, target: Container, body: dict[str, Any]) -> dict[str, Any]:
    """Give a user or an org at least a level, or everybody (PUBLIC) VIEW; nothing is lowered."""
    level = Level.parse(keys.require(body, "level"))
    if level is Level.NONE:
        raise errors.InvalidInput('Expected key "level" of input to be more than NONE')
    member = await _member(call, body.get("invitee"))
    if member == projects.PUBLIC and level is not Level.VIEW:
        raise errors.InvalidInput(
            'Expected key "level" of input to be VIEW: it is all that PUBLIC may have'
        )
    await _raise(call, target.id, member, level)
    return {"id": target.id, "state": "accepted"}


async def _raise(call: Call, project_id: str, member: str, level: Level) -> None:
    """Give a member at least a level."""
    present = (await projects.find_members(call.reader, project_id)).get(member, Level.NONE)
    await projects.set_member(call.tx, project_id, member, max(present, level))


async def _member(call: Call, invitee: object) -> str:
    """Return whom an invitation means; raises ResourceNotFound."""
    if invitee == projects.PUBLIC:
        return projects.PUBLIC
    if not isinstance(invitee, str) or not invitee:
        raise errors.InvalidInput('Expected key "invitee" of input to be a user, org or PUBLIC')
    if ids.is_id(invitee, "org"):
        org = await org_rows.find_org(call.reader, invitee)
        found = org.id if org else None
    elif "@" in invitee:
        user = await users.find_user_by_email(call.reader, invitee)
        found = user.id if user else None
    else:
        user = await users.find_user(call.reader, invitee)
        found = user.id if user else None
    if found is None:
        raise targets.not_found(invitee)
    return found


@method("/project-xxxx/decreasePermissions", access=Access.VIEW, mode=Mode.WRITE)
async def decrease_permissions(call: Call, target: Container, body: dict[str, Any]) -> Ref:
    """Lower members to a level, or remove them with null; one's own entry without being admin."""
    members = await projects.find_members(call.reader, target.id)
    for given, wanted in body.items():
        member = given if given in members else await _member(call, given)
        is_own = member == call.actor.user and _is_whole(call)
        if not is_own and target.level < Level.ADMINISTER:
            raise errors.PermissionDenied("ADMINISTER permission is required to lower others")
        level = Level.parse(wanted, given)
        if level > members.get(member, Level.NONE):
            raise errors.InvalidInput(f"{member} has less than {level.name} already")
        await projects.set_member(call.tx, target.id, member, level)
    await _require_administrator(call, target)
    return Ref(target.id)


def _is_whole(call: Call) -> bool:
    """Say whether the token is all of its user: no job's, and not narrowed."""
    return call.actor.job is None and call.actor.scope is None


def _require_whole(call: Call) -> None:
    if not _is_whole(call):
        raise errors.PermissionDenied("This token may not change its user's membership")


async def _require_administrator(call: Call, target: Container) -> None:
    """Raise InvalidState if nobody is left who could ever reach a project's objects again.

    One billed to an org is the business of the org's administrators, who may join it.
    """
    members = await projects.find_members(call.tx, target.id)
    has_one = any(
        level is Level.ADMINISTER for member, level in members.items() if member != projects.PUBLIC
    )
    if not has_one and ids.is_id(target.row.bill_to, "user"):
        raise errors.InvalidState(
            f"{target.id} would be left without an administrator: make another member ADMINISTER "
            "first, or destroy the project"
        )


@method("/project-xxxx/leave", access=Access.VIEW, mode=Mode.WRITE)
async def leave(call: Call, target: Container, body: dict[str, Any]) -> Ref:
    """Give up one's own membership; a job or a narrowed token cannot do that for its user."""
    _require_whole(call)
    if call.user not in await projects.find_members(call.reader, target.id):
        raise errors.PermissionDenied(
            f"You are no member of {target.id} yourself: you reach it through an org, or because it"
            " is public"
        )
    await projects.set_member(call.tx, target.id, call.user, Level.NONE)
    await _require_administrator(call, target)
    return Ref(target.id)


@method("/project-xxxx/join", access=Access.ENTRANT, mode=Mode.WRITE)
async def join(call: Call, target: Container, body: dict[str, Any]) -> dict[str, Any]:
    """Become a member with at least a level, if one may without being invited.

    Who pays for a project (oneself, or the org that one administers) may any; others may what they
    can do anyway, through an org or because the project is public.
    """
    _require_whole(call)
    level = Level.parse(keys.require(body, "level"))
    most = Level.ADMINISTER if _pays(call, target.row.bill_to) else target.level
    if level is Level.NONE or level > most:
        raise errors.PermissionDenied(
            f"You may join {target.id} with {most.name} at most; an administrator can invite you"
            if most is not Level.NONE
            else f"You may not join {target.id}; an administrator can invite you"
        )
    await _raise(call, target.id, call.user, level)
    return {"id": target.id, "level": level.name}


def _pays(call: Call, bill_to: str) -> bool:
    """Say whether the caller is billed, or administers the org that is."""
    place = call.orgs.get(bill_to)
    return bill_to == call.user or (place is not None and place.level == orgs.ADMIN)


@method("/project-xxxx/transfer", access=Access.ADMINISTER, mode=Mode.WRITE)
async def transfer(call: Call, target: Container, body: dict[str, Any]) -> dict[str, Any]:
    """Let another pay for a project: at once if the caller may bill them, else if they accept.

    A later transfer takes the place of an earlier one that was not accepted; one to who pays
    already is the end of it.
    """
    _require_whole(call)
    invitee = await _member(call, body.get("invitee"))
    if invitee == projects.PUBLIC:
        raise errors.InvalidInput('Expected key "invitee" of input to be a user or an org')
    await billing.require_releasable(call, target.row)
    place = call.orgs.get(invitee)
    may_bill = place is not None and orgs.may_bill(place.level, place.access)
    if invitee in (call.user, target.row.bill_to) or may_bill:
        await _bill(call, target, invitee)
        return {"id": target.id, "state": "accepted"}
    offered = {"by": call.user, "billTo": target.row.bill_to}
    flags = {**target.row.flags, PENDING: invitee, OFFERED: offered}
    await projects.update_container(call.tx, target.id, {"flags": flags})
    return {"id": target.id, "state": "pending"}


@method("/project-xxxx/acceptTransfer", access=Access.ENTRANT, mode=Mode.WRITE)
async def accept_transfer(call: Call, target: Container, body: dict[str, Any]) -> Ref:
    """Take over a project that waits for the caller, or for an org that the caller may bill.

    `billTo` names who is billed for it: the invitee unless said otherwise. The caller administers
    the project from then on. An offer ends when who made it could not make it any more.
    """
    _require_whole(call)
    invitee = target.row.flags.get(PENDING)
    place = call.orgs.get(str(invitee))
    if invitee != call.user and (place is None or not orgs.may_bill(place.level, place.access)):
        raise errors.PermissionDenied(f"{target.id} is not offered to you")
    await _require_good_offer(call, target)
    bill_to = keys.string(body, "billTo") or str(invitee)
    await billing.require_billable(call, bill_to)
    await _bill(call, target, bill_to)
    await _raise(call, target.id, call.user, Level.ADMINISTER)
    return Ref(target.id)


async def _require_good_offer(call: Call, target: Container) -> None:
    """Raise PermissionDenied unless who has offered a project could offer it now."""
    offered = target.row.flags.get(OFFERED, {})
    by = str(offered.get("by"))
    level = await org_rows.level_among(
        call.reader, by, await projects.find_members(call.reader, target.id)
    )
    is_same_payer = offered.get("billTo") == target.row.bill_to
    place = await org_rows.find_member(call.reader, target.row.bill_to, by)
    if (
        not is_same_payer
        or level < Level.ADMINISTER
        or not await billing.is_releasable(call, target.row, place)
    ):
        raise errors.PermissionDenied(
            f"{target.id} is offered to you no more: who offered it could not do so now; one of its"
            " administrators can offer it again"
        )


def without_offer(flags: dict[str, Any]) -> dict[str, Any]:
    """Return a project's flags without an offer to let another pay for it."""
    return {name: value for name, value in flags.items() if name not in (PENDING, OFFERED)}


async def _bill(call: Call, target: Container, bill_to: str) -> None:
    if bill_to != target.row.bill_to:
        await billing.require_region(call, bill_to, target.row.region)
    flags = without_offer(target.row.flags)
    changes = {"bill_to": bill_to, "flags": flags, "modified_ms": call.now_ms}
    await projects.update_container(call.tx, target.id, changes)
