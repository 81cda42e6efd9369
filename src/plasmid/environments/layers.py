"""Layers: what installed dependencies leave, kept once for all later jobs.

`<folder>/<key>/` is one: `tree` lies over the base image and the layers below, `layer.json` says
what it is, `manifest` what is in the tree, `stamp` how that looked when it was last known to be
whole, `leases/` who uses it. A folder of that name is whole: it is built as `.build-<key>`, which
its builder holds locked, and renamed. What was damaged or superseded is renamed to `.old-…` and
deleted when nobody uses it any more.

A lease names a folder that is there for as long as the user is: a try's. So it holds beyond the
process that took it, and ends with its user, whatever becomes of the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import secrets
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from plasmid.environments import builder, locks, trees

T = TypeVar("T")

BUILD_PREFIX: Final = ".build-"
OLD_PREFIX: Final = ".old-"
FILES: Final = ".files"
WAIT_SECONDS: Final = 0.1
_LOCK: Final = ".lock"
_ABOUT: Final = "layer.json"


class LayerError(Exception):
    """A layer cannot be had, kept or deleted; the message names the remedy."""


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a layer when it is made.

    `below` is the digest of the layer it was made on; `resolved` are the exact versions and hashes
    that were installed, by package manager.
    """

    key: str
    label: str
    below: str
    depth: int
    image: str
    seconds: float
    resolved: dict[str, Any] = {}


class Layer(msgspec.Struct, frozen=True):
    """A layer that is here; `used_ms` is when a job last wanted it."""

    about: About
    digest: str
    size_bytes: int
    created_ms: int
    used_ms: int
    tree: Path


class _Kept(msgspec.Struct, frozen=True):
    """What layer.json holds."""

    about: About
    digest: str
    size_bytes: int
    created_ms: int


class Taken(msgspec.Struct, frozen=True):
    """The leading layers that are here, now held; `damage` says what was wrong with the next."""

    layers: tuple[Layer, ...]
    damage: str | None = None


class Waiting(msgspec.Struct, frozen=True):
    """How one waits for another process: `told` is called once if one has to."""

    told: Callable[[], None]
    given_up: asyncio.Event


