"""Makes the root file system of a base image on this host, from its own apt sources and its pip.

As root, its ids are shifted by 300000 (see shifted_ids.py). Otherwise it is unpacked in podman's
user namespace, where root is who we are: such an image is for the podman engine of the same user.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from plasmid.environments import apt_sources, recipes, shifted_ids

_BUNDLE: Final = Path("/etc/ssl/certs/ca-certificates.crt")
_SHIPPED_CERTIFICATES: Final = Path("/usr/share/ca-certificates")
_SYSTEM_PYTHONS: Final = ("/usr/bin/python3", "python3")
_TAIL_LINES_MAX: Final = 12
# Lines of mmdebstrap that are no step.
_UNTOLD: Final = (
    "I: automatically",
    "I: chroot arch",
    "I: done",
    "I: finding",
    "I: removing",
    "I: running --customize-hook",
    "I: skipping",
    "I: success in",
    "I: using",
)


class BuildError(Exception):
    """A step of a build failed; the message has its last words."""


class Built(msgspec.Struct, frozen=True):
    """What a build made at `<scratch>/root`."""

    files: dict[str, tuple[int, str]]
    packages: tuple[str, ...]
    apt_hosts: tuple[str, ...]
    size_bytes: int
    seconds: dict[str, float]


class _Clock:
    """Tells each step as it begins and keeps how long it took."""

    def __init__(self, progress: Callable[[str], None]) -> None:
        self._progress = progress
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        self._progress(name)
        began = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - began, 2)


async def build(recipe: recipes.Recipe, scratch: Path, progress: Callable[[str], None]) -> Built:
    """Make a recipe's root file system at `scratch/root`; raises BuildError.

    `progress` gets a line at the start of every step.
    """
    _check_tools()
    clock = _Clock(progress)
    root = scratch / "root"
    with tempfile.TemporaryDirectory(prefix="plasmid-build-") as stage:
        with clock.step("reading the host's settings"):
            dump = await _output(["apt-config", "dump"])
            files = recipes.furniture(recipes.apt_settings(dump))
            await asyncio.to_thread(_stage, recipe, Path(stage), files)
        with clock.step("fetching dxpy and what it needs"):
            await _fetch_wheels(recipe, Path(stage))
        await _follow(await _command(recipe, root, dump, stage=Path(stage)), clock)
    if os.geteuid() == 0:
        with clock.step("shifting ids"):
            await asyncio.to_thread(_finish_root, root)
    else:
        with clock.step("unpacking"):
            await _unpack(root)
    packages = (root / recipes.PACKAGE_LIST.lstrip("/")).read_text().splitlines()
    return Built(
        files=files,
        packages=tuple(sorted(packages)),
        apt_hosts=_hosts_inside(root),
        size_bytes=await asyncio.to_thread(_size_bytes, root),
        seconds=clock.seconds,
    )


async def _command(recipe: recipes.Recipe, root: Path, dump: str, *, stage: Path) -> list[str]:
    """Return the command that makes a recipe's root file system on this host."""
    as_root = os.geteuid() == 0
    return recipes.mmdebstrap_command(
        recipe,
        str(root if as_root else _archive(root)),
        sources=await asyncio.to_thread(_host_sources, recipe.suite),
        settings=[*recipes.apt_settings(dump), *recipes.build_only_settings(dump)],
        hook=str(stage / "customize"),
        as_root=as_root,
    )


def _archive(root: Path) -> Path:
    return root.with_suffix(".tar")


async def _unpack(root: Path) -> None:
    """Unpack the archive of a root file system with the ids of podman's user namespace."""
    root.mkdir()
    options = ["--numeric-owner", "--exclude=./dev/*", "-xpf", str(_archive(root))]
    await _output(["podman", "unshare", "tar", "-C", str(root), *options])
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


def _host_sources(suite: str) -> list[apt_sources.Source]:
    """Return the host's sources of a Debian release; none if it has none (then the default)."""
    folder = Path("/etc/apt")
    names = [folder / "sources.list", *folder.glob("sources.list.d/*")]
    texts = {
        str(path): path.read_text(errors="replace")
        for path in names
        if path.suffix in (".list", ".sources") and path.exists()
    }
    release = platform.freedesktop_os_release()
    own = release.get("VERSION_CODENAME", "") if release.get("ID") == "debian" else ""
    return apt_sources.of_release(apt_sources.parse(texts), suite, own)


