"""Unpacks a tar archive that nobody vouches for into a folder, as a program of its own.

    python -m plasmid.environments.unpacking FOLDER < archive     unpack it over what is there
    python -m plasmid.environments.unpacking --look FOLDER        say what the folder is, as JSON

The folder is its root before it reads a byte of the archive, so that no name and no link in it can
mean a place outside. What an image has no business with is refused all the same, by name. Only the
standard library is used, and all of it is loaded before the root changes.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import stat
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final, cast

WHITEOUT: Final = ".wh."
OPAQUE: Final = ".wh..wh..opq"
REFUSED: Final = 3
"""How the program ends when an archive is refused; its last line says why."""

_CAPABILITY: Final = "security.capability"
PAX_CAPABILITY: Final = f"SCHILY.xattr.{_CAPABILITY}"
_END_BYTES: Final = 1024
_BLOCK_BYTES: Final = 1 << 20
# Our own programs write below these: none may lead elsewhere.
_PLAIN_FOLDERS: Final = (
    *("etc", "etc/apt", "etc/apt/apt.conf.d", "etc/apt/sources.list.d", "etc/sudoers.d"),
    *("etc/default", "home", "opt", "root", "run", "tmp", "usr", "usr/local", "usr/share", "var"),
    *("usr/local/share", "usr/local/share/ca-certificates", "var/cache", "var/cache/apt"),
    *("var/cache/apt/archives", "var/lib", "var/lib/apt", "var/lib/apt/lists", "var/lib/dpkg"),
)
_IDS: Final = 65536  # those that a sandbox has
_NOBODY: Final = 65534
_MACHINES: Final = {3: "i686", 40: "armv7l", 62: "x86_64", 183: "aarch64", 243: "riscv64"}
_KINDS: Final = {tarfile.CHRTYPE: "character device", tarfile.BLKTYPE: "block device"}


class RefusedError(Exception):
    """The archive holds what no image may, or is no whole archive."""


class _Tail:
    """Reads a stream and remembers how it ends."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.tail = b""

    def read(self, size: int = _BLOCK_BYTES, /) -> bytes:
        """Return the next bytes."""
        found = self._stream.read(size)
        self.tail = (self.tail + found)[-_END_BYTES:]
        return found

    def finish(self) -> None:
        """Read to the end; raises RefusedError if that is none of an archive."""
        while self.read(_BLOCK_BYTES):
            pass
        if self.tail != bytes(_END_BYTES):
            raise RefusedError("the archive is truncated: it has no end")


def unpack(stream: IO[bytes]) -> None:
    """Unpack an archive into the root folder; raises RefusedError, OSError, tarfile.TarError."""
    tail = _Tail(stream)
    folders: list[tuple[str, tarfile.TarInfo]] = []
    with tarfile.open(fileobj=cast("IO[bytes]", tail), mode="r|", errorlevel=2) as archive:
        for member in archive:
            path = _checked(member.name)
            if path == "/" or path.split("/")[1] == "dev":
                continue  # every sandbox has a /dev of its own
            name = path.rpartition("/")[2]
            if name == OPAQUE:
                _empty(path.rpartition("/")[0] or "/")
            elif name.startswith(WHITEOUT):
                _remove(path.rpartition("/")[0] + "/" + name.removeprefix(WHITEOUT))
            else:
                _place(archive, member, path)
                if member.isdir():
                    folders.append((path, member))
            vars(archive)["members"].clear()  # an image has a hundred thousand
    tail.finish()
    for path, member in reversed(folders):
        if Path(path).is_dir():
            os.utime(path, (member.mtime, member.mtime), follow_symlinks=False)


def _checked(name: str) -> str:
    """Return a member's name as a path from the root."""
    parts = name.split("/")
    if name.startswith("/"):
        raise RefusedError(f"{name!r} is an absolute name")
    if ".." in parts:
        raise RefusedError(f"{name!r} leads out of the archive")
    return "/" + "/".join(part for part in parts if part not in ("", "."))


