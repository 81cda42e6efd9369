"""Makes the root file system of a base image on this host, from its own apt sources and its pip.

As root, its ids are shifted by 300000 (see shifted_ids.py). Otherwise it is unpacked in podman's
user namespace, where root is who we are: such an image is for the podman engine of the same user.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from plasmid.environments import apt_sources, commands, furnishing, host, recipes, shifted_ids
from plasmid.environments.commands import BuildError

__all__ = ["BuildError", "Built", "build", "delete_tree"]

# Lines of mmdebstrap that are no step.
_UNTOLD: Final = (
    "I: automatically",
    "I: chroot arch",
    "I: done",
    "I: finding",
    "I: removing",
    "I: running --",
    "I: skipping",
    "I: success in",
    "I: using",
)


class Built(msgspec.Struct, frozen=True):
    """What a build made at `<scratch>/root`."""

    files: dict[str, tuple[int, str]]
    packages: tuple[str, ...]
    apt_hosts: tuple[str, ...]
    size_bytes: int
    seconds: dict[str, float]


class Clock:
    """Tells each step as it begins and keeps how long it took."""

    def __init__(self, progress: Callable[[str], None]) -> None:
        self._progress = progress
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Tell a step and take its time."""
        self._progress(name)
        began = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - began, 2)


async def build(
    recipe: recipes.Recipe,
    scratch: Path,
    progress: Callable[[str], None],
    *,
    mirrors: host.Mirrors,
    base: Path | None = None,
) -> Built:
    """Make a recipe's root file system at `scratch/root`; raises BuildError.

    `progress` gets a line at the start of every step. With `base`, a tar file of a root file
    system, what the recipe wants is added to that.
    """
    _check_tools()
    clock = Clock(progress)
    root = scratch / "root"
    with tempfile.TemporaryDirectory(prefix="plasmid-build-") as name:
        stage = Path(name)
        with clock.step("reading the host's settings"):
            dump = await commands.output(["apt-config", "dump"])
            files = furnishing.files(furnishing.apt_settings(dump))
            await asyncio.to_thread(host.stage, recipe, stage, files)
            command = await asyncio.to_thread(
                _command, recipe, root, dump=dump, stage=stage, mirrors=mirrors, base=base
            )
        with clock.step("fetching dxpy and what it needs"):
            await host.fetch_clients(recipe, stage)
        await _follow(command, clock)
    if os.geteuid() == 0:
        with clock.step("shifting ids"):
            await asyncio.to_thread(finish_root, root)
    else:
        with clock.step("unpacking"):
            await _unpack(root)
    packages = (root / furnishing.PACKAGE_LIST.lstrip("/")).read_text().splitlines()
    return Built(
        files=files,
        packages=tuple(sorted(packages)),
        apt_hosts=hosts_inside(root),
        size_bytes=await asyncio.to_thread(size_bytes, root),
        seconds=clock.seconds,
    )


def finish(root: Path, packages: tuple[str, ...]) -> Built:
    """Make an unpacked root that needs nothing more ready for sandboxes."""
    if os.geteuid() == 0:
        finish_root(root)
    return Built(files={}, packages=packages, apt_hosts=(), size_bytes=size_bytes(root), seconds={})


async def answers(recipe: recipes.Recipe, mirrors: host.Mirrors, *, seconds: float) -> bool:
    """Say whether the archives of a release give their package lists within that time."""
    with tempfile.TemporaryDirectory(prefix="plasmid-ask-") as name:
        command = recipes.command(
            recipe,
            str(Path(name) / "root"),
            sources=await asyncio.to_thread(host.sources, recipe, mirrors),
            settings=[
                'Acquire::Retries "0";',
                *furnishing.INDEX_SETTINGS,
                *furnishing.build_only_settings(await commands.output(["apt-config", "dump"])),
            ],
            customize="true",
            keyring=host.keyring(recipe, mirrors),
            as_root=os.geteuid() == 0,
        )
        try:
            async with asyncio.timeout(seconds):
                await commands.output([command[0], "--simulate", *command[1:]])
        except (TimeoutError, BuildError):
            return False
    return True


def _command(
    recipe: recipes.Recipe,
    root: Path,
    *,
    dump: str,
    stage: Path,
    mirrors: host.Mirrors,
    base: Path | None,
) -> list[str]:
    """Return the command that makes a recipe's root file system on this host."""
    as_root = os.geteuid() == 0
    return recipes.command(
        recipe,
        str(root if as_root else _archive(root)),
        sources=host.sources(recipe, mirrors),
        settings=[
            *furnishing.INDEX_SETTINGS,
            *furnishing.apt_settings(dump),
            *furnishing.build_only_settings(dump),
        ],
        customize=str(stage / "customize"),
        keyring=host.keyring(recipe, mirrors),
        base=str(base) if base else "",
        as_root=as_root,
    )


def _archive(root: Path) -> Path:
    return root.with_suffix(".tar")


async def _unpack(root: Path) -> None:
    """Unpack the archive of a root file system with the ids of podman's user namespace."""
    root.mkdir()
    options = ["--numeric-owner", "--exclude=./dev/*", "-xpf", str(_archive(root))]
    await commands.output(["podman", "unshare", "tar", "-C", str(root), *options])
    _archive(root).unlink()


def delete_tree(path: Path) -> None:
    """Delete a folder with root file systems in it, as far as that goes; absent is fine."""
    if os.geteuid() != 0:
        # What users other than root own inside belongs to other ids of ours.
        subprocess.run(["podman", "unshare", "rm", "-rf", str(path)], check=False)
    shutil.rmtree(path, ignore_errors=True)


def _check_tools() -> None:
    needed = ["mmdebstrap"] if os.geteuid() == 0 else ["mmdebstrap", "podman", "newuidmap"]
    packages = {"newuidmap": "uidmap"}
    for tool in needed:
        if shutil.which(tool) is None:
            package = packages.get(tool, tool)
            raise BuildError(f"{tool} is not installed: apt-get install {package}")


async def _follow(command: list[str], clock: Clock) -> None:
    """Run mmdebstrap; each of its `I: …` lines is a step."""
    with contextlib.ExitStack() as step:

        def on_line(line: str) -> None:
            if line.startswith("I: ") and not line.startswith(_UNTOLD):
                step.close()
                step.enter_context(clock.step(line.removeprefix("I: ").rstrip(".")))

        await commands.follow(command, on_line)


def finish_root(root: Path) -> None:
    """Make a new root ready for sandboxes: no devices of its own, shifted ids."""
    for entry in (root / "dev").iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    shifted_ids.shift_tree(str(root))


def hosts_inside(root: Path) -> tuple[str, ...]:
    """Return the hosts of the package sources that are written in a root."""
    folder = root / "etc/apt"
    names = [folder / "sources.list", *folder.glob("sources.list.d/*")]
    texts = {str(path): path.read_text() for path in names if path.is_file()}
    return tuple(sorted({source.host for source in apt_sources.parse(texts)}))


def size_bytes(root: Path) -> int:
    """Return what a root takes on disk, hard links once."""
    seen: set[int] = set()
    total = 0
    for folder, _, files in os.walk(root):
        for name in files:
            status = Path(folder, name).lstat()
            if status.st_ino not in seen:
                seen.add(status.st_ino)
                total += status.st_blocks * 512
    return total
