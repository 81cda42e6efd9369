"""New accounts (contract J.3). The route is the authorisation server's, at the API's address."""

from __future__ import annotations

import re
from typing import Any, Final

from plasmid.domain import errors, ids, keys, orgs
from plasmid.metadata import users
from plasmid.metadata.database import AlreadyThereError
from plasmid.metadata.rows import UserRow
from plasmid.methods import org_access, targets
from plasmid.methods.call import Call, Ref
from plasmid.methods.registry import Mode, method
from plasmid.methods.targets import Access

NAME_MAX: Final = 255
EMAIL_MAX: Final = 254
MADE_MAX: Final = 1_000
"""How many accounts a user may make; the operator may make any number."""
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s.]+(?:\.[^@\s.]+)+")


@method("/user/new", access=Access.LOGIN, mode=Mode.WRITE)
async def new(call: Call, target: None, body: dict[str, Any]) -> Ref:
    """Make an account. It has no password and no token: the operator makes its first one.

    What is wrong with what is said of it is an AccountError, as the client expects of this route.
    """
    if call.actor.job is not None or call.actor.scope is not None:
        raise errors.PermissionDenied("This token may not make accounts")
    if not call.actor.is_operator and await users.count_made_by(call.reader, call.user) >= MADE_MAX:
        raise errors.PermissionDenied(
            f"{call.user} has made {MADE_MAX} accounts, which is the most; the operator can make"
            " others: plasmid user add"
        )
    try:
        row = _row(call, body)
        bill_to = keys.string(body, "billTo")
        keys.integer(body, "tokenDuration")
    except errors.InvalidInput as error:
        raise errors.AccountError(error.message) from error
    if bill_to is not None:
        org = await org_access.find(call, bill_to)
        if org is None:
            raise errors.AccountError(f'"billTo" is {bill_to}, which is no org')
        org_access.require_admin(call, org)
    provisioning = body.get("provisioningOrg")
    if provisioning is not None:
        await _require_provisioner(call, provisioning)
        row.settings["provisioningOrg"] = provisioning
    if await users.find_user_by_email(call.reader, row.email) is not None:
        raise errors.AccountError(f"There is an account with the address {row.email} already")
    try:
        await call.tx.add(row)
    except AlreadyThereError as error:
        raise errors.AccountError(f'The username "{row.handle}" is taken') from error
    if bill_to is not None:
        await users.update_user(call.tx, row.id, {"bill_to": bill_to})
    return Ref(row.id)


def _row(call: Call, body: dict[str, Any]) -> UserRow:
    handle = orgs.check_handle(keys.require(body, "username"), "username")
    names = {key: _name(body, key) for key in ("first", "middle", "last", "occupation")}
    if not names["first"] and not names["last"]:
        raise errors.InvalidInput('Expected input to have property "first" or "last"')
    user_id = f"user-{handle}"
    return UserRow(
        id=user_id,
        handle=handle,
        first=names["first"],
        last=names["last"],
        email=_email(body),
        bill_to=user_id,
        ssh_public_key=None,
        created_ms=call.now_ms,
        settings={
            users.MADE_BY: call.user,
            **{key: names[key] for key in ("middle", "occupation") if names[key]},
        },
    )


def _name(body: dict[str, Any], key: str) -> str:
    name = keys.string(body, key) or ""
    if len(name) > NAME_MAX or not name.isprintable():
        raise keys.refusal(key, "input", f"a string of at most {NAME_MAX} printable characters")
    return name


def _email(body: dict[str, Any]) -> str:
    email = keys.required_string(body, "email")
    if len(email) > EMAIL_MAX or not _EMAIL.fullmatch(email):
        raise keys.refusal("email", "input", "an email address")
    return email


async def _require_provisioner(call: Call, org_id: object) -> None:
    """Raise unless the org on whose behalf an account is made is one of the caller's as ADMIN."""
    if not ids.is_id(org_id, "org"):
        raise targets.not_found(str(org_id))
    org = await org_access.find(call, str(org_id))
    if org is None:
        raise targets.not_found(str(org_id))
    org_access.require_admin(call, org)
