"""Another user than the first one of a server."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path

from plasmid.auth import tokens
from plasmid.domain.access import Actor
from plasmid.metadata.database import Database
from plasmid.metadata.rows import UserRow


def add_user(data: Path, user: str) -> str:
    """Add a user by the database, as there is no command for it yet, and return a token."""
    token = secrets.token_hex(32)

    async def add() -> None:
        database = Database(data / "plasmid.sqlite")
        try:
            async with database.transaction() as tx:
                handle = user.removeprefix("user-")
                row = UserRow(
                    id=user,
                    handle=handle,
                    first=handle,
                    last="",
                    email=f"{handle}@localhost",
                    bill_to=user,
                    ssh_public_key=None,
                    created_ms=1,
                )
                await tx.add(row)
                actor = Actor(user=user)
                await tokens.add(tx, token, actor, now_ms=1, expires_ms=None, label="a test's")
        finally:
            database.close()

    asyncio.run(add())
    return token
