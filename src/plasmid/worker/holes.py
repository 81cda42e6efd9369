"""Gives the disk blocks of a file's beginning back, while the file keeps its length and offsets."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from typing import Final

_PUNCH_HOLE: Final = 0x2
_KEEP_SIZE: Final = 0x1
_LIBC = ctypes.CDLL(None, use_errno=True)
# Less is not worth the call.
STEP_BYTES: Final = 8 << 20


class Beginning:
    """What of a file's beginning is still on disk; `margin_bytes` before the mark stay there."""

    def __init__(self, margin_bytes: int) -> None:
        self._margin_bytes = margin_bytes
        self._freed = 0

    def free(self, file: int, below: int) -> Callable[[], None] | None:
        """Return what frees a file below an offset, in any thread; None if that is little.

        The file is open for writing, and may be closed before. Where it cannot be done the file
        stays as it is.
        """
        offset, end = self._freed, below - self._margin_bytes
        if end - offset < STEP_BYTES:
            return None
        self._freed = end
        own = os.dup(file)  # a number that was closed may be another file's by then

        def punch() -> None:
            try:
                start, length = ctypes.c_int64(offset), ctypes.c_int64(end - offset)
                _LIBC.fallocate(own, _PUNCH_HOLE | _KEEP_SIZE, start, length)
            finally:
                os.close(own)

        return punch
