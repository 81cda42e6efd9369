"""What the operator does about users, tokens and orgs: `plasmid user|token|org` calls these."""

from __future__ import annotations

from typing import Any

import msgspec

from plasmid.auth import tokens
from plasmid.domain import errors
from plasmid.domain.access import Actor
from plasmid.executions import revoking
from plasmid.metadata import orgs as org_rows
from plasmid.metadata import users
from plasmid.metadata.rows import TokenRow, UserRow
from plasmid.methods import moments, targets
from plasmid.methods.call import Call
from plasmid.methods.registry import Mode, method
from plasmid.methods.targets import Access
from plasmid.methods.tokens import LABEL_MAX, LONGEST_MS

PREFIX_MIN = 8
DISABLED = "disabled"


class Nothing(msgspec.Struct):
    """A call that says nothing."""


class Disabling(msgspec.Struct):
    """Whether a user may do anything here."""

    user: str
    disabled: bool


class Minting(msgspec.Struct):
    """A new token of a user, good for a time."""

    user: str
    lifetime_ms: int
    label: str = ""


class Tokens(msgspec.Struct):
    """Whose tokens to list: one user's, or all."""

    user: str | None = None


class Revoking(msgspec.Struct):
    """A token by the beginning of its signature."""

    signature: str


async def _user(call: Call, user_id: str) -> UserRow:
    row = await users.find_user(call.reader, user_id)
    if row is None:
        raise targets.not_found(user_id)
    return row


@method("/internal/user/list", access=Access.OPERATOR, body=Nothing)
async def list_users(call: Call, target: None, body: Nothing) -> dict[str, Any]:
    """Return every account, with the number of its tokens."""
    counts: dict[str, int] = {}
    for token in await users.find_tokens(call.reader):
        counts[str(token.user)] = counts.get(str(token.user), 0) + 1
    return {
        "users": [
            {
                "id": row.id,
                "first": row.first,
                "last": row.last,
                "email": row.email,
                "billTo": row.bill_to,
                "created": row.created_ms,
                "disabled": bool(row.settings.get(DISABLED)),
                "tokens": counts.get(row.id, 0),
            }
            for row in await users.find_users(call.reader)
        ]
    }


@method("/internal/user/setDisabled", access=Access.OPERATOR, body=Disabling, mode=Mode.WRITE)
async def set_disabled(call: Call, target: None, body: Disabling) -> dict[str, Any]:
    """End all tokens of a user and let them have no new ones, or let them again."""
    row = await _user(call, body.user)
    ended = []
    if body.disabled:
        ended = [token for token in await users.find_tokens(call.reader) if token.user == row.id]
        for token in ended:
            _require_own_end(token)
        async with moments.of(call) as moment:
            for token in ended:
                await revoking.revoke(moment, token, "was revoked: the account is disabled")
    settings = {**row.settings, DISABLED: body.disabled}
    await users.update_user(call.tx, row.id, {"settings": settings})
    return {"id": row.id, "tokens": len(ended)}


def _require_own_end(token: TokenRow) -> None:
    """Raise InvalidState for a token that is the data folder's own."""
    if token.expires_ms is None:
        raise errors.InvalidState(
            f"{token.user} has a token that belongs to the data folder ({token.label}) and never"
            " ends"
        )


@method("/internal/token/mint", access=Access.OPERATOR, body=Minting, mode=Mode.WRITE)
async def mint_token(call: Call, target: None, body: Minting) -> dict[str, Any]:
    """Return a new token of a user, whoever that is."""
    row = await _user(call, body.user)
    if row.settings.get(DISABLED):
        raise errors.InvalidState(
            f"{row.id} is disabled; first: plasmid user enable {row.handle}"
        )  # fmt: skip
    if not 0 < body.lifetime_ms <= LONGEST_MS:
        raise errors.InvalidInput(
            f'Expected key "lifetime_ms" of input to be in range [1, {LONGEST_MS}]'
        )
    if len(body.label) > LABEL_MAX:
        raise errors.InvalidInput(
            f'Expected key "label" of input to be a string of at most {LABEL_MAX} characters'
        )
    token = tokens.mint(call.platform.randomness(32))
    expires_ms = call.now_ms + body.lifetime_ms
    await tokens.add(
        call.tx,
        token,
        Actor(user=row.id),
        now_ms=call.now_ms,
        expires_ms=expires_ms,
        label=body.label,
    )
    return {"access_token": token, "user_id": row.id, "expires": expires_ms}


@method("/internal/token/list", access=Access.OPERATOR, body=Tokens)
async def list_tokens(call: Call, target: None, body: Tokens) -> dict[str, Any]:
    """Return what is known of users' tokens, which is not the tokens themselves."""
    if body.user is not None:
        await _user(call, body.user)
    return {
        "tokens": [
            {
                "signature": row.hash,
                "user": row.user,
                "label": row.label,
                "created": row.created_ms,
                "expires": row.expires_ms,
            }
            for row in await users.find_tokens(call.reader)
            if body.user in (None, row.user)
        ]
    }


@method("/internal/token/revoke", access=Access.OPERATOR, body=Revoking, mode=Mode.WRITE)
async def revoke_token(call: Call, target: None, body: Revoking) -> dict[str, Any]:
    """End a token of a user, and the jobs that were launched with it."""
    if len(body.signature) < PREFIX_MIN:
        raise errors.InvalidInput(
            f'Expected key "signature" of input to be at least {PREFIX_MIN} digits of one'
        )
    known = await users.find_tokens(call.reader)
    found = [row for row in known if row.hash.startswith(body.signature)]
    if len(found) != 1:
        count = "no token" if not found else f"{len(found)} tokens"
        raise errors.ResourceNotFound(f"{count} has a signature that begins {body.signature}")
    _require_own_end(found[0])
    async with moments.of(call) as moment:
        jobs = await revoking.revoke(moment, found[0], "was revoked")
    return {"signature": found[0].hash, "user": found[0].user, "jobs": jobs}


@method("/internal/org/list", access=Access.OPERATOR, body=Nothing)
async def list_orgs(call: Call, target: None, body: Nothing) -> dict[str, Any]:
    """Return every org, with the number of its members."""
    return {
        "orgs": [
            {
                "id": row.id,
                "name": row.name,
                "created": row.created_ms,
                "members": len(await org_rows.find_members(call.reader, row.id)),
            }
            for row in await org_rows.find_all(call.reader)
        ]
    }
