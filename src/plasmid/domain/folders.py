"""Paths of folders in a container: normal form, parts, relations (contract C.7).

The normal form starts with `/`, has no `/` at its end but for the root, and none twice.
"""

from __future__ import annotations

import re
from typing import Any, Final

from plasmid.domain import keys

ROOT: Final = "/"
# As of a file system: a folder is made with all above it, each with a path of its own.
PATH_MAX: Final = 4096

_CONTROL = re.compile(r"[\x00-\x1f]")


def normalise(path: object, key: str = "folder", where: str = "input") -> str:
    """Return the normal form of a path; raises InvalidInput that names the key."""
    if not isinstance(path, str):
        raise keys.refusal(key, where, "a string")
    if not path.startswith("/"):
        raise keys.refusal(key, where, f'a folder path that starts with "/", got "{path}"')
    if len(path) > PATH_MAX:
        raise keys.refusal(key, where, f"a folder path of at most {PATH_MAX} characters")
    names = [name for name in path.split("/") if name]
    for name in names:
        _check_name(name, key, where)
    return ROOT + "/".join(names)


def _check_name(name: str, key: str, where: str) -> None:
    if name in (".", ".."):
        raise keys.refusal(key, where, f'a folder path without "." and ".." in it, found "{name}"')
    if _CONTROL.search(name):
        raise keys.refusal(key, where, f"a folder path without control characters, found {name!r}")


def read(body: dict[str, Any], key: str = "folder", *, default: str = ROOT) -> str:
    """Return a body's folder in normal form, or the default if it is absent."""
    return default if body.get(key) is None else normalise(body[key], key)


def name(path: str) -> str:
    """Return the last name of a path in normal form; the root's is empty."""
    return path.rpartition("/")[2]


def parent(path: str) -> str:
    """Return the folder that holds this one; the root holds itself."""
    return path.rpartition("/")[0] or ROOT


def join(folder: str, *names: str) -> str:
    """Return the path of something below a folder; a name may itself be a path."""
    steps = [step for part in (folder, *names) for step in part.split("/") if step]
    return ROOT + "/".join(steps)


def is_inside(path: str, folder: str) -> bool:
    """Say whether a path is the folder itself or lies anywhere below it."""
    return folder in (ROOT, path) or path.startswith(folder + "/")


def rebase(path: str, old: str, new: str) -> str:
    """Return where a path lies after its folder `old` has become `new`."""
    return join(new, path.removeprefix(old))
