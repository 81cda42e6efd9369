"""Users (contract J.5, H.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plasmid.domain import errors, keys, ssh_access
from plasmid.metadata import apps, users
from plasmid.metadata.rows import UserRow
from plasmid.methods import billing, ssh_logins
from plasmid.methods.call import Call, Ref
from plasmid.methods.registry import Mode, method
from plasmid.methods.targets import Access
from plasmid.methods.wire import fields


@method("/user-xxxx/describe", access=Access.LOGIN)
async def describe(call: Call, target: UserRow, body: dict[str, Any]) -> dict[str, Any]:
    """Describe a user; of oneself more than of others."""
    return await described(call, target, body)


async def described(call: Call, row: UserRow, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the options ask for of what the caller may know of a user."""
    known: dict[str, Any] = {
        "id": row.id,
        "class": "user",
        "first": row.first,
        "middle": row.settings.get("middle", ""),
        "last": row.last,
        "handle": row.handle,
    }
    if row.id == call.actor.user:
        known |= {
            "email": row.email,
            "billTo": row.bill_to,
            "appsInstalled": await apps.find_installed(call.reader, row.id),
            "permittedRegions": list(call.platform.regions),
        }
        if row.ssh_public_key is not None:
            known["sshPublicKey"] = row.ssh_public_key
        if "policies" in row.settings:
            known["policies"] = row.settings["policies"]
    wanted = fields.selected(options, known)
    return {name: value for name, value in known.items() if name in wanted}


@method("/user-xxxx/update", access=Access.LOGIN, mode=Mode.WRITE)
async def update(call: Call, target: UserRow, body: dict[str, Any]) -> Ref:
    """Change one's own SSH key, who is billed by default, and policies."""
    actor = call.actor
    if target.id != actor.user or actor.job is not None or actor.scope is not None:
        raise errors.PermissionDenied("Only the user may change their own account")
    changes: dict[str, Any] = {}
    if "sshPublicKey" in body:
        changes["ssh_public_key"] = _ssh_key(body)
    bill_to = keys.string(body, "billTo")
    if bill_to is not None:
        await billing.require_billable(call, bill_to)
        changes["bill_to"] = bill_to
    policies = keys.hash_of(body, "policies")
    if policies is not None:
        keys.check_depth(policies, "policies")
        kept = {**target.settings.get("policies", {}), **policies}
        changes["settings"] = {**target.settings, "policies": kept}
    if changes:
        await users.update_user(call.tx, target.id, changes)
    if "ssh_public_key" in changes:
        await ssh_logins.wake_workers_of(call.tx, target.id)
    return Ref(target.id)


def _ssh_key(body: dict[str, Any]) -> str | None:
    key = body["sshPublicKey"]
    if key is None:
        return None
    if not isinstance(key, str):
        raise errors.InvalidInput('Expected key "sshPublicKey" of input to be a string')
    ssh_access.check_public_key(key)
    return key
