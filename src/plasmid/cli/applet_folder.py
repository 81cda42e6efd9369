"""An applet as its author has it: a folder with dxapp.json, code and resources."""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from plasmid.cli.trouble import CommandError
from plasmid.domain import dxapp, errors, failures, lock

RESOURCES: Final = "resources"
BUNDLE_NAME: Final = "resources.tar"


class AppletFolder(msgspec.Struct, frozen=True):
    """What can be run: the body for /applet/new, the resources if any, the assets it names."""

    name: str
    body: dict[str, Any]
    warnings: tuple[str, ...]
    resources: Path | None
    asset_depends: tuple[dict[str, Any], ...] = ()


def read(folder: Path) -> AppletFolder:
    """Return the applet in a folder; raises CommandError naming the file and the remedy."""
    path = folder / dxapp.FILE_NAME
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise CommandError(
            f"{path} does not exist; name a folder with a {dxapp.FILE_NAME}", 2
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{path} cannot be read: {error}", 2) from error
    try:
        found = dxapp.read(
            text,
            exists=lambda name: (folder / name).is_file(),
            path=str(path),
            default_name=folder.resolve().name,
        )
    except errors.InvalidInput as error:
        raise CommandError(error.message, 2) from error
    body = found.body
    if found.code_file is not None:
        body = dxapp.body_with_code(found, _code(folder / found.code_file))
    resources = folder / RESOURCES
    has_some = resources.is_dir() and any(resources.iterdir())
    own = resources if has_some else None
    return AppletFolder(found.name, body, found.warnings, own, found.asset_depends)


def _code(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{path} cannot be read: {error}", 2) from error


def read_lock(folder: Path) -> dict[str, Any] | None:
    """Return the lock beside an applet folder's dxapp.json; None if there is none.

    Raises CommandError for a file that is no lock.
    """
    path = folder / lock.FILE_NAME
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        lock.decode(content)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, failures.JobFailure) as error:
        raise CommandError(f"{path} is no lock: {error}; delete it, or write it anew", 2) from error
    return dict(content)


def bundle(resources: Path, target: Path) -> None:
    """Write the resources as a tar whose root is `/`; raises CommandError for a broken link.

    As `dx build` does it: links that stay inside are kept, links to the outside are followed,
    everything may be read by all.
    """
    with tarfile.open(target, "w") as tar:
        for path in _walk(resources):
            name = "/" + str(path.relative_to(resources))
            source = path
            if path.is_symlink() and not _stays_inside(path, resources):
                source = path.resolve()
                if not source.exists():
                    raise CommandError(f"{path} is a link to {source}, which does not exist", 2)
            tar.add(source, arcname=name, recursive=False, filter=_readable)


def _walk(folder: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted([*folders, *files]):
            yield Path(root) / name


def _stays_inside(link: Path, folder: Path) -> bool:
    target = Path(os.path.normpath(link.parent / link.readlink()))
    return not link.readlink().is_absolute() and target.is_relative_to(folder)


def _readable(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.mode |= 0o444
    if entry.isdir() or entry.mode & 0o100:
        entry.mode |= 0o111
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    return entry
