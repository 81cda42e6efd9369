"""Bytes in memory: a test double that can be told to be full."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

from plasmid.blobs.store import Kept, MissingBlobError, NoSpaceError, TooLargeError, Written


class MemoryStore:
    """A store that forgets everything with the process; `is_full` makes every write fail."""

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}
        self.is_full = False

    async def write(self, name: str, content: AsyncIterator[bytes], bytes_max: int) -> Written:
        """Keep the bytes of a stream."""
        kept = bytearray()
        async for piece in content:
            kept += piece
            if len(kept) > bytes_max:
                raise TooLargeError(f"more than the {bytes_max} bytes that were announced")
        if self.is_full:
            raise NoSpaceError("the store was told to be full")
        self._blobs[name] = bytes(kept)
        md5 = hashlib.md5(kept, usedforsecurity=False).hexdigest()
        return Written(name, len(kept), md5)

    async def read(self, name: str, start: int, length: int) -> AsyncIterator[bytes]:
        """Give a range of a blob."""
        if name not in self._blobs or start + length > len(self._blobs[name]):
            raise MissingBlobError(f"the bytes of {name} are not in the store")
        yield self._blobs[name][start : start + length]

    async def copy(self, name: str, copied: str) -> None:
        """Keep the same bytes under another name as well."""
        if name not in self._blobs:
            raise MissingBlobError(f"the bytes of {name} are not in the store")
        self._blobs[copied] = self._blobs[name]

    async def remove(self, name: str) -> None:
        """Forget a blob."""
        self._blobs.pop(name, None)

    async def sweep(self) -> None:
        """Nothing is ever left half-written."""

    async def find(self, name: str) -> Kept | None:
        """Return what there is under a name, or None."""
        content = self._blobs.get(name)
        return None if content is None else Kept(name, len(content), 0)

    async def every(self) -> AsyncIterator[Kept]:
        """Give all that is in the store."""
        for name, content in sorted(self._blobs.items()):
            yield Kept(name, len(content), 0)

    async def remove_half(self, name: str) -> None:
        """Nothing is ever left half-written."""
