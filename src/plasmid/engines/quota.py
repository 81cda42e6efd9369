"""Project quotas: a limit on what is below one folder, kept by the file system that it is on.

For machines without loop devices (see disk.py). It needs a file system with project quotas, such as
xfs or ext4 mounted with `prjquota`, and Linux 5.14. Whether there is one is not concluded from
mount options but tried: a limit is set on a small folder and must bind.

A sandbox's project is a number made from its name, so that nothing has to be remembered.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import hashlib
import os
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

BYTES_PER_NAME: Final = 16384
_GET_XATTR: Final = 0x801C581F
_SET_XATTR: Final = 0x401C5820
_XATTR: Final = struct.Struct("<5I8x")
_INHERIT: Final = 0x200
_QUOTACTL_FD: Final = 443  # the same number on every architecture
_SET_QUOTA: Final = 0x800008 << 8 | 2
_LIMITS: Final = struct.Struct("<8QI4x")
_VALID: Final = 1 | 4
_FIRST_PROJECT: Final = 0x50000000
_CAP_VERSION: Final = 0x20080522
_CAP_SYS_RESOURCE: Final = 1 << 24
_PROBE_BYTES: Final = 1 << 20
_libc: Final = ctypes.CDLL(None, use_errno=True)


def project_of(name: str) -> int:
    """Return the project of a sandbox: far above those that people number by hand."""
    digest = hashlib.sha256(name.encode()).digest()
    return _FIRST_PROJECT | (int.from_bytes(digest[:4], "big") >> 4)


def limit(folder: Path, project: int, size_bytes: int) -> None:
    """Give a folder that was just made to a project and limit it; raises OSError if that fails."""
    with _opened(folder) as descriptor:
        flags, extent, count, _, cow = _XATTR.unpack(
            fcntl.ioctl(descriptor, _GET_XATTR, bytes(_XATTR.size))
        )
        given = _XATTR.pack(flags | _INHERIT, extent, count, project, cow)
        fcntl.ioctl(descriptor, _SET_XATTR, given)
        _set_limits(descriptor, project, size_bytes)


def release(folder: Path, project: int) -> None:
    """Lift the limit of a project on the file system of a folder; none there is fine."""
    with contextlib.suppress(OSError), _opened(folder) as descriptor:
        _set_limits(descriptor, project, 0)


def binds(folder: Path) -> bool:
    """Say whether a limit that is set below this folder holds."""
    project = project_of(f"probe of {os.getpid()}")
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix="quota-") as probe:
            limit(Path(probe), project, _PROBE_BYTES)
            try:
                with without_override(), Path(probe, "file").open("wb", buffering=0) as file:
                    file.writelines(bytes(_PROBE_BYTES) for _ in range(4))
                    os.fsync(file)
            except OSError as error:
                return error.errno in (errno.EDQUOT, errno.ENOSPC)
            finally:
                release(folder, project)
    except OSError:
        return False
    return False


@contextlib.contextmanager
def without_override() -> Iterator[None]:
    """Let quotas bind what this thread does in the block, and overlays that it mounts in it.

    Who has CAP_SYS_RESOURCE may exceed the quotas of ext4, and an overlay writes as who mounted it.
    """
    header = struct.pack("<Ii", _CAP_VERSION, 0)
    before = ctypes.create_string_buffer(24)
    if _libc.capget(header, before):
        raise OSError(ctypes.get_errno(), "capget")
    low_effective, *rest = struct.unpack("<6I", before.raw)
    reduced = struct.pack("<6I", low_effective & ~_CAP_SYS_RESOURCE, *rest)
    _libc.capset(header, reduced)
    try:
        yield
    finally:
        _libc.capset(header, before.raw)


def _set_limits(descriptor: int, project: int, size_bytes: int) -> None:
    blocks, names = size_bytes // 1024, size_bytes // BYTES_PER_NAME
    limits = _LIMITS.pack(blocks, blocks, 0, names, names, 0, 0, 0, _VALID)
    if _libc.syscall(_QUOTACTL_FD, descriptor, _SET_QUOTA, project, limits):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), "quotactl_fd")


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
