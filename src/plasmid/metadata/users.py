"""Users, tokens and nonces."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from plasmid.metadata import rows, schema
from plasmid.metadata.database import Prepared, Reader, Transaction, param
from plasmid.metadata.rows import NonceRow, TokenRow, UserRow

TOKENS_TOPIC = "tokens"
"""Told when tokens were removed, after the commit: until then they are good."""

MADE_BY = "madeBy"
"""Which user has made an account, in its settings; the first user's says nothing."""

_USER = Prepared(sa.select(schema.users).where(schema.users.c.id == param("k")))
_USERS = Prepared(sa.select(schema.users).order_by(schema.users.c.id))
_USER_BY_EMAIL = Prepared(
    sa.select(schema.users)
    .where(sa.func.lower(schema.users.c.email) == param("k"))
    .order_by(schema.users.c.created_ms)
    .limit(1)
)
_MADE_BY = Prepared(
    sa.select(sa.func.count()).where(
        sa.func.json_extract(schema.users.c.settings, f"$.{MADE_BY}") == param("k")
    )
)
_TOKEN = Prepared(sa.select(schema.tokens).where(schema.tokens.c.hash == param("k")))
_TOKENS = Prepared(
    sa.select(schema.tokens)
    .where(schema.tokens.c.job.is_(None), schema.tokens.c.user.is_not(None))
    .order_by(schema.tokens.c.user, schema.tokens.c.created_ms, schema.tokens.c.hash)
)
_TOKENS_OF = Prepared(
    sa.select(sa.func.count()).where(
        schema.tokens.c.user == param("k"), schema.tokens.c.job.is_(None)
    )
)
_DROP_TOKEN = Prepared(sa.delete(schema.tokens).where(schema.tokens.c.hash == param("k")))
_DROP_JOB_TOKENS = Prepared(sa.delete(schema.tokens).where(schema.tokens.c.job == param("k")))
_NONCE = Prepared(
    sa.select(schema.nonces).where(
        schema.nonces.c.user == param("u"),
        schema.nonces.c.route == param("r"),
        schema.nonces.c.nonce == param("n"),
    )
)
_DROP_NONCES = Prepared(sa.delete(schema.nonces).where(schema.nonces.c.created_ms < param("t")))


async def find_user(reader: Reader, user_id: str) -> UserRow | None:
    """Return a user, or None."""
    return await reader.struct(UserRow, _USER, {"k": user_id})


async def find_users(reader: Reader) -> list[UserRow]:
    """Return all users, by id."""
    return await reader.structs(UserRow, _USERS)


async def find_user_by_email(reader: Reader, email: str) -> UserRow | None:
    """Return the user with an address, or None; a mailbox is the same in capital letters."""
    return await reader.struct(UserRow, _USER_BY_EMAIL, {"k": email.lower()})


async def count_made_by(reader: Reader, user_id: str) -> int:
    """Return how many accounts a user has made."""
    found = await reader.row(_MADE_BY, {"k": user_id})
    return int(found[0]) if found is not None else 0


async def update_user(tx: Transaction, user_id: str, changes: dict[str, Any]) -> None:
    """Change some fields of a user."""
    values = rows.changes(UserRow, changes)
    await tx.update(schema.users, {"id": user_id}, values)


async def find_token(reader: Reader, token_hash: str) -> TokenRow | None:
    """Return what is known of a token, or None."""
    return await reader.struct(TokenRow, _TOKEN, {"k": token_hash})


async def find_tokens(reader: Reader) -> list[TokenRow]:
    """Return the tokens of users, not those of jobs, by user and age."""
    return await reader.structs(TokenRow, _TOKENS)


async def count_tokens(reader: Reader, user_id: str) -> int:
    """Return how many tokens a user has, not counting those of their jobs."""
    found = await reader.row(_TOKENS_OF, {"k": user_id})
    return int(found[0]) if found is not None else 0


async def remove_token(tx: Transaction, token_hash: str) -> bool:
    """Forget a token; say whether it was known."""
    tx.notify(TOKENS_TOPIC)
    return await tx.execute(_DROP_TOKEN, {"k": token_hash}) > 0


async def remove_job_tokens(tx: Transaction, job_id: str) -> None:
    """Forget every token of a job."""
    tx.notify(TOKENS_TOPIC)
    await tx.execute(_DROP_JOB_TOKENS, {"k": job_id})


async def find_nonce(reader: Reader, user: str, route: str, nonce: str) -> NonceRow | None:
    """Return the answer given to a call with this nonce, or None."""
    return await reader.struct(NonceRow, _NONCE, {"u": user, "r": route, "n": nonce})


async def remove_nonces_before(tx: Transaction, time_ms: int) -> None:
    """Forget nonces that are old enough (contract A.9: at least one hour)."""
    await tx.execute(_DROP_NONCES, {"t": time_ms})
