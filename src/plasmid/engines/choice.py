"""Which engine a name in the configuration means."""

from __future__ import annotations

import os
from typing import Final

from plasmid.engines import disk, engine, oci, podman, simulated

NAMES: Final = ("auto", "oci", "crun", "runc", "podman", "simulated")


def named(name: str, *, disk_limit: str = disk.AUTO) -> engine.Engine:
    """Return the engine of a name: `auto` is oci for root and podman for everybody else.

    `crun` and `runc` are the oci engine with that runtime. `disk_limit` is how it limits disks, see
    disk.py. Raises EngineError for another name.
    """
    if name == "auto" and os.geteuid() != 0:
        return podman.PodmanEngine()
    if name in ("auto", "oci", "crun", "runc"):
        runtime = name if name in ("crun", "runc") else None
        return oci.OciEngine(runtime, disk_limit=disk_limit)
    if name == "podman":
        return podman.PodmanEngine()
    if name == "simulated":
        return simulated.SimulatedEngine()
    raise engine.EngineError(f"there is no engine {name!r}: use one of {', '.join(NAMES)}")
