"""The tools with which a job runs containers, and the layer that brings them into a sandbox.

They are this machine's own podman, conmon and crun, with every library that they load, in one
folder that uses nothing of the base image it lies over: a release of 2016 gets the same. A Go
program starts itself anew, so it cannot be wrapped in a call of its loader: loader and library
folder are written into the programs.

`<folder>/<key>/root` is the layer, named by what it was made of, and whole when it is there.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import shutil
from importlib import resources
from pathlib import Path
from typing import Final

from plasmid.environments import commands, locks, shifted_ids

INSIDE: Final = "/opt/plasmid/containers"
WAIT_SECONDS: Final = 0.1

_PROGRAMS: Final = ("podman", "conmon", "crun")
# Used if they are here: the init of `docker run --init`, and what podman 5 does not start without.
_OPTIONAL: Final = ("catatonit", "netavark", "aardvark-dns")
_FOLDERS: Final = (
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/usr/libexec/podman:/usr/lib/podman"
)
# Programs look users up through it, and that of a base image may not fit their C library.
_LOADED_LATER: Final = ("libnss_compat.so.2",)
_CONFIGURATION: Final = ("containers.conf", "storage.conf", "registries.conf")
_COMMANDS: Final = ("docker", "podman")
_LIBRARY: Final = re.compile(r"^\s*(?:\S+ => )?(/\S+) \(0x[0-9a-f]+\)$", re.MULTILINE)


class ToolsError(Exception):
    """The tools cannot be had; the message names the remedy."""


class Tools:
    """The tools, kept in a folder; owned as base images are: by 300000 if root makes sandboxes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: Path | None = None

    @staticmethod
    def problems() -> list[str]:
        """Return what keeps jobs here from running containers, one remedy a line."""
        missing = [name for name in (*_PROGRAMS, "patchelf") if _find(name) is None]
        return [f"no {name}: apt-get install {name}" for name in missing]

    async def ready(self) -> Path:
        """Return the root of the layer; it is made if it is not here, by one process at a time.

        Raises ToolsError if this machine lacks a program.
        """
        if self._made is None:
            self._made = await self._ready()
        return self._made

    async def _ready(self) -> Path:
        if problems := self.problems():
            raise ToolsError(f"jobs cannot run containers here: {'; '.join(problems)}")
        key = await asyncio.to_thread(_key)
        root = self._folder / key / "root"
        scratch = self._folder / f".build-{key}"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._folder.chmod(0o711)
        while not root.exists():
            claimed = locks.claim(scratch)
            if claimed is None:
                await asyncio.sleep(WAIT_SECONDS)
                continue
            try:
                if not root.exists():
                    await self._make(scratch, root.parent)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
                os.close(claimed)
        return root

    async def _make(self, scratch: Path, target: Path) -> None:
        shutil.rmtree(scratch / "whole", ignore_errors=True)
        root = scratch / "whole" / "root"
        try:
            await _put_programs(root)
            await asyncio.to_thread(_put_files, root)
            if os.geteuid() == 0:
                await asyncio.to_thread(shifted_ids.shift_tree, str(root))
            root.parent.chmod(0o711)
            root.parent.rename(target)
        except (OSError, commands.BuildError) as error:
            raise ToolsError(f"the tools for containers could not be made: {error}") from error


def _find(name: str) -> str | None:
    return shutil.which(name, path=_FOLDERS)


def _programs() -> dict[str, Path]:
    """Return the programs of this machine by name, with links followed."""
    found = {name: _find(name) for name in (*_PROGRAMS, *_OPTIONAL)}
    return {name: Path(path).resolve() for name, path in found.items() if path is not None}


def _files() -> dict[str, tuple[int, bytes]]:
    """Return the files that are ours: path to mode and content."""
    folder = resources.files("plasmid").joinpath("runtime", "containers")
    made = {f"/usr/bin/{name}": (0o755, folder.joinpath(name).read_bytes()) for name in _COMMANDS}
    # Before what a job may install itself: a docker of its own finds no daemon in a sandbox.
    made |= {path.replace("/usr/", "/usr/local/"): file for path, file in made.items()}
    for name in _CONFIGURATION:
        made[f"{INSIDE}/etc/{name}"] = (0o644, folder.joinpath(name).read_bytes())
    made["/etc/containers/policy.json"] = (0o644, folder.joinpath("policy.json").read_bytes())
    return made


def _key() -> str:
    """Return the name of what would be made now: of every program and file that goes into it."""
    made = hashlib.sha256(str(os.geteuid() == 0).encode())
    for name, path in sorted(_programs().items()):
        with path.open("rb") as source:
            made.update(name.encode() + hashlib.file_digest(source, "sha256").digest())
    for name, (mode, content) in sorted(_files().items()):
        made.update(f"{name} {mode} {len(content)}\n".encode() + content)
    made.update(Path(__file__).read_bytes())
    return made.hexdigest()[:32]


async def _put_programs(root: Path) -> None:
    """Copy the programs and what they load, and lead them to it."""
    inner = root / INSIDE.lstrip("/")
    for name in ("bin", "lib", "etc"):
        (inner / name).mkdir(parents=True)
    libraries: set[Path] = set()
    for name, program in _programs().items():
        copy = inner / "bin" / name
        await asyncio.to_thread(shutil.copyfile, program, copy)
        copy.chmod(0o755)
        loaded = await _libraries(program)
        if not loaded:
            continue
        libraries.update(loaded)
        loader = Path(
            (await commands.output(["patchelf", "--print-interpreter", str(copy)])).strip()
        )
        libraries.add(loader)
        at = f"{INSIDE}/lib"
        lead = ["--set-interpreter", f"{at}/{loader.name}", "--force-rpath", "--set-rpath", at]
        await commands.output(["patchelf", *lead, str(copy)])
    for library in libraries | {_beside(libraries, name) for name in _LOADED_LATER}:
        with contextlib.suppress(FileNotFoundError):
            await asyncio.to_thread(shutil.copyfile, library, inner / "lib" / library.name)
            (inner / "lib" / library.name).chmod(0o755)


async def _libraries(program: Path) -> list[Path]:
    """Return the libraries that a program loads; none of one that is linked statically."""
    try:
        said = await commands.output(["ldd", str(program)], environ={"LC_ALL": "C"})
    except commands.BuildError as error:
        if "not a dynamic executable" in str(error):
            return []
        raise
    return [Path(path) for path in _LIBRARY.findall(said)]


def _beside(libraries: set[Path], name: str) -> Path:
    """Return where a library would be that lies beside the C library."""
    libc = next((path for path in libraries if path.name.startswith("libc.so")), Path("/lib/x"))
    return libc.with_name(name)


def _put_files(root: Path) -> None:
    for name, (mode, content) in _files().items():
        path = root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(mode)
    # Folders of a layer hide what the base image says of them: they are as everywhere.
    for folder in (path for path in [root, *root.rglob("*")] if path.is_dir()):
        folder.chmod(0o755)
