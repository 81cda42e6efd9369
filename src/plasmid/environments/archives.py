"""What a file holds that is to become an image: a root file system, or an OCI or docker archive.

An archive's layers are given as streams of plain tar, each checked against the digest by which its
manifest names it. Nothing is unpacked here.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import hashlib
import json
import lzma
import platform
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final, Protocol, cast

import msgspec

_MAGIC: Final = {
    b"\x1f\x8b": "gzip",
    b"\xfd7zXZ\x00": "xz",
    b"BZh": "bzip2",
    b"\x28\xb5\x2f\xfd": "zstd",
}
_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}
_METADATA_BYTES_MAX: Final = 4 << 20
_BLOCK_BYTES: Final = 1 << 20


class ArchiveError(Exception):
    """A file is no image, or a damaged one; the message says what is wrong with it."""


class Stream(Protocol):
    """What bytes are read from; an empty answer is the end."""

    def read(self, size: int = ..., /) -> bytes:
        """Return at most so many of the next bytes."""
        ...


class Layer(msgspec.Struct, frozen=True):
    """One layer of an archive: the member that holds it, and a digest.

    The digest is of the member (`sha256:…`), or of what it unpacks to if `is_plain`.
    """

    member: str
    digest: str
    is_plain: bool


def layers(file: Path) -> list[Layer]:
    """Return the layers of an OCI or docker archive, the lowest first; none for a root file system.

    The file is a plain tar file. Raises ArchiveError.
    """
    with _opened(file) as archive:
        names = _names(archive)
        if "oci-layout" in names and "index.json" in names:
            return _oci_layers(archive, names)
        if "manifest.json" in names:
            return _docker_layers(archive, names)
    return []


def _names(archive: tarfile.TarFile) -> dict[str, tarfile.TarInfo]:
    return {member.name.removeprefix("./"): member for member in archive if member.isreg()}


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(file, mode="r:") as archive:
            yield archive
    except tarfile.TarError as error:
        raise ArchiveError(f"it is no tar archive, or a truncated one ({error})") from error


def _json(archive: tarfile.TarFile, names: dict[str, tarfile.TarInfo], name: str) -> Any:
    member = names.get(name)
    if member is None or member.size > _METADATA_BYTES_MAX:
        raise ArchiveError(f"it has no {name}")
    content = archive.extractfile(member)
    text = content.read() if content else b""
    if name.startswith("blobs/sha256/") and hashlib.sha256(text).hexdigest() != name[13:]:
        raise ArchiveError(f"its {name} is not what its name says: the file is damaged")
    try:
        return json.loads(text)
    except ValueError as error:
        raise ArchiveError(f"its {name} is no JSON ({error})") from error


def _blob(digest: object) -> str:
    kind, _, number = str(digest).partition(":")
    if kind != "sha256" or len(number) != 64 or not set(number) <= set("0123456789abcdef"):
        raise ArchiveError(f"it names something by {digest!r}, which is no sha256 digest")
    return f"blobs/sha256/{number}"


def _oci_layers(archive: tarfile.TarFile, names: dict[str, tarfile.TarInfo]) -> list[Layer]:
    try:
        found = _json(archive, names, "index.json")
        while "manifests" in found:
            found = _json(archive, names, _blob(_chosen(found["manifests"])["digest"]))
        config = _json(archive, names, _blob(found["config"]["digest"]))
        _check_machine(config)
        digests = [layer["digest"] for layer in found["layers"]]
    except (KeyError, TypeError) as error:
        raise ArchiveError(f"its manifest lacks {error}") from error
    made = [Layer(_blob(digest), digest, is_plain=False) for digest in digests]
    for layer in made:
        if layer.member not in names:
            raise ArchiveError(f"it has no {layer.member}, which is one of its layers")
    return made


def _chosen(manifests: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the manifest of an index that is for this machine."""
    wanted = _ARCHITECTURES.get(platform.machine(), platform.machine())
    fits = [
        entry
        for entry in manifests
        if entry.get("platform", {}).get("architecture", wanted) == wanted
        and entry.get("platform", {}).get("os", "linux") == "linux"
    ]
    if len(fits) != 1:
        raise ArchiveError(f"it holds {len(fits)} images for {wanted}: there must be one")
    return fits[0]


def _check_machine(config: dict[str, Any]) -> None:
    wanted = _ARCHITECTURES.get(platform.machine(), platform.machine())
    told = config.get("architecture", wanted)
    if told != wanted or config.get("os", "linux") != "linux":
        raise ArchiveError(f"it is for {config.get('os')} on {told}, this machine is {wanted}")


