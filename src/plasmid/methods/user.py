"""Users (contract J.5, H.1)."""

from __future__ import annotations

from typing import Any

from plasmid.domain import errors, ssh_access
from plasmid.metadata import apps, users
from plasmid.metadata.rows import UserRow
from plasmid.methods import ssh_logins
from plasmid.methods.call import Call, Ref
from plasmid.methods.registry import Mode, method
from plasmid.methods.targets import Access
from plasmid.methods.wire import fields


@method("/user-xxxx/describe", access=Access.LOGIN)
async def describe(call: Call, target: UserRow, body: dict[str, Any]) -> dict[str, Any]:
    """Describe a user; of oneself more than of others."""
    described: dict[str, Any] = {
        "id": target.id,
        "class": "user",
        "first": target.first,
        "middle": "",
        "last": target.last,
        "handle": target.handle,
    }
    if target.id == call.actor.user:
        described |= {
            "email": target.email,
            "billTo": target.bill_to,
            "appsInstalled": await apps.find_installed(call.reader, target.id),
            "permittedRegions": list(call.platform.regions),
        }
        if target.ssh_public_key is not None:
            described["sshPublicKey"] = target.ssh_public_key
    wanted = fields.selected(body, described)
    return {name: value for name, value in described.items() if name in wanted}


@method("/user-xxxx/update", access=Access.LOGIN, mode=Mode.WRITE)
async def update(call: Call, target: UserRow, body: dict[str, Any]) -> Ref:
    """Change one's own SSH key."""
    actor = call.actor
    if target.id != actor.user or actor.job is not None or actor.scope is not None:
        raise errors.PermissionDenied("Only the user may change their own account")
    if "sshPublicKey" in body:
        await users.update_user(call.tx, target.id, {"ssh_public_key": _ssh_key(body)})
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
