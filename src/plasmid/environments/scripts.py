"""What the scripts in a layer say. It holds foreign archives' content, so nothing is followed."""

from __future__ import annotations

import functools
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from plasmid.domain import containers

SCRIPT_BYTES_MAX: Final = 256 * 1024
SCRIPTS_MAX: Final = 500
_ENTRIES_MAX: Final = 20_000
# Where apps put what they call. Libraries and data elsewhere say docker without ever calling it.
_FOLDERS: Final = ("home/dnanexus", "usr/bin", "usr/local/bin", "opt")
_SUFFIXES: Final = (".sh", ".bash", ".py", ".pl", ".r", ".nf", ".smk", ".wdl", ".cwl")
_LIBRARIES: Final = ("site-packages", "dist-packages", "node_modules", ".git")
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@functools.lru_cache(maxsize=256)
def need(tree: Path) -> containers.Need:
    """Return what the scripts of a layer's tree need; a layer never changes, so it is read once."""
    found = containers.NOTHING
    for path, text in _scripts(tree):
        found = containers.greatest([found, containers.in_text(text, f"/{path}")])
        if found.runs_containers:
            break
    return found


def _scripts(tree: Path) -> Iterator[tuple[str, str]]:
    """Give (path, beginning) of the scripts in the folders that programs are called from."""
    count = 0
    for top in _FOLDERS:
        if _passes_link(tree, top):
            continue
        for folder, descriptor, names in _folders(tree, top):
            for name in names:
                text = _script(descriptor, name)
                if text is not None:
                    yield f"{folder}/{name}", text
                    count += 1
                if count >= SCRIPTS_MAX:
                    return


def _passes_link(tree: Path, path: str) -> bool:
    parts = path.split("/")
    return any(tree.joinpath(*parts[: n + 1]).is_symlink() for n in range(len(parts)))


def _folders(tree: Path, top: str) -> Iterator[tuple[str, int, list[str]]]:
    entries = 0
    try:
        opened = os.open(tree / top, _FOLDER)
    except OSError:
        return
    try:
        for below, folders, names, descriptor in os.fwalk(".", dir_fd=opened):
            folders[:] = sorted(set(folders) - set(_LIBRARIES))
            entries += len(names) + len(folders)
            if entries > _ENTRIES_MAX:
                return
            yield os.path.normpath(f"{top}/{below}"), descriptor, sorted(names)
    finally:
        os.close(opened)


def _script(folder: int, name: str) -> str | None:
    """Return the beginning of a file if it is a script by its name or its first bytes."""
    try:
        opened = os.open(name, _FILE, dir_fd=folder)
    except OSError:
        return None
    with os.fdopen(opened, "rb") as source:
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            return None
        content = source.read(2)
        if content != b"#!" and not name.lower().endswith(_SUFFIXES):
            return None
        return (content + source.read(SCRIPT_BYTES_MAX)).decode(errors="replace")
