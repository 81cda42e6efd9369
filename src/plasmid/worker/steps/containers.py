"""Gives a job the means to run containers and to mount, if it needs them (domain/containers.py)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from plasmid.domain import assignments, containers
from plasmid.engines import engine
from plasmid.environments import containers as container_tools
from plasmid.environments import scripts
from plasmid.worker import log_pump
from plasmid.worker.steps import workspace
from plasmid.worker.world import World

_NO_NEED: Final = (
    "this job may not run containers or mount, as its code, dependencies, input and scripts name "
    "neither docker nor dxfuse: name it in the code, or set [containers] allow = always in "
    "plasmid.toml"
)
_OFF: Final = "containers and mounts are switched off here ([containers] allow = never)"
_REFUSED: Final = ("docker", "podman", "dxfuse")
_MOUNTING: Final = {
    "/usr/bin/dxfuse": "dxfuse",
    "/opt/plasmid/fuse/fuse_kernel.py": "fuse_kernel.py",
    "/opt/plasmid/fuse/platform_files.py": "platform_files.py",
}


class Means(msgspec.Struct, frozen=True):
    """What a sandbox gets: layers on top of its others, files, the rights; and what to log."""

    layers: tuple[Path, ...] = ()
    files: dict[str, bytes] = msgspec.field(default_factory=dict)
    runs_containers: bool = False
    notes: tuple[str, ...] = ()


async def equip(
    world: World,
    spec: engine.SandboxSpec,
    *,
    assignment: assignments.Assignment,
    pump: log_pump.LogPump,
) -> engine.SandboxSpec:
    """Return a job's sandbox with the means it needs, and say in its log which."""
    if world.adapters.tools is None:
        return spec
    below = (spec.base_image, *spec.layers)
    mode = world.settings.containers
    found = await means(assignment, below, mode=mode, tools=world.adapters.tools)
    for note in found.notes:
        pump.say(note)
    return msgspec.structs.replace(
        spec,
        layers=(*spec.layers, *found.layers),
        files={**spec.files, **found.files},
        runs_containers=found.runs_containers,
    )


async def means(
    assignment: assignments.Assignment,
    below: Sequence[Path],
    *,
    mode: str,
    tools: container_tools.Tools,
) -> Means:
    """Return what a job gets whose sandbox lies over `below`, base image first.

    `mode` is `[containers] allow`. What is withheld is answered inside by a command of that name
    which says why, unless there is a real one.
    """
    need = await asyncio.to_thread(_need, assignment, below, mode)
    if not need.mounts:
        reason = _OFF if mode == containers.NEVER else _NO_NEED
        return Means(files=_refusals(_REFUSED, below, reason))
    note = f"This job may run containers and mount, as {need.why}"
    mounting = {path: workspace.runtime_file(name) for path, name in _MOUNTING.items()}
    if not need.runs_containers:
        return Means(files=mounting, runs_containers=True, notes=(note,))
    try:
        layer = await tools.ready()
    except container_tools.ToolsError as error:
        refused = _refusals(("docker", "podman"), below, str(error))
        return Means(files=mounting | refused, runs_containers=True, notes=(note, str(error)))
    return Means(layers=(layer,), files=mounting, runs_containers=True, notes=(note,))


def _need(assignment: assignments.Assignment, below: Sequence[Path], mode: str) -> containers.Need:
    if mode == containers.NEVER:
        return containers.NOTHING
    if mode == containers.ALWAYS:
        return containers.Need(runs_containers=True, mounts=True, why="[containers] allow = always")
    need = containers.of_job(
        code=assignment.code,
        exec_depends=assignment.exec_depends,
        job_input=assignment.input,
    )
    if need.runs_containers:
        return need
    return containers.greatest([need, *(scripts.need(layer) for layer in below[1:])])


def _refusals(names: Sequence[str], below: Sequence[Path], reason: str) -> dict[str, bytes]:
    """Return the commands that refuse, but for those that are there for real."""
    script = workspace.runtime_file("containers/refused").replace(b"@REASON@", _quoted(reason))
    return {
        f"/usr/bin/{name}": script
        for name in names
        if not any(os.path.lexists(root / "usr/bin" / name) for root in below)
    }


def _quoted(text: str) -> bytes:
    """Return a text for a place between double quotes of a shell script."""
    for character in '\\"$`':
        text = text.replace(character, "\\" + character)
    return " ".join(text.split()).encode()
