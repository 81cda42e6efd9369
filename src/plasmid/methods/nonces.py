"""Nonces: a call that is made again gives the answer it gave (contract A.9)."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any, Final

import msgspec

from plasmid.domain import errors
from plasmid.metadata import users
from plasmid.metadata.database import AlreadyThereError
from plasmid.metadata.rows import NonceRow
from plasmid.methods.call import Call

BYTES_MAX: Final = 128
# Of a longer input a hash holds others up.
LONG_BYTES: Final = 1 << 20
REUSED: Final = "Nonce was reused for an earlier API request that had a different input"


class Nonce(msgspec.Struct, frozen=True):
    """What makes a call the same as an earlier one: user, route, nonce; and its input."""

    user: str
    route: str
    value: str
    input_hash: str


async def read(call: Call, route: str, given: Any, body: bytes) -> Nonce | None:
    """Return the nonce of a call, or None if it has none; raises InvalidInput."""
    value = given.get("nonce") if isinstance(given, dict) else getattr(given, "nonce", None)
    if value is None:
        return None
    if not isinstance(value, str):
        raise errors.InvalidInput('Expected key "nonce" of input to be a string')
    if len(value.encode()) > BYTES_MAX:
        raise errors.InvalidInput(f'Expected key "nonce" of input to be at most {BYTES_MAX} bytes')
    return Nonce(call.user, route, value, await _input_hash(body))


async def _input_hash(body: bytes) -> str:
    """Return the hash of a call's input as parsed JSON, its nonce left out (contract M.11)."""
    value = msgspec.json.decode(body)
    value.pop("nonce", None)
    if len(body) > LONG_BYTES:
        await asyncio.sleep(0)  # each step takes its time then
    content = msgspec.json.encode(value, order="deterministic")
    if len(body) > LONG_BYTES:
        return (await asyncio.to_thread(hashlib.sha256, content)).hexdigest()
    return hashlib.sha256(content).hexdigest()


async def earlier_answer(call: Call, nonce: Nonce) -> Any:
    """Return the answer given before, or None; raises InvalidInput if the input was another."""
    kept = await users.find_nonce(call.reader, nonce.user, nonce.route, nonce.value)
    if kept is None:
        return None
    if kept.input_hash != nonce.input_hash:
        raise errors.InvalidInput(REUSED)
    return msgspec.json.decode(kept.response)


async def keep(call: Call, nonce: Nonce, answer: Any) -> None:
    """Keep the answer in the call's own transaction."""
    row = NonceRow(
        user=nonce.user,
        route=nonce.route,
        nonce=nonce.value,
        input_hash=nonce.input_hash,
        response=msgspec.json.encode(answer).decode(),
        created_ms=call.now_ms,
    )
    try:
        await call.tx.add(row)
    except AlreadyThereError as error:
        raise errors.InvalidInput(REUSED) from error
