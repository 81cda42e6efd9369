"""A captured try as one file, to be replayed where its server is not: a tar file, packed by gzip.

`capture.json` comes first and says what follows: the bytes of each file as `files/ID`. There is no
token in it. Whoever reads one believes nothing of it: only what `capture.json` announces is taken,
of that size and with that digest; links, folders and headers that need more than their block are
refused.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import shutil
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from plasmid.cli.replay_described import BAD_INPUT
from plasmid.cli.trouble import CommandError
from plasmid.domain import errors, replays
from plasmid.domain.replays import Capture

CAPTURE: Final = "capture.json"
CAPTURE_BYTES_MAX: Final = 1 << 28
READ_BYTES: Final = 1 << 20
_FILES: Final = "files/"
_LEVEL: Final = 1  # reads and alignments are packed already


def write(capture: Capture, contents: Mapping[str, Path], target: Path) -> None:
    """Write a bundle; raises CommandError if that cannot be done, and leaves nothing then."""
    half = target.with_name(f".{target.name}.half")
    try:
        opened = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with (
            os.fdopen(opened, "wb") as sink,
            gzip.GzipFile("", "wb", _LEVEL, sink, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w|", format=tarfile.GNU_FORMAT) as tar,
        ):
            told = msgspec.json.format(msgspec.json.encode(capture))
            tar.addfile(_entry(CAPTURE, len(told)), io.BytesIO(told))
            for item in capture.objects:
                if item.has_bytes:
                    with contents[item.id].open("rb") as source:
                        tar.addfile(_entry(_FILES + item.id, item.size_bytes), source)
        half.rename(target)
    except OSError as error:
        half.unlink(missing_ok=True)
        raise CommandError(
            f"cannot write {target}: {error.strerror}; name another file", BAD_INPUT
        ) from error


def _entry(name: str, size_bytes: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size_bytes, 0o600
    return entry


def read(bundle: Path, folder: Path) -> tuple[Capture, dict[str, Path]]:
    """Return what a bundle holds, and its files in a folder by their ids.

    Raises CommandError that says what is wrong with it.
    """
    try:
        with bundle.open("rb") as raw, gzip.GzipFile(fileobj=raw) as source:
            capture = _capture(source)
            _require_room(capture, folder)
            contents = _contents(source, capture, folder)
    except (errors.InvalidInput, _BadBundleError) as error:
        raise CommandError(f"{bundle} is no bundle of a replay: {error}", BAD_INPUT) from error
    except (gzip.BadGzipFile, EOFError, zlib.error, tarfile.TarError) as error:
        raise CommandError(
            f"{bundle} is no whole bundle of a replay ({error}): copy it again", BAD_INPUT
        ) from error
    except OSError as error:
        where = error.filename or bundle
        raise CommandError(f"cannot read {where}: {error.strerror}", BAD_INPUT) from error
    return capture, contents


class _BadBundleError(Exception):
    """What is wrong with a bundle."""


def _capture(source: gzip.GzipFile) -> Capture:
    entry = _next(source)
    if entry is None or entry.name != CAPTURE or entry.size > CAPTURE_BYTES_MAX:
        raise _BadBundleError(f"it does not begin with {CAPTURE}")
    try:
        capture = msgspec.json.decode(_exactly(source, entry.size), type=Capture)
    except (msgspec.DecodeError, RecursionError) as error:
        raise _BadBundleError(f"{CAPTURE}: {error}") from error
    _skip_padding(source, entry.size)
    replays.check(capture)
    return capture


def _require_room(capture: Capture, folder: Path) -> None:
    wanted = sum(item.size_bytes for item in capture.objects if item.has_bytes)
    free = shutil.disk_usage(folder).free
    if wanted * 2 > free:  # here, and on the platform that is thrown away
        raise _BadBundleError(
            f"its files are {wanted} bytes, which the disk of {folder} has no room for twice"
        )


def _contents(source: gzip.GzipFile, capture: Capture, folder: Path) -> dict[str, Path]:
    wanted = {_FILES + item.id: item for item in capture.objects if item.has_bytes}
    found: dict[str, Path] = {}
    while (entry := _next(source)) is not None:
        item = wanted.pop(entry.name, None)
        if item is None:
            raise _BadBundleError(f"{entry.name[:80]!r} is not announced, or comes twice")
        if entry.size != item.size_bytes:
            raise _BadBundleError(
                f"{entry.name} has {entry.size} bytes, and {item.size_bytes} are announced"
            )
        found[item.id] = folder / item.id
        digest = _copy(source, found[item.id], entry.size)
        if digest != item.sha256:
            raise _BadBundleError(f"{entry.name} is damaged: its SHA-256 is {digest}")
        _skip_padding(source, entry.size)
    if wanted:
        raise _BadBundleError(f"{min(wanted)} is missing")
    if len(source.read(READ_BYTES)) == READ_BYTES:
        raise _BadBundleError("something follows its end")
    return found


def _next(source: gzip.GzipFile) -> tarfile.TarInfo | None:
    """Return the next entry; None at the end. Nothing is read but its one block."""
    block = _exactly(source, tarfile.BLOCKSIZE)
    if not block.strip(b"\0"):
        return None
    try:
        entry = tarfile.TarInfo.frombuf(block, "ascii", "strict")
    except UnicodeDecodeError as error:
        raise _BadBundleError("an entry's header is no ASCII text") from error
    if entry.type != tarfile.REGTYPE or entry.size < 0:
        raise _BadBundleError(f"{entry.name[:80]!r} is no plain file")
    return entry


def _copy(source: gzip.GzipFile, target: Path, size_bytes: int) -> str:
    digest, left = hashlib.sha256(), size_bytes
    with target.open("wb") as sink:
        while left:
            piece = _exactly(source, min(left, READ_BYTES))
            digest.update(piece)
            sink.write(piece)
            left -= len(piece)
    return digest.hexdigest()


def _skip_padding(source: gzip.GzipFile, size_bytes: int) -> None:
    _exactly(source, -size_bytes % tarfile.BLOCKSIZE)


def _exactly(source: gzip.GzipFile, length: int) -> bytes:
    content = source.read(length)
    if len(content) != length:
        raise EOFError("it ends too early")
    return content
