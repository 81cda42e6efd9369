"""An org as the target of a call, and who may do what with it (contract J.6)."""

from __future__ import annotations

import msgspec

from plasmid.domain import errors, orgs
from plasmid.metadata import orgs as org_rows
from plasmid.metadata.rows import OrgMemberRow, OrgRow
from plasmid.methods.call import Call


class Org(msgspec.Struct):
    """An org, and the caller's place in it: None for who is no member, and for their jobs.

    What a job or a narrowed token may see of its user's orgs is what everybody may.
    """

    row: OrgRow
    place: OrgMemberRow | None

    @property
    def id(self) -> str:
        """The org's id."""
        return self.row.id

    @property
    def level(self) -> str:
        """The caller's level: ADMIN, MEMBER, or NONE."""
        return "NONE" if self.place is None else self.place.level


def is_whole(call: Call) -> bool:
    """Say whether the token is all of its user: no job's, and not narrowed."""
    return call.actor.job is None and call.actor.scope is None


async def find(call: Call, org_id: str) -> Org | None:
    """Return an org, whoever calls, or None."""
    row = await org_rows.find_org(call.reader, org_id)
    return None if row is None else Org(row, call.orgs.get(org_id) if is_whole(call) else None)


def require_admin(call: Call, org: Org) -> Org:
    """Raise PermissionDenied unless the caller administers the org, or the data folder.

    A job or a narrowed token never does, whoever its user is.
    """
    if call.actor.is_operator:
        return org
    if call.actor.job is not None or call.actor.scope is not None:
        raise errors.PermissionDenied(f"This token may not administer {org.id}")
    if org.level != orgs.ADMIN:
        raise errors.PermissionDenied(f"Only an ADMIN of {org.id} may do this")
    return org


def require_seen_members(org: Org) -> None:
    """Raise PermissionDenied unless the org's policy lets the caller see who is in it."""
    needed = org.row.policies["memberListVisibility"]
    seen_by = {orgs.PUBLIC: ("NONE", *orgs.LEVELS), orgs.MEMBER: orgs.LEVELS}
    if org.level not in seen_by.get(needed, (orgs.ADMIN,)):
        raise errors.PermissionDenied(
            f"The members of {org.id} are shown to {needed} only"
            if needed == orgs.ADMIN
            else f"The members of {org.id} are shown to its members only"
        )