def _place(archive: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
    if member.type in _KINDS:
        raise RefusedError(f"{member.name!r} is a {_KINDS[member.type]}")
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise RefusedError(f"{member.name!r} lies below what is no folder") from error
    if member.isdir():
        if not os.path.lexists(path) or not stat.S_ISDIR(os.lstat(path).st_mode):
            _remove(path)
            Path(path).mkdir()
    else:
        _remove(path)
    if member.issym():
        Path(path).symlink_to(member.linkname)
    elif member.islnk():
        os.link(_checked(member.linkname), path, follow_symlinks=False)
        return
    elif member.isfile():
        _write(archive, member, path)
    elif member.isfifo():
        os.mkfifo(path)
    elif not member.isdir():
        raise RefusedError(f"{member.name!r} is of an unknown kind ({member.type!r})")
    _dress(member, path)


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
    content = archive.extractfile(member)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        if content is not None:
            shutil.copyfileobj(content, file, _BLOCK_BYTES)


def _dress(member: tarfile.TarInfo, path: str) -> None:
    """Give an entry its owner, mode, capability and time; a new owner clears the next two."""
    uid, gid = (number if number < _IDS else _NOBODY for number in (member.uid, member.gid))
    os.chown(path, uid, gid, follow_symlinks=False)
    if member.issym():
        return
    Path(path).chmod(member.mode & 0o7777)
    if capability := member.pax_headers.get(PAX_CAPABILITY):
        os.setxattr(path, _CAPABILITY, capability.encode("utf-8", "surrogateescape"))
    os.utime(path, (member.mtime, member.mtime), follow_symlinks=False)


def _remove(path: str) -> None:
    if not os.path.lexists(path):
        return
    if stat.S_ISDIR(os.lstat(path).st_mode):
        shutil.rmtree(path)
    else:
        Path(path).unlink()


def _empty(path: str) -> None:
    if Path(path).is_dir():
        for entry in Path(path).iterdir():
            _remove(str(entry))


def look() -> dict[str, object]:
    """Return what the root folder is; raises RefusedError if it is no system of this machine."""
    for name in _PLAIN_FOLDERS:
        if os.path.lexists(f"/{name}") and not stat.S_ISDIR(os.lstat(f"/{name}").st_mode):
            raise RefusedError(f"its /{name} is no folder")
    machine = _machine("/bin/sh")
    if machine != platform.machine():
        raise RefusedError(f"it is for {machine}, this machine is {platform.machine()}")
    Path("/dev").mkdir(0o755, exist_ok=True)
    return {
        "os": dict(_fields(_text("/etc/os-release") or _text("/usr/lib/os-release"))),
        "packages": _text("/usr/share/plasmid-packages").splitlines(),
        "sources": {name: _text(name) for name in _sources()},
        "has_client": any(Path(f"/usr/{at}bin/dx").exists() for at in ("local/", "")),
    }


def _machine(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            head = file.read(20)
    except OSError as error:
        raise RefusedError(f"it is no root file system: it has no {path}") from error
    if head[:4] != b"\x7fELF":
        raise RefusedError(f"it is no root file system of Linux: its {path} is no program")
    number = int.from_bytes(head[18:20], "little")
    return _MACHINES.get(number, f"machine {number}")


def _sources() -> list[str]:
    folder = Path("/etc/apt/sources.list.d")
    names = sorted(str(path) for path in folder.iterdir()) if folder.is_dir() else []
    return ["/etc/apt/sources.list", *names]


def _fields(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        name, _, value = line.partition("=")
        yield name, value.strip().strip("\"'")


def _text(path: str) -> str:
    try:
        with Path(path).open(encoding="utf-8", errors="replace") as file:
            return file.read(1 << 22)
    except OSError:
        return ""


def main(arguments: list[str]) -> int:
    """Do what the command line asks; returns the exit code."""
    *options, folder = arguments
    os.umask(0o022)
    os.chroot(folder)
    os.chdir("/")
    try:
        if "--look" in options:
            sys.stdout.write(json.dumps(look()))
        else:
            unpack(sys.stdin.buffer)
    except tarfile.TarError as error:
        return _refuse(f"the archive is damaged or truncated ({error})")
    except (RefusedError, OSError, RecursionError) as error:
        return _refuse(str(error))
    return 0


def _refuse(why: str) -> int:
    sys.stderr.write(f"{why}\n")
    return REFUSED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
