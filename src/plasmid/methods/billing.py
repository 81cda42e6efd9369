"""Who pays for what a caller makes (contract J.4)."""

from __future__ import annotations

from typing import Any

from plasmid.domain import errors
from plasmid.metadata import users
from plasmid.methods.call import Call


async def bill_to_of(call: Call, body: dict[str, Any]) -> str:
    """Return the body's `billTo`, by default the caller's own; raises PermissionDenied."""
    own = await users.find_user(call.reader, call.user)
    bill_to = body.get("billTo")
    if bill_to is None:
        return own.bill_to if own else call.user
    if bill_to != call.user:
        raise errors.PermissionDenied(f"You may not bill {bill_to}")
    return str(bill_to)
