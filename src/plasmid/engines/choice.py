"""Which engine a name in the configuration means."""

from __future__ import annotations

import os
from typing import Final

from plasmid.engines import engine, oci, podman, simulated

NAMES: Final = ("auto", "oci", "crun", "runc", "podman", "simulated")


def named(name: str) -> engine.Engine:
    """Return the engine of a name: `auto` is oci for root and podman for everybody else.

    `crun` and `runc` are the oci engine with that runtime. Raises EngineError for another name.
    """
    if name == "auto":
        return oci.OciEngine() if os.geteuid() == 0 else podman.PodmanEngine()
    if name in ("oci", "crun", "runc"):
        return oci.OciEngine(None if name == "oci" else name)
    if name == "podman":
        return podman.PodmanEngine()
    if name == "simulated":
        return simulated.SimulatedEngine()
    raise engine.EngineError(f"there is no engine {name!r}: use one of {', '.join(NAMES)}")
