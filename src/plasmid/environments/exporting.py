"""Writes a base image to a file that another site can import: a tar file with ids as inside."""

from __future__ import annotations

import contextlib
import gzip
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

from plasmid.environments import shifted_ids, unpacking

_GZIP_LEVEL: Final = 3


def write(root: Path, target: Path) -> None:
    """Write a stored root file system to a .tar or .tar.gz file; raises OSError.

    The file is there when all of it is.
    """
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with _opened(unfinished, is_packed=target.name.endswith("gz")) as stream:
            _write(root, stream)
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


@contextlib.contextmanager
def _opened(path: Path, *, is_packed: bool) -> Iterator[IO[bytes]]:
    with path.open("wb") as file:
        if not is_packed:
            yield file
            return
        with gzip.GzipFile("", "wb", _GZIP_LEVEL, file, mtime=0) as packed:
            yield packed  # type: ignore[misc]


def _write(root: Path, stream: IO[bytes]) -> None:
    def as_inside(member: tarfile.TarInfo) -> tarfile.TarInfo:
        for field in ("uid", "gid"):
            stored = getattr(member, field)
            setattr(member, field, shifted_ids.unshifted(stored))
        member.uname = member.gname = ""
        if member.isreg() and (found := _capability(root / member.name)):
            member.pax_headers = {unpacking.PAX_CAPABILITY: found}
        return member

    with tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        archive.add(root, arcname=".", filter=as_inside)


def _capability(path: Path) -> str:
    value = shifted_ids.read_capability(str(path))
    if value is None:
        return ""
    return shifted_ids.plain_capability(value).decode("utf-8", "surrogateescape")
