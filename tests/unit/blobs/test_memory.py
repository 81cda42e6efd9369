"""The store in memory can be told to be full."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from plasmid.blobs.memory import MemoryStore
from plasmid.blobs.store import NoSpaceError


async def stream() -> AsyncIterator[bytes]:
    yield b"x"


async def test_a_full_store_refuses_until_it_is_not() -> None:
    store = MemoryStore()
    store.is_full = True
    with pytest.raises(NoSpaceError):
        await store.write("a", stream(), 1)
    store.is_full = False
    assert (await store.write("a", stream(), 1)).size_bytes == 1
