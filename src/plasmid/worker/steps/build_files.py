"""What is put into a sandbox that builds a layer, and what of it is taken out of the layer."""

from __future__ import annotations

import functools
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

import msgspec

from plasmid.domain import build_steps
from plasmid.environments import mirrors, trees
from plasmid.worker.steps import environment, log_sockets, workspace

STATE: Final = workspace.STATE
BUILD: Final = f"{STATE}/build.sh"
ARCHIVE: Final = f"{workspace.DOWNLOADS}/0"
FAILURE: Final = f"{STATE}/failure"
RESOLVED: Final = f"{STATE}/resolved.json"
CA_BUNDLE: Final = environment.CA_BUNDLE
_INSTALLERS: Final = "installers"
# Made by the engine or by us; every sandbox gets its own.
_OURS: Final = (
    STATE,
    "/etc/hosts",
    "/etc/hostname",
    "/etc/resolv.conf",
    "/run/.containerenv",
    "/.dockerenv",
)
# Of no use to anybody who comes later.
_RESTS: Final = (
    "/root/.cache",
    f"{environment.HOME}/.cache",
    f"{environment.HOME}/.cpanm",
    "/var/cache/apt/pkgcache.bin",
    "/var/cache/apt/srcpkgcache.bin",
    "/var/cache/apt/archives/lock",
    "/var/lib/apt/lists/lock",
    "/var/lib/dpkg/lock",
    "/var/lib/dpkg/lock-frontend",
)
_EMPTIED: Final = ("/run", "/var/cache/apt/archives", "/var/lib/apt/lists/partial")


def command(step: build_steps.Step) -> tuple[str, ...]:
    """Return the command that does a step."""
    if step.bundle is not None:
        return ("/bin/sh", BUILD, "unpack", step.bundle.name)
    return ("/bin/sh", BUILD, "install")


def variables() -> dict[str, str]:
    """Return the environment of a build: a job's without anything of the job."""
    return {
        name: value
        for name, value in environment.BASE.items()
        if not name.startswith("DX_") or name == "DX_CLI_WD"
    }


def files(
    step: build_steps.Step, ca_bundle: Path | None, sources: mirrors.Mirrors
) -> dict[str, bytes]:
    """Return the files of a build: absolute path to content."""
    made = {path: content for path, content in workspace.tools().items() if path != workspace.START}
    made[BUILD] = workspace.runtime_file("build.sh")
    if step.group is not None:
        made |= _installer()
        made |= workspace.network_files(ca_bundle) | sources.files()
        made[f"{STATE}/dependencies.json"] = msgspec.json.encode(
            {
                "groups": [step.group],
                "environment": environment.network_variables(ca_bundle),
                "mirrors": sources.inside(),
                "lock": step.lock,
            }
        )
    return made


def clean(tree: Path, put: dict[str, bytes], step: build_steps.Step) -> None:
    """Take out of a finished step's changes what is not the step's: ours, caches and locks."""
    for path in _OURS:
        trees.take_out(tree, path)
    trees.take_out_same(tree, put)
    for path in (log_sockets.INSIDE, "/opt/dnanexus", "/opt"):
        trees.take_out_if_empty(tree, path)
    if step.group is not None:
        for path in _RESTS:
            trees.take_out(tree, path)
        for path in _EMPTIED:
            trees.empty(tree, path)


@functools.cache
def _installer() -> dict[str, bytes]:
    """Return the program that installs packages, with its modules."""
    made = {f"{STATE}/install-dependencies": workspace.runtime_file("install_dependencies.py")}
    folder = resources.files("plasmid").joinpath("runtime", _INSTALLERS)
    return made | {
        f"{STATE}/{_INSTALLERS}/{entry.name}": entry.read_bytes() for entry in _scripts(folder)
    }


def _scripts(folder: Traversable) -> list[Traversable]:
    return [entry for entry in folder.iterdir() if entry.name.endswith((".py", ".R"))]
