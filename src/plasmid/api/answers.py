"""The forms of answers on the wire."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec

from plasmid.domain import errors

# So many entries of a list are encoded in one go: between two of these others have their turn.
ENTRIES: Final = 2_000


async def encode(answer: Any) -> bytes:
    """Return the body of an answer; a hash may hold lists of any length."""
    if not isinstance(answer, dict) or not any(map(_is_long, answer.values())):
        return msgspec.json.encode(answer)
    fields = []
    for name, value in answer.items():
        content = await _encode_list(value) if _is_long(value) else msgspec.json.encode(value)
        fields.append(msgspec.json.encode(name) + b":" + content)
    return b"{" + b",".join(fields) + b"}"


def _is_long(value: object) -> bool:
    return isinstance(value, list) and len(value) > ENTRIES


async def _encode_list(entries: list[Any]) -> bytes:
    pieces = []
    for start in range(0, len(entries), ENTRIES):
        pieces.append(msgspec.json.encode(entries[start : start + ENTRIES])[1:-1])
        await asyncio.sleep(0)
    return b"[" + b",".join(pieces) + b"]"


def encode_error(error: errors.ApiError) -> bytes:
    """Return the body of an error (contract A.6)."""
    described: dict[str, Any] = {"type": error.type, "message": error.message}
    if error.details is not None:
        described["details"] = error.details
    return msgspec.json.encode({"error": described})
