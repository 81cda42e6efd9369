"""The form of an error on the wire."""

from __future__ import annotations

from typing import Any

import msgspec

from plasmid.domain import errors


def encode_error(error: errors.ApiError) -> bytes:
    """Return the body of an error (contract A.6)."""
    described: dict[str, Any] = {"type": error.type, "message": error.message}
    if error.details is not None:
        described["details"] = error.details
    return msgspec.json.encode({"error": described})
