"""A sandbox's root: a throw-away layer over a base image, and files put into it.

Without root the mount lives in a user namespace: then this file is run there as a program (see
`_run`), so it imports nothing but the standard library.

The overlay is mounted `volatile`: the layer is deleted with the sandbox, so syncing it to disk when
it is unmounted (tens of ms, and seconds for a full one) would be for nobody.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Final

ROOT_ID: Final = 300000
"""The user and group id outside that is root inside (base images are stored with it)."""

_MS_NODEV: Final = 4
_MNT_DETACH: Final = 2
_libc: Final = ctypes.CDLL(None, use_errno=True)


def _escaped(path: Path) -> str:
    r"""Return a path as overlay wants it in its options: `\`, `:` and `,` are special there."""
    text = str(path)
    for character in "\\:,":
        text = text.replace(character, "\\" + character)
    return text


def options(lower: Path, folder: Path, *, root_id: int = ROOT_ID) -> str:
    """Return the mount options of a sandbox's overlay.

    With `root_id` 0 we are root of a user namespace, where overlay keeps its marks in other
    attributes.
    """
    layers = f"lowerdir={_escaped(lower)},upperdir={_escaped(folder / 'upper')}"
    kind = "volatile,userxattr" if root_id == 0 else "volatile"
    return f"{layers},workdir={_escaped(folder / 'work')},{kind}"


def check_owner(lower: Path, owner: int) -> None:
    """Raise OSError unless a base image is stored with the ids that sandboxes here need."""
    found = lower.stat().st_uid
    if found != owner:
        raise OSError(
            errno.EPERM,
            f"its root belongs to user {found} and not to {owner}, so it was built by another "
            "user: build it anew with `plasmid image build`",
            str(lower),
        )


def mount(lower: Path, folder: Path, *, root_id: int = ROOT_ID) -> None:
    """Mount `folder/root` over a base image, with `folder/upper` and `folder/work` made here.

    `root_id` is the id of root inside, as we see it.
    """
    for name in ("upper", "work", "root"):
        path = folder / name
        path.mkdir(exist_ok=True)
        os.chown(path, root_id, root_id)
    (folder / "upper").chmod(lower.stat().st_mode & 0o7777)
    data = options(lower, folder, root_id=root_id)
    target = str(folder / "root")
    if _libc.mount(b"overlay", os.fsencode(target), b"overlay", _MS_NODEV, os.fsencode(data)):
        number = ctypes.get_errno()
        raise OSError(number, f"cannot mount the overlay ({data}): {os.strerror(number)}", target)


def unmount(target: Path) -> None:
    """Unmount a folder, however often it is mounted; nothing to do is fine."""
    while True:
        if _libc.umount2(os.fsencode(target), 0) == 0:
            continue
        number = ctypes.get_errno()
        if number in (errno.EINVAL, errno.ENOENT):
            return
        if number != errno.EBUSY or _libc.umount2(os.fsencode(target), _MNT_DETACH):
            raise OSError(number, os.strerror(number), str(target))


def put_files(root: Path, files: Mapping[str, bytes], *, root_id: int = ROOT_ID) -> None:
    """Write files into a root, owned by its root user, never through a link.

    Raises OSError naming the path if a parent is a link or no folder.
    """
    with _opened(str(root), os.O_RDONLY | os.O_DIRECTORY) as root_fd:
        for path, content in files.items():
            parts = PurePosixPath(path).parts
            if len(parts) < 2 or parts[0] != "/" or ".." in parts:
                raise OSError(errno.EINVAL, "a file's path inside must be absolute", path)
            with contextlib.ExitStack() as stack:
                parent = root_fd
                for name in parts[1:-1]:
                    parent = stack.enter_context(_folder(name, parent, path, root_id))
                _write(parts[-1], parent, content, root_id)


@contextlib.contextmanager
def _opened(path: str, flags: int, dir_fd: int | None = None) -> Iterator[int]:
    fd = os.open(path, flags | os.O_CLOEXEC, 0o600, dir_fd=dir_fd)
    try:
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def _folder(name: str, parent: int, path: str, root_id: int) -> Iterator[int]:
    """Open a folder under `parent`; make it if it is not there."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o755, dir_fd=parent)
        os.chown(name, root_id, root_id, dir_fd=parent, follow_symlinks=False)
    try:
        fd = os.open(name, flags | os.O_CLOEXEC, dir_fd=parent)
    except OSError as error:
        raise OSError(error.errno, f"{name!r} is a link or no folder", path) from error
    try:
        yield fd
    finally:
        os.close(fd)


def _write(name: str, parent: int, content: bytes, root_id: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=parent)
    with _opened(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, parent) as fd:
        view = memoryview(content)
        while view:
            view = view[os.write(fd, view) :]
        os.fchown(fd, root_id, root_id)
        os.fchmod(fd, 0o755 if content[:2] == b"#!" else 0o644)


def remove_tree(folder: Path) -> None:
    """Delete a folder that a sandbox may have filled with anything; absent is fine."""
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except (RecursionError, OSError) as error:
        # rmtree holds a frame and a descriptor per level: a deep enough tree is beyond it.
        done = subprocess.run(
            ["rm", "-rf", "--one-file-system", "--", str(folder)], capture_output=True, check=False
        )
        if done.returncode != 0:
            message = done.stderr.decode(errors="replace").strip()
            raise OSError(errno.ENOTEMPTY, f"cannot delete it: {message}", str(folder)) from error


def request(lower: Path, folder: Path, files: Mapping[str, bytes]) -> bytes:
    """Return what this file, run as a program with argument `make`, wants to read."""
    texts = {path: content.decode("latin-1") for path, content in files.items()}
    return json.dumps({"lower": str(lower), "folder": str(folder), "files": texts}).encode()


def _run(verb: str, folder: Path) -> None:
    """Run as a program in a user namespace: `make` (reads a request) or `remove` a root."""
    if verb == "make":
        asked = json.load(sys.stdin)
        mount(Path(asked["lower"]), folder, root_id=0)
        files = {path: text.encode("latin-1") for path, text in asked["files"].items()}
        put_files(folder / "root", files, root_id=0)
    else:
        unmount(folder / "root")
        remove_tree(folder)


if __name__ == "__main__":
    _run(sys.argv[1], Path(sys.argv[2]))
