"""Which jobs run containers or mount file systems: they get the rights for it, others do not.

The rights (mounting, within the sandbox's own namespaces) are worth withholding: most ways to
attack a kernel begin with them. So they go by need, and the need is read off what a job brings
along: its code, what it wants installed, its input (commands are given as input to some apps) and
the scripts among its resources.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

AUTO: Final = "auto"
ALWAYS: Final = "always"
NEVER: Final = "never"
MODES: Final = (AUTO, ALWAYS, NEVER)

_CONTAINER_WORDS: Final = re.compile(
    r"docker|podman|buildah|nerdctl|singularity|apptainer|udocker", re.IGNORECASE
)
_MOUNT_WORDS: Final = re.compile(
    r"dxfuse|dx-mount-all-inputs|mount_all_inputs|fusermount|sshfs|\bunshare\b|\bbwrap\b"
)
# What execDepends calls the package of a program that is named otherwise in the code.
_FUSE_PACKAGES: Final = re.compile(r"fuse|sshfs|bubblewrap")


class Need(msgspec.Struct, frozen=True):
    """What a job needs beyond an ordinary one, and how that is known; `why` is "" without need.

    Whoever runs containers mounts as well.
    """

    runs_containers: bool = False
    mounts: bool = False
    why: str = ""


NOTHING: Final = Need()


def in_text(text: str, where: str) -> Need:
    """Return what a text needs; `where` is how it is called in the log, like `its code`."""
    found = _CONTAINER_WORDS.search(text)
    if found is not None:
        return Need(runs_containers=True, mounts=True, why=f"{where} names {found.group()}")
    found = _MOUNT_WORDS.search(text)
    if found is not None:
        return Need(mounts=True, why=f"{where} names {found.group()}")
    return NOTHING


def of_job(
    *, code: str, exec_depends: Iterable[Mapping[str, Any]], job_input: Mapping[str, Any]
) -> Need:
    """Return what a job needs by its code, its packages and its input, the greatest need first."""
    packages = " ".join(str(entry.get("name", "")) for entry in exec_depends)
    texts = " ".join(_strings(job_input))
    needs = [
        in_text(code, "its code"),
        in_text(packages, "execDepends"),
        in_text(texts, "its input"),
    ]
    if fuse := _FUSE_PACKAGES.search(packages):
        needs.append(Need(mounts=True, why=f"execDepends names {fuse.group()}"))
    return greatest(needs)


def greatest(needs: Iterable[Need]) -> Need:
    """Return the first of the greatest needs."""
    return max(needs, key=lambda need: (need.runs_containers, need.mounts), default=NOTHING)


def _strings(value: Any) -> Iterable[str]:
    """Return all strings in an input, however deep; not its keys."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, Mapping):
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
