"""The bytes of files: PUT of a part, GET of a file or a range of it (contract D.3-D.5).

Nothing is held in memory but the piece in flight.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Final

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse

from plasmid.api import answers
from plasmid.blobs.store import NoSpaceError, TooLargeError
from plasmid.domain import errors, ids, object_states, upload_limits
from plasmid.metadata import objects
from plasmid.metadata.rows import ObjectRow, PartRow
from plasmid.methods import signing
from plasmid.methods.call import Platform
from plasmid.methods.signing import DownloadClaim, UploadClaim

_RANGE: Final = re.compile(r"bytes=(\d*)-(\d*)", re.IGNORECASE)
_log = structlog.get_logger()


class Transfers:
    """Takes and gives bytes for whoever has a signed URL."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def put(self, request: Request) -> Response:
        """Keep a part; 400 if its size or MD5 is not what was announced."""
        platform = self._platform
        key, path = platform.signing_key, request.url.path
        claim = signing.verify(key, path, UploadClaim, platform.now_ms())
        await self._require_open(claim.file)
        name = ids.mint("blob", platform.randomness(15))
        limit = upload_limits.AWS.maximum_part_size
        allowed = limit if claim.size_bytes is None else claim.size_bytes
        try:
            written = await platform.blobs.write(name, request.stream(), allowed)
        except TooLargeError as error:
            return _bad_part(f"Part {claim.part} of {claim.file} has {error}")
        except NoSpaceError as error:
            raise errors.ServiceUnavailable(str(error)) from error
        except ClientDisconnect:
            return _bad_part(f"Part {claim.part} of {claim.file} broke off; upload it again")
        if claim.size_bytes is not None and written.size_bytes != claim.size_bytes:
            await platform.blobs.remove(name)
            return _bad_part(
                f"Part {claim.part} of {claim.file} has {written.size_bytes} bytes,"
                f" not the {claim.size_bytes} that were announced; upload it again"
            )
        if claim.md5 is not None and written.md5 != claim.md5:
            await platform.blobs.remove(name)
            return _bad_part(
                f"Part {claim.part} of {claim.file} arrived with MD5 {written.md5},"
                f" not {claim.md5}; upload it again"
            )
        await self._keep(
            PartRow(claim.file, claim.part, "complete", written.size_bytes, written.md5, name)
        )
        return Response(status_code=200)

    async def _require_open(self, file_id: str) -> ObjectRow:
        row = await objects.find_object(self._platform.database.reader, file_id)
        if row is None:
            raise errors.ResourceNotFound(f"The entity {file_id} could not be found")
        object_states.require_open(row.id, row.state)
        return row

    async def _keep(self, part: PartRow) -> None:
        """Make a part's bytes the file's, if the file is still open; else drop them."""
        replaced = None
        try:
            async with self._platform.database.transaction() as tx:
                row = await objects.find_object(tx, part.object)
                if row is None:
                    raise errors.ResourceNotFound(f"The entity {part.object} could not be found")
                object_states.require_open(row.id, row.state)
                replaced = await objects.find_part(tx, part.object, part.part)
                await objects.put_part(tx, part)
        except errors.ApiError:
            await self._platform.blobs.remove(part.blob or "")
            raise
        if replaced is not None and replaced.blob:
            await self._platform.blobs.remove(replaced.blob)

    async def get(self, request: Request) -> Response:
        """Give a file, or the range of it that the Range header names."""
        platform = self._platform
        path = request.url.path
        claim = signing.verify(platform.signing_key, path, DownloadClaim, platform.now_ms())
        row = await objects.find_object(platform.database.reader, claim.file)
        if row is None or row.size_bytes is None:
            raise errors.ResourceNotFound(f"The entity {claim.file} could not be found")
        start, end, status = _range_of(request.headers.get("range"), row.size_bytes)
        headers = {
            "accept-ranges": "bytes",
            "content-length": str(end - start),
            "content-type": row.media or "application/octet-stream",
            "content-disposition": "attachment",
            "x-content-type-options": "nosniff",
        }
        if status == 206:
            headers["content-range"] = f"bytes {start}-{end - 1}/{row.size_bytes}"
        if request.method == "HEAD":
            return Response(status_code=status, headers=headers)
        parts = await objects.find_parts(platform.database.reader, claim.file)
        return StreamingResponse(self._bytes(parts, start, end), status, headers)

    async def _bytes(self, parts: list[PartRow], start: int, end: int) -> AsyncIterator[bytes]:
        position = 0
        for part in parts:
            first = max(start - position, 0)
            length = min(end - position, part.size_bytes) - first
            if length > 0 and part.blob:
                async for piece in self._platform.blobs.read(part.blob, first, length):
                    yield piece
            position += part.size_bytes


def _range_of(header: str | None, size_bytes: int) -> tuple[int, int, int]:
    """Return (start, end, status) of what is asked for; end is not included."""
    found = _RANGE.fullmatch(header.strip()) if header else None
    first, last = found.groups() if found else ("", "")
    if not (first or last) or (first and last and int(last) < int(first)):
        return 0, size_bytes, 200
    start = int(first) if first else max(size_bytes - int(last), 0)
    end = min(int(last) + 1, size_bytes) if first and last else size_bytes
    if start >= end:
        raise HTTPException(416, headers={"content-range": f"bytes */{size_bytes}"})
    return start, end, 206


def _bad_part(message: str) -> Response:
    error = errors.InvalidInput(message)
    return Response(answers.encode_error(error), 400, media_type="application/json")


async def refuse(request: Request, error: Exception) -> Response:
    """Answer an ApiError raised outside the methods."""
    if not isinstance(error, errors.ApiError):
        raise error
    content = answers.encode_error(error)
    return Response(content, error.status, media_type="application/json")


async def no_such_page(request: Request, error: Exception) -> Response:
    """Answer a path that is nothing: JSON as everywhere (contract A.1.3)."""
    missing = errors.ResourceNotFound(f"There is nothing at {request.url.path}")
    return await refuse(request, missing)
