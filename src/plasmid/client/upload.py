"""Put a local file on the platform, part by part, with flat memory."""

from __future__ import annotations

import asyncio
import mimetypes
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from plasmid.client.api import ApiClient

PART_BYTES: Final = 1 << 30
READ_BYTES: Final = 1 << 20


async def upload(client: ApiClient, path: Path, *, project: str, folder: str, name: str) -> str:
    """Return the id of the closed file; raises OSError, ApiError or Unreachable."""
    media, _ = mimetypes.guess_type(name)
    described = {"project": project, "folder": folder, "parents": True, "name": name}
    if media:
        described["media"] = media
    file_id = str((await client.call("/file/new", described))["id"])
    await fill(client, file_id, path)
    return file_id


async def fill(client: ApiClient, file_id: str, path: Path) -> None:
    """Put a local file's bytes into an open file and close it; raises as `upload` does."""
    size_bytes = path.stat().st_size
    starts = range(0, max(size_bytes, 1), PART_BYTES)
    for index, start in enumerate(starts, 1):
        part_bytes = min(PART_BYTES, size_bytes - start)
        place = await client.call(f"/{file_id}/upload", {"index": index, "size": part_bytes})
        await client.put(str(place["url"]), _read(path, start, part_bytes), part_bytes)
    await client.call(f"/{file_id}/close", {})


async def _read(path: Path, start: int, length: int) -> AsyncIterator[bytes]:
    with path.open("rb", buffering=0) as file:
        file.seek(start)
        while length > 0:
            piece = await asyncio.to_thread(file.read, min(READ_BYTES, length))
            if not piece:
                raise OSError(f"{path} became shorter while it was read")
            length -= len(piece)
            yield piece
