"""What a store of bytes must do.

Promises every store keeps (tests/contract/test_blobs.py):
- `write` returns only when the bytes are durable; if it raises, nothing of them is left.
- A name that `write` returned is read back bit by bit until it is removed.
- Memory stays flat whatever the size.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

import msgspec


class NoSpaceError(Exception):
    """The disk that holds the bytes is full; nothing was kept."""


class MissingBlobError(Exception):
    """No blob has this name: the store was damaged from outside."""


class Written(msgspec.Struct, frozen=True):
    """What was written: its name in the store, size in bytes and MD5 in hex."""

    name: str
    size_bytes: int
    md5: str


class Kept(msgspec.Struct, frozen=True):
    """Bytes in the store: `is_half` is what a broken write has left; times are the store's own."""

    name: str
    size_bytes: int
    changed_ms: int
    is_half: bool = False


class BlobStore(Protocol):
    """Keeps bytes under names that it makes up."""

    async def write(self, name: str, content: AsyncIterator[bytes], bytes_max: int) -> Written:
        """Keep the bytes of a stream; raises TooLargeError past `bytes_max`, NoSpaceError."""
        ...

    def read(self, name: str, start: int, length: int) -> AsyncIterator[bytes]:
        """Give `length` bytes from `start`; raises MissingBlobError."""
        ...

    async def copy(self, name: str, copied: str) -> None:
        """Keep the same bytes under another name as well; raises MissingBlobError, NoSpaceError."""
        ...

    async def remove(self, name: str) -> None:
        """Forget a blob; a name that is not there is no error."""
        ...

    async def sweep(self) -> None:
        """Remove what broken writes of an earlier process have left."""
        ...

    async def find(self, name: str) -> Kept | None:
        """Return what there is under a name, or None."""
        ...

    def every(self) -> AsyncIterator[Kept]:
        """Give all that is in the store, what is half-written too."""
        ...

    async def remove_half(self, name: str) -> None:
        """Remove what a broken write has left under a name; not there is no error."""
        ...


class TooLargeError(Exception):
    """The stream holds more bytes than were announced."""