def _docker_layers(archive: tarfile.TarFile, names: dict[str, tarfile.TarInfo]) -> list[Layer]:
    images = _json(archive, names, "manifest.json")
    try:
        if len(images) != 1:
            raise ArchiveError(f"it holds {len(images)} images: there must be one")
        config = _json(archive, names, str(images[0]["Config"]))
        _check_machine(config)
        members = [str(name) for name in images[0]["Layers"]]
        digests = [str(digest) for digest in config["rootfs"]["diff_ids"]]
    except (KeyError, TypeError) as error:
        raise ArchiveError(f"its manifest lacks {error}") from error
    if len(members) != len(digests):
        raise ArchiveError(f"it has {len(members)} layers, its configuration {len(digests)}")
    return [
        Layer(_target(names, member), digest, is_plain=True)
        for member, digest in zip(members, digests, strict=True)
    ]


def _target(names: dict[str, tarfile.TarInfo], member: str) -> str:
    if member not in names:
        raise ArchiveError(f"it has no {member}, which is one of its layers")
    return member


@contextlib.contextmanager
def opened_layer(file: Path, layer: Layer) -> Iterator[Stream]:
    """Give a layer as a stream of plain tar; it is checked when it was read to its end."""
    with _opened(file) as archive:
        member = archive.getmember(layer.member)
        stored = archive.extractfile(member)
        if stored is None:
            raise ArchiveError(f"its {layer.member} is no file")
        below: Stream = stored if layer.is_plain else _Checked(stored, layer.digest)
        with plain(below) as stream:
            yield _Checked(stream, layer.digest) if layer.is_plain else stream
        if isinstance(below, _Checked):
            below.drain()


class _Checked:
    """Passes a stream on; at its end, what was read must have the digest."""

    def __init__(self, stream: Stream, digest: str) -> None:
        self._stream = stream
        self._wanted = digest
        self._found = hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes; raises ArchiveError at the end of a changed stream."""
        found = self._stream.read(size)
        self._found.update(found)
        if not found and size and self._wanted != f"sha256:{self._found.hexdigest()}":
            raise ArchiveError(f"its layer {self._wanted[:19]}… is damaged: its digest differs")
        return found

    def drain(self) -> None:
        """Read what is left."""
        while self.read(_BLOCK_BYTES):
            pass


def is_compressed(file: Path) -> bool:
    """Say whether a file is packed by a program that plain() knows."""
    with file.open("rb") as stream:
        return stream.read(8).startswith(tuple(_MAGIC))


@contextlib.contextmanager
def plain(stream: Stream) -> Iterator[Stream]:
    """Give a stream, which may be compressed, as what it unpacks to; raises ArchiveError."""
    buffered = _Peeked(stream)
    file = cast("IO[bytes]", buffered)
    kind = next((k for magic, k in _MAGIC.items() if buffered.head.startswith(magic)), "")
    try:
        match kind:
            case "gzip":
                with gzip.GzipFile(fileobj=file) as unpacked:
                    yield unpacked
            case "xz":
                with lzma.LZMAFile(file) as unpacked_xz:
                    yield unpacked_xz
            case "bzip2":
                with bz2.BZ2File(file) as unpacked_bz2:
                    yield unpacked_bz2
            case "zstd":
                with _zstd(file) as unpacked_zstd:
                    yield unpacked_zstd
            case _:
                yield buffered
    except (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError) as error:
        raise ArchiveError(f"it is damaged or truncated: {error}") from error


class _Peeked:
    """A stream whose first bytes were looked at."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.head = self._left = stream.read(8)

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes."""
        if not self._left:
            return self._stream.read(size)
        found = self._left if size < 0 else self._left[:size]
        self._left = self._left[len(found) :]
        return found


@contextlib.contextmanager
def _zstd(stream: Stream) -> Iterator[Stream]:
    """Unpack by the program, which Python has no part for before 3.14."""
    with tempfile.TemporaryFile() as packed:
        while found := stream.read(_BLOCK_BYTES):
            packed.write(found)
        packed.seek(0)
        try:
            process = subprocess.Popen(["zstd", "-dc"], stdin=packed, stdout=subprocess.PIPE)
        except FileNotFoundError as error:
            raise ArchiveError("it is packed by zstd: apt-get install zstd") from error
        with process:
            if process.stdout is not None:
                yield process.stdout
        if process.returncode != 0:
            raise ArchiveError("it is damaged or truncated (zstd)")
