"""What a sandbox that runs containers of its own gets from outside: a place for them, and FUSE."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from plasmid.engines import engine

STORAGE: Final = "/var/lib/containers"
FUSE: Final = "/dev/fuse"
FUSE_RULE: Final = {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rwm"}
_FUSE_NUMBER: Final = os.makedev(10, 229)


def prepare(folder: Path, root_id: int) -> tuple[engine.Mount, ...]:
    """Make both in the sandbox's folder and return where it sees them.

    The root itself is an overlay, and an overlay cannot lie over another: images and containers
    are kept in a plain folder beside it. The FUSE device is a node of our own, because that of the
    host may be its root's alone. `root_id` is the id outside that is root inside.
    """
    storage = folder / "containers"
    storage.mkdir(mode=0o700)
    os.chown(storage, root_id, root_id)
    mounts = [engine.Mount(str(storage), STORAGE, read_only=False)]
    if Path(FUSE).exists():
        node = folder / "fuse"
        try:
            os.mknod(node, stat.S_IFCHR | 0o600, _FUSE_NUMBER)
            os.chown(node, root_id, root_id)
        except PermissionError:  # without root there is but the host's
            node = Path(FUSE)
        mounts.append(engine.Mount(str(node), FUSE, read_only=False))
    return tuple(mounts)