def _stage(recipe: recipes.Recipe, scratch: Path, files: dict[str, tuple[int, str]]) -> None:
    """Lay out what the customize script takes into the root, for everybody to read.

    Without root, the script runs as another user of this host.
    """
    scratch.chmod(0o755)
    staged = {path: (mode, text.encode()) for path, (mode, text) in files.items()}
    for number, certificate in enumerate(_local_certificates()):
        path = f"/usr/local/share/ca-certificates/host-{number}.crt"
        staged[path] = (0o644, certificate.encode())
    for path, (mode, content) in staged.items():
        file = scratch / "files" / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        file.chmod(mode | 0o444)
    script = scratch / "customize"
    script.write_text(recipes.customize_script(recipe))
    script.chmod(0o755)


def _local_certificates() -> list[str]:
    """Return the certificates that this host trusts by its administrator's word."""
    if not _BUNDLE.exists():
        return []
    shipped = "\n".join(p.read_text(errors="replace") for p in _SHIPPED_CERTIFICATES.rglob("*.crt"))
    return recipes.local_certificates(_BUNDLE.read_text(errors="replace"), shipped)


async def _fetch_wheels(recipe: recipes.Recipe, scratch: Path) -> None:
    """Fetch wheels of all requirements with the host's pip and its settings."""
    wheels = scratch / "wheels"
    wheels.mkdir()
    pip = await _pip()
    # dxpy is published as source only; it has no compiled part, so its wheel fits any Python.
    pinned = [r for r in recipe.requirements if "==" in r]
    others = [r for r in recipe.requirements if "==" not in r]
    await _output([*pip, "wheel", "--quiet", "--no-deps", "--wheel-dir", str(wheels), *pinned])
    options = recipes.download_options(recipe, platform.machine())
    built = [str(path) for path in wheels.glob("*.whl")]
    await _output([*pip, "download", "--quiet", "--dest", str(wheels), *options, *built, *others])


async def _pip() -> list[str]:
    """Return a pip command of this host that works."""
    for python in (sys.executable, *_SYSTEM_PYTHONS):
        with contextlib.suppress(BuildError):
            await _output([python, "-m", "pip", "--version"])
            return [python, "-m", "pip", "--disable-pip-version-check"]
    raise BuildError("no pip on this host: apt-get install python3-pip")


async def _follow(command: Sequence[str], clock: _Clock) -> None:
    """Run mmdebstrap; each of its `I: …` lines is a step."""
    tail: list[str] = []
    step = contextlib.ExitStack()
    async with _process(command) as process:
        async for raw in _lines(process):
            line = raw.decode(errors="replace").rstrip()
            tail = [*tail, line][-_TAIL_LINES_MAX:]
            if line.startswith("I: ") and not line.startswith(_UNTOLD):
                step.close()
                step.enter_context(clock.step(line.removeprefix("I: ").rstrip(".")))
        step.close()
        if await process.wait() != 0:
            raise BuildError("mmdebstrap failed:\n" + "\n".join(tail))


async def _lines(process: asyncio.subprocess.Process) -> AsyncIterator[bytes]:
    while process.stdout is not None and (line := await process.stdout.readline()):
        yield line


async def _output(command: Sequence[str]) -> str:
    """Run a command and return what it printed; BuildError with its last words if it fails."""
    async with _process(command) as process:
        output, _ = await process.communicate()
    text = output.decode(errors="replace")
    if process.returncode != 0:
        tail = "\n".join(text.strip().splitlines()[-_TAIL_LINES_MAX:])
        raise BuildError(f"`{' '.join(command[:4])} …` failed:\n{tail}")
    return text


@contextlib.asynccontextmanager
async def _process(command: Sequence[str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a command with both outputs as one; it is ended if we leave before it has."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        )
    except OSError as error:
        raise BuildError(f"{command[0]} cannot be run: {error}") from error
    try:
        yield process
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()


def _finish_root(root: Path) -> None:
    """Make a new root ready for sandboxes: no devices of its own, shifted ids."""
    for entry in (root / "dev").iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    shifted_ids.shift_tree(str(root))


def _hosts_inside(root: Path) -> tuple[str, ...]:
    """Return the hosts of the sources that mmdebstrap wrote into a root."""
    folder = root / "etc/apt"
    names = [folder / "sources.list", *folder.glob("sources.list.d/*")]
    texts = {str(path): path.read_text() for path in names if path.is_file()}
    return tuple(sorted({source.host for source in apt_sources.parse(texts)}))


def _size_bytes(root: Path) -> int:
    seen: set[int] = set()
    total = 0
    for folder, _, files in os.walk(root):
        for name in files:
            status = Path(folder, name).lstat()
            if status.st_ino not in seen:
                seen.add(status.st_ino)
                total += status.st_blocks * 512
    return total
