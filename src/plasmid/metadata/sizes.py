"""How much is stored."""

from __future__ import annotations

import sqlalchemy as sa

from plasmid.metadata import schema
from plasmid.metadata.database import Prepared, Reader, param

_STORED = Prepared(
    sa.select(sa.func.coalesce(sa.func.sum(schema.objects.c.size_bytes), 0))
    .select_from(schema.placements)
    .join(schema.objects, schema.objects.c.id == schema.placements.c.object)
    .where(schema.placements.c.container == param("k"))
)


async def stored_bytes(reader: Reader, container_id: str) -> int:
    """Return the size of all files of a container; of a large one as it was some minutes ago."""
    row = await reader.aside.late_row(_STORED, {"k": container_id})
    return int(row[0]) if row else 0
