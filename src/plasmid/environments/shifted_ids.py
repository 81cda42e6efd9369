"""Store a root file system with shifted ids: what is owned by root inside is by 300000 outside.

Sandboxes then use it as it is (the overlay copies nothing), and no file in it belongs to a real
user of the host.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

SHIFT: Final = 300000
COUNT: Final = 65536

_CAPABILITY: Final = "security.capability"
_REVISION_MASK: Final = 0xFF000000
_REVISION_2: Final = 0x02000000
_REVISION_3: Final = 0x03000000


def shift_tree(root: str) -> int:
    """Add 300000 to the ids of everything under a folder; returns how many entries it holds.

    Safe to run again: what is shifted already (also by another hard link to it) is left alone.
    Modes with their setuid bits and file capabilities are kept; a chown alone clears both.
    """
    count = 0
    for path in _entries(root):
        _shift(path)
        count += 1
    return count


def _entries(root: str) -> Iterator[str]:
    yield root
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            yield f"{folder}/{name}"


def _shift(path: str) -> None:
    status = os.lstat(path)
    uid, gid = shifted(status.st_uid), shifted(status.st_gid)
    if (uid, gid) == (status.st_uid, status.st_gid):
        return
    is_file = stat.S_ISREG(status.st_mode)
    capability = read_capability(path) if is_file else None
    os.chown(path, uid, gid, follow_symlinks=False)
    if is_file and status.st_mode & (stat.S_ISUID | stat.S_ISGID):
        Path(path).chmod(stat.S_IMODE(status.st_mode))
    if capability is not None:
        os.setxattr(path, _CAPABILITY, namespaced_capability(capability), follow_symlinks=False)


def shifted(number: int) -> int:
    """Return an id of a root file system as it is stored; a stored one stays."""
    return number + SHIFT if number < COUNT else number


def unshifted(number: int) -> int:
    """Return the id inside of a stored one."""
    return number - SHIFT if SHIFT <= number < SHIFT + COUNT else number


def read_capability(path: str) -> bytes | None:
    """Return the file capability of a path, if it has one."""
    try:
        return os.getxattr(path, _CAPABILITY, follow_symlinks=False)
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.ENOTSUP):
            return None
        raise


def namespaced_capability(value: bytes) -> bytes:
    """Return a file capability that holds in the user namespace whose root is 300000.

    Revision 2 (capabilities(7)) only holds in the host's; revision 3 names its root.
    """
    (magic,) = struct.unpack_from("<I", value)
    if magic & _REVISION_MASK != _REVISION_2:
        return value
    header = struct.pack("<I", (magic & ~_REVISION_MASK) | _REVISION_3)
    return header + value[4:20] + struct.pack("<I", SHIFT)


def plain_capability(value: bytes) -> bytes:
    """Return a stored file capability as it is outside any user namespace (revision 2)."""
    (magic,) = struct.unpack_from("<I", value)
    if magic & _REVISION_MASK != _REVISION_3:
        return value
    return struct.pack("<I", (magic & ~_REVISION_MASK) | _REVISION_2) + value[4:20]


def is_shifted(root: str) -> bool:
    """Say whether a root file system is stored with shifted ids."""
    with contextlib.suppress(FileNotFoundError):
        return os.lstat(root).st_uid >= SHIFT
    return False
