"""Folders that a sandbox has filled, at rest: what is in them, and taking things out of them.

Names and links in them are whatever the sandbox's root made, so nothing is ever followed.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import stat
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_STAMP: Final = struct.Struct("=IIIqqqq")
# What overlay notes about where a file came from; it differs in a copy and means nothing there.
_ORIGINS: Final = (".overlay.origin", ".overlay.impure", ".overlay.uuid")
NONE: Final = b"-"


def manifest(tree: Path) -> bytes:
    """Return one record for every entry of a tree, each ended by a NUL.

    A record is: SHA-256 of content or link target, mode, uid, gid, size or device, mtime in ns,
    SHA-256 of the extended attributes, path; separated by spaces, `-` where there is none.
    """
    top = os.fsencode(tree)
    return b"".join(_record(top, path, status) for path, status in _entries(top))


def stamp(tree: Path) -> str:
    """Return a digest of what `stat` says about every entry: cheap, and any change changes it."""
    made = hashlib.sha256()
    for path, status in _entries(os.fsencode(tree)):
        made.update(path)
        made.update(
            _STAMP.pack(
                status.st_mode,
                status.st_uid,
                status.st_gid,
                status.st_size,
                status.st_mtime_ns,
                status.st_ctime_ns,
                status.st_rdev,
            )
        )
    return made.hexdigest()


def size_bytes(tree: Path) -> int:
    """Return the room that a tree takes on its disk."""
    seen: set[int] = set()
    total = 0
    for _, status in _entries(os.fsencode(tree)):
        if status.st_ino not in seen:
            seen.add(status.st_ino)
            total += status.st_blocks * 512
    return total


def first_difference(wanted: bytes, found: bytes) -> str:
    """Return the path of the first entry that differs between two manifests."""
    old, new = set(wanted.split(b"\0")), set(found.split(b"\0"))
    changed = sorted({_path_of(record) for record in old ^ new})
    return "/" + os.fsdecode(changed[0]) if changed else "/"


def take_out(tree: Path, path: str) -> bool:
    """Delete one path of a tree, a folder with all in it; say whether it was there.

    `path` is as the sandbox saw it. Where one of its folders is a link, there is nothing there.
    """
    with _parent(tree, path) as (folder, name):
        if folder is None:
            return False
        try:
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                shutil.rmtree(name, dir_fd=folder)
            else:
                os.unlink(name, dir_fd=folder)
        except (FileNotFoundError, PermissionError):
            return False
    return True


def empty(tree: Path, path: str) -> None:
    """Delete what is in a folder of a tree, and not the folder; absent is fine."""
    with _opened_folder(tree, path) as folder:
        names = [] if folder is None else os.listdir(folder)  # noqa: PTH208 - of a descriptor
    for name in names:
        take_out(tree, f"{path}/{name}")


def take_out_if_empty(tree: Path, path: str) -> None:
    """Delete a folder of a tree if nothing is in it."""
    with _parent(tree, path) as (folder, name):
        if folder is not None:
            with contextlib.suppress(OSError):
                os.rmdir(name, dir_fd=folder)


def take_out_same(tree: Path, files: Mapping[str, bytes]) -> None:
    """Delete those of the files whose content is still the given one."""
    for path, content in files.items():
        if _content(tree, path, len(content) + 1) == content:
            take_out(tree, path)


def has(tree: Path, path: str) -> bool:
    """Say whether there is anything at a path of a tree, be it only the mark of its deletion."""
    with _parent(tree, path) as (folder, name):
        if folder is None:
            return False
        with contextlib.suppress(FileNotFoundError):
            os.stat(name, dir_fd=folder, follow_symlinks=False)
            return True
    return False


def _entries(top: bytes) -> Iterator[tuple[bytes, os.stat_result]]:
    """Give (path below the top, its status) of all there is, always in the same order."""
    yield b".", os.lstat(top)
    waiting = [b""]
    while waiting:
        below = waiting.pop()
        with os.scandir(top + b"/" + below if below else top) as listing:
            found = sorted(listing, key=lambda entry: entry.name)
        for entry in found:
            path = below + b"/" + entry.name if below else entry.name
            status = entry.stat(follow_symlinks=False)
            yield path, status
            if stat.S_ISDIR(status.st_mode):
                waiting.append(path)


def _record(top: bytes, path: bytes, status: os.stat_result) -> bytes:
    whole = top if path == b"." else top + b"/" + path
    mode = status.st_mode
    content, size = NONE, status.st_size
    if stat.S_ISREG(mode):
        content = _digest_of(whole)
    elif stat.S_ISLNK(mode):
        target = os.readlink(whole)  # noqa: PTH115 - of bytes
        content = hashlib.sha256(target).hexdigest().encode()
    elif stat.S_ISDIR(mode):
        size = 0
    elif stat.S_ISBLK(mode) or stat.S_ISCHR(mode):
        size = status.st_rdev
    return b"%b %o %d %d %d %d %b %b\0" % (
        content,
        mode,
        status.st_uid,
        status.st_gid,
        size,
        status.st_mtime_ns,
        _attributes(whole),
        path,
    )


def _digest_of(path: bytes) -> bytes:
    """Return the digest of a file; of one that only another id of ours may read, `-`."""
    try:
        opened = os.open(path, _FILE)
    except PermissionError:
        return NONE
    with os.fdopen(opened, "rb", buffering=0) as source:
        return hashlib.file_digest(source, "sha256").hexdigest().encode()


def _attributes(path: bytes) -> bytes:
    try:
        names = sorted(os.listxattr(path, follow_symlinks=False))
        kept = [name for name in names if not name.endswith(_ORIGINS)]
        if not kept:
            return NONE
        made = hashlib.sha256()
        for name in kept:
            value = os.getxattr(path, name, follow_symlinks=False)
            made.update(b"%b %d %b" % (os.fsencode(name), len(value), value))
    except OSError as error:
        if error.errno in (errno.ENOTSUP, errno.EACCES, errno.EPERM):
            return NONE
        raise
    return made.hexdigest().encode()


def _path_of(record: bytes) -> bytes:
    return record.split(b" ", 7)[-1]


def _content(tree: Path, path: str, bytes_max: int) -> bytes | None:
    """Return the beginning of a regular file of a tree; None if it is none."""
    with _parent(tree, path) as (folder, name):
        if folder is None:
            return None
        try:
            opened = os.open(name, _FILE, dir_fd=folder)
        except OSError:
            return None
        with os.fdopen(opened, "rb") as source:
            if not stat.S_ISREG(os.fstat(opened).st_mode):
                return None
            return source.read(bytes_max)


@contextlib.contextmanager
def _parent(tree: Path, path: str) -> Iterator[tuple[int | None, str]]:
    """Open the folder that a path is in; gives (None, name) if there is none."""
    above, _, name = path.strip("/").rpartition("/")
    with _opened_folder(tree, above) as folder:
        yield folder, name


@contextlib.contextmanager
def _opened_folder(tree: Path, path: str) -> Iterator[int | None]:
    current: int | None = os.open(tree, _FOLDER)
    try:
        for part in path.split("/"):
            if not part or current is None:
                continue
            try:
                inner = os.open(part, _FOLDER, dir_fd=current)
            except OSError:
                inner = None
            os.close(current)
            current = inner
        yield current
    finally:
        if current is not None:
            os.close(current)
