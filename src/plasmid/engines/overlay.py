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
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

ROOT_ID: Final = 300000
"""The user and group id outside that is root inside (base images are stored with it)."""

_MS_NODEV: Final = 4
_MNT_DETACH: Final = 2
_OPTIONS_BYTES_MAX: Final = 4095
_libc: Final = ctypes.CDLL(None, use_errno=True)


def _escaped(path: Path) -> str:
    r"""Return a path as overlay wants it in its options: `\`, `:` and `,` are special there."""
    text = str(path)
    for character in "\\:,":
        text = text.replace(character, "\\" + character)
    return text


def options(
    lower: Path, folder: Path, *, layers: Sequence[Path] = (), root_id: int = ROOT_ID
) -> str:
    """Return the mount options of a sandbox's overlay; the last of `layers` is on top.

    `folder` is where `upper` and `work` are.

    With `root_id` 0 we are root of a user namespace, where overlay keeps its marks in other
    attributes.
    """
    below = ":".join(_escaped(path) for path in (*reversed(layers), lower))
    above = f"upperdir={_escaped(folder / 'upper')},workdir={_escaped(folder / 'work')}"
    kind = "volatile,userxattr" if root_id == 0 else "volatile"
    return f"lowerdir={below},{above},{kind}"


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


def mount(
    lower: Path,
    folder: Path,
    *,
    layers: Sequence[Path] = (),
    root_id: int = ROOT_ID,
    disk: Path | None = None,
) -> None:
    """Mount `folder/root` over a base image and layers, with `upper` and `work` in the folder.

    `root_id` is the id of root inside, as we see it. With `disk`, `upper` and `work` are there.
    """
    above = disk or folder
    for path in (above / "upper", above / "work", folder / "root"):
        path.mkdir(exist_ok=True)
        os.chown(path, root_id, root_id)
    (above / "upper").chmod(lower.stat().st_mode & 0o7777)
    target = str(folder / "root")
    with _fitting(lower, above, layers, root_id) as data:
        kind = b"overlay"
        if _libc.mount(kind, os.fsencode(target), kind, _MS_NODEV, os.fsencode(data)):
            number = ctypes.get_errno()
            message = f"cannot mount the overlay ({data}): {os.strerror(number)}"
            raise OSError(number, message, target)


@contextlib.contextmanager
def _fitting(lower: Path, above: Path, layers: Sequence[Path], root_id: int) -> Iterator[str]:
    """Give mount options that fit into a page: many layers are named by descriptors of ours."""
    data = options(lower, above, layers=layers, root_id=root_id)
    if len(os.fsencode(data)) <= _OPTIONS_BYTES_MAX:
        yield data
        return
    with contextlib.ExitStack() as opened:

        def short(path: Path) -> Path:
            flags = os.O_PATH | os.O_DIRECTORY
            return Path(f"/proc/self/fd/{opened.enter_context(_opened(str(path), flags))}")

        yield options(short(lower), above, layers=[short(path) for path in layers], root_id=root_id)


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


def request(
    lower: Path, folder: Path, files: Mapping[str, bytes], layers: Sequence[Path] = ()
) -> bytes:
    """Return what this file, run as a program with argument `make`, wants to read."""
    texts = {path: content.decode("latin-1") for path, content in files.items()}
    asked = {"lower": str(lower), "layers": [str(path) for path in layers], "files": texts}
    return json.dumps({**asked, "folder": str(folder)}).encode()


def _run(verb: str, folder: Path) -> None:
    """Run as a program in a user namespace: `make` (reads a request) or `remove` a root."""
    if verb == "make":
        asked = json.load(sys.stdin)
        layers = [Path(path) for path in asked["layers"]]
        mount(Path(asked["lower"]), folder, layers=layers, root_id=0)
        files = {path: text.encode("latin-1") for path, text in asked["files"].items()}
        put_files(folder / "root", files, root_id=0)
    else:
        unmount(folder / "root")
        remove_tree(folder)


if __name__ == "__main__":
    _run(sys.argv[1], Path(sys.argv[2]))
