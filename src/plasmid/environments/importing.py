"""Root file systems that come ready made: from a file, or from a registry by way of a file."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from plasmid.environments import apt_sources, archives, commands, unpacking
from plasmid.environments.commands import BuildError

_BLOCK_BYTES: Final = 1 << 20
_NAMES: Final = {"debian": "Debian", "ubuntu": "Ubuntu"}


class Unpacked(msgspec.Struct, frozen=True):
    """A root file system that was unpacked, and what it says of itself.

    `packages` is empty if it was never furnished; `digest` names its content.
    """

    digest: str
    distribution: str
    release: str
    packages: tuple[str, ...]
    apt_hosts: tuple[str, ...]
    has_client: bool


async def fetch(reference: str, target: Path) -> None:
    """Bring a registry's image to an OCI archive by skopeo, else podman; raises BuildError.

    Both know their default registry, credentials and certificates by their own configuration.
    """
    named = f"docker://{reference.removeprefix('docker://')}"
    if shutil.which("skopeo"):
        await commands.output(["skopeo", "copy", "--quiet", named, f"oci-archive:{target}"])
    elif shutil.which("podman"):
        with tempfile.TemporaryDirectory(prefix="plasmid-pull-") as state:  # short: podman asks it
            await _fetch_by_podman(named, target, state)
    else:
        raise BuildError("a registry's image is pulled by skopeo: apt-get install skopeo")


async def _fetch_by_podman(named: str, target: Path, state: str) -> None:
    """Pull into a storage of its own, so that podman's has no more and no less afterwards."""
    storage = target.with_name("storage")
    podman = ["podman", "--root", str(storage), "--runroot", state, "--storage-driver", "vfs"]
    image = (await commands.output([*podman, "pull", "--quiet", named])).split()[-1]
    save = ["save", "--quiet", "--format", "oci-archive", "-o", str(target), image]
    await commands.output([*podman, *save])
    await commands.output([*_as_root(), "rm", "-rf", str(storage)])


def _as_root() -> list[str]:
    """Return what makes a command root of the ids that images have."""
    return [] if os.geteuid() == 0 else ["podman", "unshare"]


async def unpack(file: Path, root: Path) -> Unpacked:
    """Unpack an OCI or docker archive or a root tar file into a new folder; raises BuildError.

    The file may be packed by gzip, xz, bzip2 or zstd. If this is cancelled, it stops in order.
    """
    stop = threading.Event()
    loop = asyncio.get_running_loop()
    work = loop.run_in_executor(None, _unpack, file, root, stop)
    try:
        digest = await asyncio.shield(work)
    except asyncio.CancelledError:
        stop.set()
        with contextlib.suppress(BuildError, archives.ArchiveError, OSError):
            await work
        raise
    except archives.ArchiveError as error:
        raise BuildError(f"{file} is no image: {error}") from error
    except OSError as error:
        raise BuildError(f"{file}: {error.strerror}") from error
    said = await commands.output([*_child(), "--look", str(root)], environ=_environ())
    try:
        return _unpacked(msgspec.json.decode(said.encode()), digest)
    except msgspec.DecodeError as error:
        raise BuildError(f"{file} is no image: {said}") from error


def _unpacked(found: dict[str, Any], digest: str) -> Unpacked:
    system = found["os"]
    told = system.get("ID", "")
    return Unpacked(
        digest=digest,
        distribution=_NAMES.get(told, told),
        release=system.get("VERSION_ID", ""),
        packages=tuple(sorted(found["packages"])),
        apt_hosts=tuple(sorted({s.host for s in apt_sources.parse(found["sources"])})),
        has_client=found["has_client"],
    )


def _unpack(file: Path, root: Path, stop: threading.Event) -> str:
    """Unpack a file; returns the digest of what it holds."""
    root.mkdir()
    archive = _uncompressed(file, root.with_name("archive.tar"), stop)
    found = archives.layers(archive)
    for layer in found:
        with archives.opened_layer(archive, layer) as stream:
            _feed(stream, root, stop)
    content = hashlib.sha256("".join(layer.digest for layer in found).encode())
    if not found:
        with archive.open("rb") as plain:
            _feed(_Hashed(plain, content), root, stop)
    if archive != file:
        archive.unlink()
    return content.hexdigest()


def _uncompressed(file: Path, target: Path, stop: threading.Event) -> Path:
    """Return a file as plain tar: itself, or its content written to `target`."""
    if not archives.is_compressed(file):
        return file
    with (
        file.open("rb") as packed,
        archives.plain(packed) as stream,
        target.open("wb") as plain,
    ):
        for block in _blocks(stream, stop):
            plain.write(block)
    return target


class _Hashed:
    """Passes a stream on and hashes it."""

    def __init__(self, stream: archives.Stream, into: Any) -> None:
        self._stream = stream
        self._into = into

    def read(self, size: int = _BLOCK_BYTES, /) -> bytes:
        """Return the next bytes."""
        found = self._stream.read(size)
        self._into.update(found)
        return found


def _blocks(stream: archives.Stream, stop: threading.Event) -> Iterator[bytes]:
    while found := stream.read(_BLOCK_BYTES):
        if stop.is_set():
            raise BuildError("interrupted")
        yield found


def _feed(stream: archives.Stream, root: Path, stop: threading.Event) -> None:
    """Give a stream of tar to the program that unpacks it into a root."""
    with subprocess.Popen(
        [*_child(), str(root)],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **_environ()},
    ) as child:
        is_fed = False
        try:
            # It may end first: then it says why.
            with contextlib.suppress(BrokenPipeError):
                for block in _blocks(stream, stop):
                    _write(child, block)
            _close(child)
            is_fed = True
        finally:
            if not is_fed:
                child.kill()
        said = child.stderr.read().decode(errors="replace").strip() if child.stderr else ""
    if child.returncode != 0:
        raise archives.ArchiveError((said.splitlines() or ["it could not be unpacked"])[-1])


def _write(child: subprocess.Popen[bytes], block: bytes) -> None:
    if child.stdin is not None:
        child.stdin.write(block)


def _close(child: subprocess.Popen[bytes]) -> None:
    if child.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            child.stdin.close()


def _child() -> list[str]:
    return [*_as_root(), sys.executable, "-P", "-m", unpacking.__name__]


def _environ() -> dict[str, str]:
    """Return the environment in which the child finds this package."""
    return {"PYTHONPATH": str(Path(__file__).parents[2])}


async def repack(root: Path, target: Path) -> None:
    """Write a root file system that was unpacked to a tar file, and delete the folder."""
    pack = ["tar", "-C", str(root), "--numeric-owner", "--xattrs", "-cf", str(target), "."]
    await commands.output([*_as_root(), *pack])
    await commands.output([*_as_root(), "rm", "-rf", str(root)])
