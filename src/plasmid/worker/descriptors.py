"""Reads and writes a descriptor of a pipe or a terminal without waiting.

Not asyncio's own pipe transports: uvloop's read also from what they are to write to, which takes a
terminal's output away, and close a descriptor twice.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Final

READ_BYTES: Final = 65_536
_FULL_BYTES: Final = 131_072
_ROOM_BYTES: Final = 32_768


class Reading:
    """Hands on what can be read; `ended` is set once there will be no more."""

    def __init__(self, descriptor: int, take: Callable[[bytes], None]) -> None:
        os.set_blocking(descriptor, False)
        self.ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._descriptor = descriptor
        self._take = take
        self.resume()

    def pause(self) -> None:
        """Read nothing until `resume`."""
        if not self.ended.is_set():
            self._loop.remove_reader(self._descriptor)

    def resume(self) -> None:
        """Read again."""
        if not self.ended.is_set():
            self._loop.add_reader(self._descriptor, self._read)

    def close(self) -> None:
        """Read no more; nothing happens if that is so already."""
        if not self.ended.is_set():
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self.ended.set()

    def _read(self) -> None:
        try:
            content = os.read(self._descriptor, READ_BYTES)
        except BlockingIOError:
            return
        except OSError:  # of a terminal that nobody holds any more
            content = b""
        if content:
            self._take(content)
        else:
            self.close()


class Writing:
    """Writes what it is given as soon as that can be, and says when that is too much."""

    def __init__(
        self, descriptor: int, *, on_full: Callable[[], None], on_room: Callable[[], None]
    ) -> None:
        os.set_blocking(descriptor, False)
        self._loop = asyncio.get_running_loop()
        self._descriptor = descriptor
        self._on_full = on_full
        self._on_room = on_room
        self._waiting = bytearray()
        self._is_full = False
        self._is_ending = False
        self._is_closed = False

    def write(self, content: bytes) -> None:
        """Write; what comes after the end is dropped."""
        if self._is_closed or self._is_ending or not content:
            return
        self._waiting += content
        if len(self._waiting) == len(content):
            self._loop.add_writer(self._descriptor, self._flush)
            self._flush()
        if len(self._waiting) > _FULL_BYTES and not self._is_full:
            self._is_full = True
            self._on_full()

    def end(self) -> None:
        """Close it once all is written."""
        self._is_ending = True
        if not self._waiting:
            self.close()

    def close(self) -> None:
        """Write no more; nothing happens if that is so already."""
        if self._is_closed:
            return
        self._is_closed = True
        self._loop.remove_writer(self._descriptor)
        self._waiting.clear()
        os.close(self._descriptor)
        self._say_room()

    def _flush(self) -> None:
        try:
            count = os.write(self._descriptor, self._waiting)
        except BlockingIOError:
            return
        except OSError:  # nobody reads any more
            self.close()
            return
        del self._waiting[:count]
        if not self._waiting:
            self._loop.remove_writer(self._descriptor)
            if self._is_ending:
                self.close()
        if len(self._waiting) < _ROOM_BYTES:
            self._say_room()

    def _say_room(self) -> None:
        if self._is_full:
            self._is_full = False
            self._on_room()
