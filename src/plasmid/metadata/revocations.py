"""What the end of a token has to find: tokens whose time is over, and the trees of one."""

from __future__ import annotations

import sqlalchemy as sa

from plasmid.metadata import jobs, schema
from plasmid.metadata.database import Prepared, Reader, param
from plasmid.metadata.rows import TokenRow

_j, _t = schema.jobs.c, schema.tokens.c
_EXPIRED = Prepared(sa.select(schema.tokens).where(_t.expires_ms <= param("now"), _t.job.is_(None)))
_ROOTS = Prepared(
    sa.select(_j.root_execution)
    .where(
        _j.state.in_(jobs.UNFINISHED),
        _j.launched_by == param("u"),
        # every job of a tree names the token of its root
        sa.func.json_extract(_j.settings, "$.launchToken") == param("t"),
    )
    .group_by(_j.root_execution)
    .order_by(sa.func.min(_j.created_ms), _j.root_execution)
)


async def find_expired(reader: Reader, now_ms: int) -> list[TokenRow]:
    """Return the tokens of users whose time is over."""
    return await reader.structs(TokenRow, _EXPIRED, {"now": now_ms})


async def find_roots(reader: Reader, user: str, token_hash: str) -> list[str]:
    """Return the unfinished root executions that a user has launched with a token."""
    return [str(row[0]) for row in await reader.rows(_ROOTS, {"u": user, "t": token_hash})]
