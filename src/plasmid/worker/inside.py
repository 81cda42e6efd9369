"""Reads files out of a sandbox's root, where every name may be a trap.

The job was root there: a path may hold links to the host's files, pipes that never answer, devices
or endless content. So every folder is opened without following links, only a regular file is read,
and only up to a limit.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

FILE_BYTES_MAX: Final = 16 * 1024 * 1024

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class UnreadableError(Exception):
    """A file in the sandbox is there and cannot be taken; the message names it and says why."""


def read(root: Path, path: str, *, bytes_max: int = FILE_BYTES_MAX) -> bytes | None:
    """Return a file's content, or None if there is no such file.

    `path` is absolute as the job sees it. Raises UnreadableError for a link, anything that is no
    regular file, and a file above the limit.
    """
    *folders, name = [part for part in path.split("/") if part]
    try:
        opened = _open_below(root, folders, name)
    except FileNotFoundError:
        return None
    except OSError as error:
        # ELOOP is a link; ENXIO and ENOTDIR come from pipes and files in a folder's place.
        raise UnreadableError(f"{path} is a link or no plain file: write it in place") from error
    try:
        found = os.fstat(opened)
        if not stat.S_ISREG(found.st_mode):
            raise UnreadableError(f"{path} is no regular file: write it as one")
        with os.fdopen(os.dup(opened), "rb") as source:
            content = source.read(bytes_max + 1)
    finally:
        os.close(opened)
    if len(content) > bytes_max:
        raise UnreadableError(
            f"{path} is larger than {bytes_max // (1024 * 1024)} MiB: keep data in files"
        )
    return content


def read_text(root: Path, path: str, *, bytes_max: int = FILE_BYTES_MAX) -> str | None:
    """Return a file's content as text, or None if there is no such file; otherwise as `read`."""
    content = read(root, path, bytes_max=bytes_max)
    if content is None:
        return None
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise UnreadableError(f"{path} is not UTF-8 text (byte {error.start})") from error


def _open_below(root: Path, folders: list[str], name: str) -> int:
    """Return a descriptor of a file below a folder, with no link followed on the way."""
    with folder_below(root, folders) as folder:
        return os.open(name, _FILE, dir_fd=folder)


@contextlib.contextmanager
def folder_below(root: Path, folders: Iterable[str]) -> Iterator[int]:
    """Give a descriptor of a folder below another for the time of the block.

    Raises OSError if there is none, or a link or anything else in its place or on the way.
    """
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in folders:
            inner = os.open(part, _FOLDER, dir_fd=folder)
            os.close(folder)
            folder = inner
        yield folder
    finally:
        os.close(folder)
