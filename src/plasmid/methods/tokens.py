"""Tokens of users: made for a time and a scope, and ended (contract J.3).

The routes are those of the platform's authorisation server, at the address of the API.
"""

from __future__ import annotations

from typing import Any, Final

from plasmid.auth import tokens
from plasmid.domain import access, errors, ids, keys
from plasmid.domain.access import Actor, Level, Scope
from plasmid.executions import revoking
from plasmid.metadata import users
from plasmid.metadata.database import Transaction
from plasmid.methods import moments
from plasmid.methods.call import Call
from plasmid.methods.registry import Mode, method
from plasmid.methods.targets import Access

DAY_MS: Final = 24 * 3600 * 1000
USUAL_MS: Final = 30 * DAY_MS
LONGEST_MS: Final = 365 * DAY_MS
LABEL_MAX: Final = 255
_NOT_LOGGED_IN: Final = (
    "There are no passwords here: use a token that you have (the operator's shell gets one by"
    ' eval "$(plasmid env)"), as the password of dx login if need be, to make others'
)


@method("/system/newAuthToken", access=Access.ANYONE, mode=Mode.OWN)
async def new_auth_token(call: Call, target: None, body: dict[str, Any]) -> dict[str, Any]:
    """Return a new token of the calling user, which can do no more and lives no longer.

    Who shows no token may log in by username and password, which is a token of that user.
    """
    caller = call.actor
    if caller.user is None:
        caller = await _logged_in(call, body)
    _refuse_jobs(caller)
    scope = access.narrowed(_scope(body), caller.scope)
    is_whole = scope is None or access.level_in(scope, access.EVERY) is Level.ADMINISTER
    made = Actor(
        user=caller.user,
        scope=scope,
        may_create_projects=caller.may_create_projects and is_whole,
        may_develop=caller.may_develop and is_whole,
    )
    label = body.get("label") or ""
    if not isinstance(label, str) or len(label) > LABEL_MAX:
        raise errors.InvalidInput(
            f'Expected key "label" of input to be a string of at most {LABEL_MAX} characters'
        )
    expires_ms = _expires_ms(call, caller, body)
    token = tokens.mint(call.platform.randomness(32))
    # not before: whoever fails to log in, again and again, takes no turn of those who write
    async with call.platform.database.transaction() as tx:
        if await users.find_token(tx, caller.token_hash) is None:
            raise errors.InvalidAuthentication("The token has ended")
        await _require_room(tx, caller, call.platform.limits.user_tokens_max)
        await tokens.add(tx, token, made, now_ms=call.now_ms, expires_ms=expires_ms, label=label)
    return {
        "access_token": token,
        "token_type": "Bearer",
        "token_signature": tokens.hash_of(token),
        "user_id": caller.user,
        "expires": expires_ms,
    }


async def _logged_in(call: Call, body: dict[str, Any]) -> Actor:
    """Return who a username and a token as the password stand for."""
    username, password = keys.string(body, "username"), keys.string(body, "password")
    if username is None or password is None:
        raise errors.InvalidAuthentication(_NOT_LOGGED_IN)
    user = f"user-{username.strip().lower().removeprefix('user-')}"
    login = call.platform.logins.begin(call.request.client_ip, user, call.now_ms)
    found = await tokens.find_actor(call.reader, tokens.hash_of(password.strip()), call.now_ms)
    if found is None or found.user != user or found.context_hash:
        raise errors.UsernameOrPasswordError(
            "The username and the password do not belong together; the password is a token of"
            " that user"
        )
    call.platform.logins.succeeded(login)
    return found


async def _require_room(tx: Transaction, caller: Actor, tokens_max: int) -> None:
    """Raise PermissionDenied if a user has as many tokens as one may have; the operator may any."""
    if caller.is_operator or not tokens_max:
        return
    if await users.count_tokens(tx, str(caller.user)) >= tokens_max:
        raise errors.PermissionDenied(
            f"{caller.user} has {tokens_max} tokens, which is the most: end some (dx logout ends"
            " that of a login), or ask the operator: plasmid token list, plasmid token revoke"
        )


def _refuse_jobs(caller: Actor) -> None:
    if caller.job is not None:
        raise errors.PermissionDenied("A job may neither make nor end tokens of its user")


def _expires_ms(call: Call, caller: Actor, body: dict[str, Any]) -> int:
    latest_ms = call.now_ms + LONGEST_MS
    asked_ms = keys.integer(body, "expires", minimum=call.now_ms + 1, maximum=latest_ms)
    expires_ms = call.now_ms + USUAL_MS if asked_ms is None else asked_ms
    return min(expires_ms, caller.expires_ms or expires_ms)


def _scope(body: dict[str, Any]) -> Scope | None:
    given = keys.hash_of(body, "scope")
    if given is None:
        return None
    projects = keys.hash_of(given, "projects", "scope")
    if projects is None:
        raise errors.InvalidInput('Expected key "scope" of input to have property "projects"')
    for name in projects:
        if name != access.EVERY and not ids.is_id(name, "project"):
            raise errors.InvalidInput(
                f'Expected key "scope.projects" of input to name projects, or "*"; got "{name}"'
            )
    return {name: Level.parse(level, f"scope.projects.{name}") for name, level in projects.items()}


@method("/system/destroyAuthToken", access=Access.LOGIN, mode=Mode.WRITE)
async def destroy_auth_token(call: Call, target: None, body: dict[str, Any]) -> dict[str, Any]:
    """End a token of the calling user, and the jobs that were launched with it."""
    caller = call.actor
    _refuse_jobs(caller)
    signature = keys.require(body, "tokenSignature")
    if not isinstance(signature, str):
        raise errors.InvalidInput('Expected key "tokenSignature" of input to be a string')
    if caller.scope is not None and signature != caller.token_hash:
        raise errors.PermissionDenied("A token with a scope may end no token but itself")
    row = await users.find_token(call.tx, signature)
    if row is None or row.user != caller.user or row.job is not None:
        return {}  # whose it is, or that it is none, is nobody else's business
    if row.expires_ms is None:
        raise errors.InvalidState(
            "This token belongs to the data folder and never ends; tokens made by"
            " /system/newAuthToken can be ended"
        )
    async with moments.of(call) as moment:
        await revoking.revoke(moment, row, "was revoked")
    return {}
