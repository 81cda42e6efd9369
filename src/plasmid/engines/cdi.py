"""Devices of the host for a sandbox, by the Container Device Interface (CDI).

A vendor's toolkit describes its cards in files below /etc/cdi and /var/run/cdi: which device files,
libraries, variables and hooks a container needs for `vendor.com/class=name`. Hooks are programs
that run as the host's root: as with every other user of CDI, whoever may write these files is
trusted with that, so a file that others than root may write is refused.

Device files are bound into the sandbox as they are: the sandbox's root is nobody of the host, so a
device has to be open to everybody (mode 0666, as graphics cards are).

Source: CDI specification 0.8 (SPEC.md).
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import msgspec.yaml

from plasmid.engines import engine

FOLDERS: Final = (Path("/etc/cdi"), Path("/var/run/cdi"))
GPU_CLASS: Final = "gpu"
_SUFFIXES: Final = (".json", ".yaml", ".yml")


class DeviceNode(msgspec.Struct, rename="camel"):
    """A device file; `host_path` is the host's, if it has another name there."""

    path: str
    host_path: str = ""


class Mount(msgspec.Struct, rename="camel"):
    """A file or folder of the host."""

    host_path: str
    container_path: str
    options: list[str] = []


class Hook(msgspec.Struct, rename="camel"):
    """A program that the runtime calls at a point of the sandbox's life, as in an OCI config."""

    hook_name: str
    path: str
    args: list[str] = []
    env: list[str] = []
    timeout: int | None = None


class Edits(msgspec.Struct, rename="camel"):
    """What a device needs in a container."""

    env: list[str] = []
    device_nodes: list[DeviceNode] = []
    mounts: list[Mount] = []
    hooks: list[Hook] = []


class Device(msgspec.Struct, rename="camel"):
    """One device of a kind."""

    name: str
    container_edits: Edits = msgspec.field(default_factory=Edits)


class Spec(msgspec.Struct, rename="camel"):
    """One file: a vendor's devices of one class; `container_edits` hold for all of them."""

    kind: str
    devices: list[Device] = []
    container_edits: Edits = msgspec.field(default_factory=Edits)


def read(folders: Sequence[Path] | None = None) -> dict[str, Spec]:
    """Return the specs by file name; those of a later folder hide those of an earlier one.

    Raises EngineError that names a file which cannot be taken.
    """
    found: dict[str, Spec] = {}
    for folder in FOLDERS if folders is None else folders:
        if folder.is_dir():
            files = sorted(path for path in folder.iterdir() if path.suffix in _SUFFIXES)
            found |= {path.name: _spec(path) for path in files}
    return found


def _spec(path: Path) -> Spec:
    try:
        if path.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise engine.EngineError(
                f"{path} can be written by others than its owner, and may name programs to run as "
                f"root: chmod go-w {path}"
            )
        decode = msgspec.json.decode if path.suffix == ".json" else msgspec.yaml.decode
        return decode(path.read_bytes(), type=Spec)
    except (OSError, msgspec.DecodeError) as error:
        raise engine.EngineError(f"{path} is no CDI specification: {error}") from error


def names(specs: Iterable[Spec]) -> list[str]:
    """Return the full names of all devices."""
    return [f"{spec.kind}={device.name}" for spec in specs for device in spec.devices]


def gpus(folders: Sequence[Path] | None = None) -> tuple[str, ...]:
    """Return the graphics cards of this machine, each once; none if a file cannot be read.

    A card mostly has several names (its number, its serial number, and "all" for all together):
    the numbers are taken, and where there are none, all names but "all".
    """
    try:
        specs = read(folders).values()
    except engine.EngineError:
        return ()
    found = [name for name in names(specs) if name.partition("=")[0].endswith(f"/{GPU_CLASS}")]
    numbered = [name for name in found if re.fullmatch(r"\d+", name.partition("=")[2])]
    return tuple(numbered or [name for name in found if not name.endswith("=all")])


def edits_for(wanted: Sequence[str], folders: Sequence[Path] | None = None) -> Edits:
    """Return what these devices need together; raises EngineError for one that is not there."""
    specs = read(folders).values() if wanted else ()
    parts: list[Edits] = []
    for name in wanted:
        kind, _, device_name = name.partition("=")
        holders = [spec for spec in specs if spec.kind == kind]
        matches = [(s, d) for s in holders for d in s.devices if d.name == device_name]
        if not matches:
            raise engine.EngineError(
                f"there is no device {name} in {' or '.join(map(str, folders or FOLDERS))}: there "
                f"are {', '.join(names(specs)) or 'none'}"
            )
        spec, device = matches[-1]
        # The common part of a kind once, however many of its devices are wanted.
        parts += [part for part in (spec.container_edits,) if part not in parts]
        parts.append(device.container_edits)
    return Edits(
        env=[line for part in parts for line in part.env],
        device_nodes=[node for part in parts for node in part.device_nodes],
        mounts=[mount for part in parts for mount in part.mounts],
        hooks=[hook for part in parts for hook in part.hooks],
    )


def applied(spec: engine.SandboxSpec, edits: Edits) -> engine.SandboxSpec:
    """Return the spec of a sandbox with a device's files and variables; pure."""
    nodes = [
        engine.Mount(node.host_path or node.path, node.path, read_only=False)
        for node in edits.device_nodes
    ]
    mounts = [
        engine.Mount(mount.host_path, mount.container_path, read_only="ro" in mount.options)
        for mount in edits.mounts
    ]
    variables = dict(line.split("=", 1) for line in edits.env if "=" in line)
    return msgspec.structs.replace(
        spec,
        mounts=(*dict.fromkeys([*spec.mounts, *nodes, *mounts]),),
        environment={**variables, **spec.environment},
    )


def hooks_of(edits: Edits) -> dict[str, list[dict[str, Any]]]:
    """Return the `hooks` of an OCI configuration; pure."""
    found: dict[str, list[dict[str, Any]]] = {}
    for hook in edits.hooks:
        entry: dict[str, Any] = {"path": hook.path}
        entry |= {"args": hook.args} if hook.args else {}
        entry |= {"env": hook.env} if hook.env else {}
        entry |= {"timeout": hook.timeout} if hook.timeout is not None else {}
        found.setdefault(hook.hook_name, []).append(entry)
    return found
