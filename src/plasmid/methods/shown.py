"""A job as a describe shows it: one that waits with what has come of its references (F.5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from plasmid.domain import keys
from plasmid.executions import references
from plasmid.metadata.database import Reader
from plasmid.metadata.rows import JobRow
from plasmid.methods.wire import fields

_SETTLED: Final = ("input", "output")


async def as_known(reader: Reader, row: JobRow, options: Mapping[str, Any]) -> JobRow:
    """Return a job with the values of its sources that are done, if the options ask for any."""
    if not keys.boolean(dict(options), "io", default=True):
        return row
    if not fields.selected(options, _SETTLED) & set(_SETTLED):
        return row
    return await references.shown(reader, row)
