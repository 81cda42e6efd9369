"""I5: every closed file has its bytes, and every byte is some file's."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from typing import Final

from plasmid.blobs.store import BlobStore, Kept, MissingBlobError
from plasmid.integrity.finding import Finding, Repair, Workshop
from plasmid.metadata import inspection
from plasmid.metadata.database import Reader
from plasmid.metadata.rows import ObjectRow, PartRow

_RESTORE: Final = "restore it from a backup, or remove the file"


async def check_closed(
    reader: Reader, blobs: BlobStore, *, is_deep: bool
) -> AsyncIterator[Finding]:
    """Yield the closed files whose bytes are not all there; a deep check reads all of them."""
    async for row, parts in inspection.every_closed_file(reader):
        async for detail in _wrong_with(row, parts, blobs, is_deep=is_deep):
            yield Finding(invariant="I5", subject=row.id, detail=detail)


async def _wrong_with(
    row: ObjectRow, parts: Sequence[PartRow], blobs: BlobStore, *, is_deep: bool
) -> AsyncIterator[str]:
    if row.size_bytes != sum(part.size_bytes for part in parts):
        yield f"is closed with {row.size_bytes} bytes, its parts have another sum; {_RESTORE}"
    for part in parts:
        if part.state != "complete" or part.blob is None:
            yield f"is closed, but its part {part.part} was never uploaded; {_RESTORE}"
            continue
        kept = await blobs.find(part.blob)
        if kept is None:
            yield f"the bytes of its part {part.part} ({part.blob}) are gone; {_RESTORE}"
        elif kept.size_bytes != part.size_bytes:
            yield (
                f"its part {part.part} ({part.blob}) has {kept.size_bytes} bytes,"
                f" not {part.size_bytes}; {_RESTORE}"
            )
        elif is_deep and await _md5(blobs, part) != part.md5:
            yield f"the bytes of its part {part.part} ({part.blob}) have changed; {_RESTORE}"


async def _md5(blobs: BlobStore, part: PartRow) -> str:
    summed = hashlib.md5(usedforsecurity=False)
    try:
        async for piece in blobs.read(part.blob or "", 0, part.size_bytes):
            summed.update(piece)
    except MissingBlobError:
        return ""
    return summed.hexdigest()


async def check_kept(
    reader: Reader, kept: Sequence[Kept], *, before_ms: int
) -> AsyncIterator[Finding]:
    """Yield the bytes that no part names and that have not changed since a time.

    `kept` must have been listed before the reader's picture was taken.
    """
    named = await inspection.find_blob_names(reader)
    for blob in kept:
        if blob.changed_ms > before_ms:
            continue
        if blob.is_half:
            yield Finding(
                invariant="I5",
                subject=blob.name,
                detail="is left of an upload that broke off; repair removes it",
                repair=_drop_half(blob.name),
            )
        elif blob.name not in named:
            yield Finding(
                invariant="I5",
                subject=blob.name,
                detail="are bytes of no file; repair removes them",
                repair=_drop(blob.name),
            )


def _drop(name: str) -> Repair:
    async def repair(workshop: Workshop) -> None:
        if not await inspection.has_blob(workshop.database.reader, name):
            await workshop.blobs.remove(name)

    return repair


def _drop_half(name: str) -> Repair:
    async def repair(workshop: Workshop) -> None:
        await workshop.blobs.remove_half(name)

    return repair
