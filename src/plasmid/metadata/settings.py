"""Single values that belong to the platform, such as the key that signs links."""

from __future__ import annotations

import sqlalchemy as sa

from plasmid.metadata import schema
from plasmid.metadata.database import Prepared, Reader, Transaction, param

_GET = Prepared(sa.select(schema.settings.c.value).where(schema.settings.c.key == param("k")))
_PUT = Prepared(sa.insert(schema.settings))


async def find_setting(reader: Reader, key: str) -> str | None:
    """Return a setting's value, or None."""
    row = await reader.row(_GET, {"k": key})
    return None if row is None else str(row[0])


async def add_setting(tx: Transaction, key: str, value: str) -> None:
    """Keep a new setting."""
    await tx.execute(_PUT, {"key": key, "value": value})
