"""Tokens: 256 random bits, kept only as their SHA-256."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

import msgspec

from plasmid.domain import errors
from plasmid.domain.access import ANONYMOUS, Actor
from plasmid.metadata import users
from plasmid.metadata.database import Reader, Transaction
from plasmid.metadata.rows import TokenRow

CACHED_MAX: Final = 10_000


def hash_of(token: str) -> str:
    """Return what is kept of a token (also the client's `token_signature`: contract J.3)."""
    return hashlib.sha256(token.encode()).hexdigest()


def mint(randomness: bytes) -> str:
    """Return a new token from 32 random bytes."""
    return randomness.hex()


async def add(
    tx: Transaction, token: str, actor: Actor, *, now_ms: int, expires_ms: int | None, label: str
) -> None:
    """Let a token stand for an actor until it expires or is removed."""
    await tx.add(
        TokenRow(
            hash=hash_of(token),
            user=actor.user,
            actor=msgspec.json.encode(actor).decode(),
            job=actor.job,
            label=label,
            created_ms=now_ms,
            expires_ms=expires_ms,
        )
    )


class Authenticator:
    """Finds who a token stands for; remembers tokens until something about tokens changes."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Actor, int | None]] = {}

    def hear(self, topic: str) -> None:
        """Listen to what is committed: a token that was removed is dead from then on."""
        if topic == users.TOKENS_TOPIC:
            self.forget()

    def forget(self) -> None:
        """Read tokens anew: one was removed."""
        self._known.clear()

    async def actor_of(self, reader: Reader, authorization: str | None, now_ms: int) -> Actor:
        """Return the caller; raises InvalidAuthentication for a token that is not good."""
        if not authorization:
            return ANONYMOUS
        scheme, _, shown = authorization.partition(" ")
        token, _, secret = shown.partition(".")
        if scheme.lower() != "bearer" or not token:
            raise errors.InvalidAuthentication("The Authorization header must be: Bearer <token>")
        known = self._known.get(token)
        if known is None:
            known = await self._read(reader, token)
        actor, expires_ms = known
        if expires_ms is not None and expires_ms <= now_ms:
            raise errors.InvalidAuthentication("The token has expired")
        if secret or actor.context_hash:
            _require_context(actor, secret)
        return actor

    async def _read(self, reader: Reader, token: str) -> tuple[Actor, int | None]:
        row = await users.find_token(reader, hash_of(token))
        if row is None:
            raise errors.InvalidAuthentication("The token could not be found")
        stored = msgspec.json.decode(row.actor, type=Actor)
        actor = msgspec.structs.replace(stored, token_hash=row.hash, expires_ms=row.expires_ms)
        if len(self._known) >= CACHED_MAX:
            self._known.clear()
        self._known[token] = (actor, row.expires_ms)
        return self._known[token]


async def find_actor(reader: Reader, token_hash: str, now_ms: int) -> Actor | None:
    """Return who a token stands for by what is kept of it; None if it has ended by now."""
    row = await users.find_token(reader, token_hash)
    if row is None or (row.expires_ms is not None and row.expires_ms <= now_ms):
        return None
    stored = msgspec.json.decode(row.actor, type=Actor)
    return msgspec.structs.replace(stored, token_hash=row.hash, expires_ms=row.expires_ms)


def _require_context(actor: Actor, secret: str) -> None:
    """Raise unless a call comes from where its token is good (singleContext, contract F.2).

    Whoever serves a job's sandbox adds the secret of that job to the tokens of its calls.
    """
    shown = hash_of(secret) if secret else ""
    if not hmac.compare_digest(shown, actor.context_hash):
        raise errors.InvalidAuthentication(
            "The token is that of a job with singleContext, and good only inside that job"
            if actor.context_hash
            else "A job with singleContext may use no token but its own"
        )
