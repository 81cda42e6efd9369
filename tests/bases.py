"""One command in one sandbox over a base image, for tests of what is in it."""

from __future__ import annotations

import asyncio
import fcntl
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from plasmid.engines import choice, engine
from plasmid.environments import images

FOLDER = Path(os.environ.get("PLASMID_HOME") or "/var/lib/plasmid") / "images"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SOURCES = Path(__file__).resolve().parents[1] / "src"


def make_if_missing(name: str, folder: Path = FOLDER) -> None:
    """Build a base image that is not there: once, however many tests want it at the same time."""
    if has(name, folder):
        return
    with Path(tempfile.gettempdir(), f"plasmid-tests-{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if has(name, folder):
            return
        subprocess.run(
            [sys.executable, "-P", "-m", "plasmid", "image", "build", name],
            env=os.environ | {"PYTHONPATH": str(SOURCES)},
            check=True,
        )


def has(name: str, folder: Path) -> bool:
    """Say whether there is an image of a name."""
    return any(image.name == name for image in images.Images(folder).list())


def root_of(name: str) -> Path:
    """The root file system of the newest image of a name."""
    found = next((image for image in images.Images(FOLDER).list() if image.name == name), None)
    if found is None:
        pytest.skip(f"no {name} in {FOLDER}: make it with `plasmid image build {name}`")
    return FOLDER / found.digest / "root"


async def run(script: str, folder: Path, image: Path) -> list[str]:
    """Run a script as a job's root over an image; gives what it wrote, line by line."""
    made = choice.named("auto")
    if problems := await made.check():
        pytest.skip(f"no engine works here: {problems[0]}")
    folder.chmod(0o711)
    spec = engine.SandboxSpec(
        name=folder.name,
        folder=folder,
        base_image=image,
        hostname="job-1",
        command=("/bin/bash", "-c", script),
        environment={"PATH": PATH, "HOME": "/home/dnanexus", "LANG": "C.UTF-8"},
        working_directory="/home/dnanexus",
        files={},
        memory_bytes=1 << 30,
        cpu_weight=100,
    )
    sandbox = await made.create(spec)
    try:
        await sandbox.start()
        async with asyncio.timeout(60):
            await sandbox.wait()
        return [line.split(" ", 3)[3] for line in sandbox.log_path.read_text().splitlines()]
    finally:
        await sandbox.remove()