class Layers:
    """The layers in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._verified: set[tuple[str, str]] = set()
        self._verifying = threading.Lock()
        # Reading a large layer takes seconds: not in the threads that everything else needs.
        self._threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="layers")

    async def run(self, work: Callable[[], T]) -> T:
        """Return what a function of this class returns, called in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def take(self, keys: Sequence[str], holder: Path, *, below: str = "") -> Taken:
        """Hold the leading layers of a chain that are here and whole, for a holder's folder.

        `below` is the digest of the layer under the first. What is damaged is put away, so that it
        can be built again.
        """
        found: list[Layer] = []
        now_ns = time.time_ns()
        for key in keys:
            layer = self._hold(key, holder, now_ns)
            if layer is None:
                break
            damage = self._damage(layer, below)
            if damage is not None:
                self.release([key], holder)
                self.put_away(key)
                return Taken(tuple(found), damage)
            found.append(layer)
            below = layer.digest
        return Taken(tuple(found))

    def release(self, keys: Sequence[str], holder: Path) -> None:
        """Say that a holder uses layers no more."""
        for key in keys:
            (self.folder / key / "leases" / _lease_name(holder)).unlink(missing_ok=True)

    def find(self, key: str) -> Layer | None:
        """Return a layer; None if it is not here."""
        path = self.folder / key
        try:
            kept = msgspec.json.decode((path / _ABOUT).read_bytes(), type=_Kept)
            used_ms = (path / "leases").stat().st_mtime_ns // 1_000_000
        except (FileNotFoundError, msgspec.DecodeError):
            return None
        return Layer(
            about=kept.about,
            digest=kept.digest,
            size_bytes=kept.size_bytes,
            created_ms=kept.created_ms,
            used_ms=used_ms,
            tree=path / "tree",
        )

    def digest_of(self, file_id: str) -> str | None:
        """Return the SHA-256 of a file's content, if it was remembered."""
        try:
            path = self.folder / FILES / file_id
            os.utime(path)
            return path.read_text()
        except FileNotFoundError:
            return None

    def remember(self, file_id: str, digest: str) -> None:
        """Remember the SHA-256 of the content of a file, which never changes."""
        self.make_folder()
        (self.folder / FILES).mkdir(mode=0o700, exist_ok=True)
        half = self.folder / FILES / f".{secrets.token_hex(8)}"
        half.write_text(digest)
        half.rename(self.folder / FILES / file_id)

    def forget_files(self, before_ms: int) -> None:
        """Forget the digests of files that nobody wanted since a time."""
        for path in (self.folder / FILES).glob("*"):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime_ns < before_ms * 1_000_000:
                    path.unlink()

    def all(self) -> tuple[Layer, ...]:
        """Return every layer, the one that was used last first."""
        names = self.folder.iterdir() if self.folder.exists() else iter(())
        found = (self.find(path.name) for path in names if not path.name.startswith("."))
        layers = [layer for layer in found if layer is not None]
        return tuple(sorted(layers, key=lambda layer: (-layer.used_ms, layer.about.depth)))

    def holders(self, key: str) -> list[Path]:
        """Return the folders of those who use a layer now; leases of others are deleted."""
        with self._locked():
            return _holders(self.folder / key)

    def problem(self, layer: Layer) -> str | None:
        """Read a whole layer; return what differs from the day it was made, None if nothing."""
        try:
            wanted = (layer.tree.parent / "manifest").read_bytes()
            found = trees.manifest(layer.tree)
        except OSError as error:
            return f"it cannot be read: {error}"
        if hashlib.sha256(found).hexdigest() == layer.digest:
            return None
        return f"{trees.first_difference(wanted, found)} is not as it was made"

    def remove(self, key: str) -> None:
        """Delete a layer; raises LayerError if there is none or it is in use."""
        with self._locked():
            if not (self.folder / key).exists():
                raise LayerError(f"there is no layer {key} in {self.folder}")
            if users := _holders(self.folder / key):
                raise LayerError(
                    f"layer {key[:12]} is in use by {users[0].name}: wait for its end, or "
                    "terminate it"
                )
            doomed = self._rename_away(key)
        builder.delete_tree(doomed)

    def put_away(self, key: str) -> None:
        """Let nobody take a layer from now on; it is deleted once nobody uses it."""
        with self._locked(), contextlib.suppress(FileNotFoundError):
            self._rename_away(key)
        self.delete_old()

    def delete_old(self) -> None:
        """Delete what was put away and is used by nobody any more."""
        for path in self.folder.glob(f"{OLD_PREFIX}*"):
            if not _holders(path):
                builder.delete_tree(path)

    @contextlib.asynccontextmanager
    async def building(self, key: str, waiting: Waiting) -> AsyncIterator[Path | None]:
        """Give the folder to build a layer in, to one builder on this machine at a time.

        Gives None if the layer is here, by now: whoever waited takes what the other made; and to
        whoever has given up waiting. The folder may hold what a killed builder has left.
        """
        self.make_folder()
        path = self.folder / f"{BUILD_PREFIX}{key}"
        is_told = False
        while (claimed := locks.claim(path)) is None:
            if waiting.given_up.is_set():
                yield None
                return
            if not is_told:
                waiting.told()
                is_told = True
            await asyncio.sleep(WAIT_SECONDS)
        try:
            yield None if self.find(key) is not None else path
        finally:
            # What cannot be deleted stays for the next builder.
            with contextlib.suppress(OSError):
                path.rmdir()
            os.close(claimed)

    def abandoned(self) -> Iterator[Path]:
        """Give the folders of builders that were killed, each held while it is looked at."""
        for path in sorted(self.folder.glob(f"{BUILD_PREFIX}*")):
            claimed = locks.claim(path)
            if claimed is None:
                continue
            try:
                yield path
            finally:
                with contextlib.suppress(OSError):
                    path.rmdir()
                os.close(claimed)

    def keep(self, scratch: Path, tree: Path, about: About) -> Layer:
        """Put a built tree at its place; `scratch` is the folder it was built in."""
        whole = scratch / "whole"
        whole.mkdir(mode=0o700)
        (whole / "leases").mkdir(mode=0o700)
        tree.rename(whole / "tree")
        content = trees.manifest(whole / "tree")
        digest = hashlib.sha256(content).hexdigest()
        kept = _Kept(
            about=about,
            digest=digest,
            size_bytes=trees.size_bytes(whole / "tree"),
            created_ms=time.time_ns() // 1_000_000,
        )
        _write(whole / "manifest", content)
        _write(whole / "stamp", trees.stamp(whole / "tree").encode())
        _write(whole / _ABOUT, msgspec.json.format(msgspec.json.encode(kept)))
        with self._locked():
            if (self.folder / about.key).exists():
                self._rename_away(about.key)
            whole.rename(self.folder / about.key)
        self._verified.add((about.key, digest))
        made = self.find(about.key)
        if made is None:
            raise LayerError(f"{self.folder / about.key} vanished while it was made: try again")
        return made

    def make_folder(self) -> None:
        """Make the folder of layers, which the users of sandboxes that are built in can reach."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o711)

    def _hold(self, key: str, holder: Path, now_ns: int) -> Layer | None:
        if not (self.folder / key).exists():
            return None
        with self._locked():
            layer = self.find(key)
            if layer is None:
                if (self.folder / key).exists():
                    self._rename_away(key)
                return None
            lease = self.folder / key / "leases" / _lease_name(holder)
            lease.write_bytes(os.fsencode(holder))
            os.utime(lease.parent, ns=(now_ns, now_ns))
        return layer

    def _damage(self, layer: Layer, below: str) -> str | None:
        """Return what is wrong with a layer: cheaply, but from all its bytes the first time."""
        if layer.about.below != below:
            return "it was made on another layer than the one that is below it now"
        known = (layer.about.key, layer.digest)
        try:
            stamp = trees.stamp(layer.tree).encode()
        except OSError as error:
            return f"it cannot be read: {error}"
        if known in self._verified and stamp == _read(layer.tree.parent / "stamp"):
            return None
        with self._verifying:
            if known in self._verified and stamp == _read(layer.tree.parent / "stamp"):
                return None
            problem = self.problem(layer)
            if problem is None:
                # Copied or restored from a backup: other times of change, the same content.
                _write(layer.tree.parent / "stamp", stamp)
                self._verified.add(known)
        return problem

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self.make_folder()
        with locks.held(self.folder / _LOCK):
            yield

    def _rename_away(self, key: str) -> Path:
        target = self.folder / f"{OLD_PREFIX}{key[:16]}-{secrets.token_hex(4)}"
        (self.folder / key).rename(target)
        return target


def delete(path: Path) -> None:
    """Delete a file, or a folder in which a sandbox may have made anything."""
    if path.is_dir() and not path.is_symlink():
        builder.delete_tree(path)
    else:
        path.unlink(missing_ok=True)


def _lease_name(holder: Path) -> str:
    return hashlib.sha256(os.fsencode(holder)).hexdigest()[:32]


def _holders(path: Path) -> list[Path]:
    found = []
    with contextlib.suppress(FileNotFoundError):
        for lease in (path / "leases").iterdir():
            holder = Path(os.fsdecode(lease.read_bytes()))
            if holder.name and holder.exists():
                found.append(holder)
            else:
                lease.unlink(missing_ok=True)
    return found


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as sink:
        sink.write(content)
        sink.flush()
        os.fsync(sink.fileno())
