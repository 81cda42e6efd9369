"""I8: on this machine there is nothing of a try that no worker has to do with any more.

Only what bears the name of a job of this platform, or lies in its work folder, is looked at: other
platforms of the same machine are none of our business.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from plasmid.engines import cgroups, disk, overlay
from plasmid.engines.engine import Engine, EngineError
from plasmid.integrity.around import NOT_HELD
from plasmid.integrity.finding import Finding, Repair, Workshop
from plasmid.metadata import jobs
from plasmid.metadata.inspection import JobFacts

PROC: Final = Path("/proc")
SYS_BLOCK: Final = Path("/sys/block")
_TRY: Final = re.compile(r"(job-[0-9A-Za-z]{24})\.(\d+)")


class Machine(msgspec.Struct, frozen=True):
    """Where to look; `has_worker` says that a worker is at work in the folder."""

    work_folder: Path
    engine: Engine
    has_worker: bool = False


class Left(msgspec.Struct, frozen=True):
    """Something on this machine that bears the name of a try."""

    job: str
    attempt: int
    what: str


async def check(machine: Machine, known: Mapping[str, JobFacts]) -> AsyncIterator[Finding]:
    """Yield what is left of tries that are over."""
    found = await asyncio.to_thread(lambda: list(find(machine.work_folder)))
    for left in found:
        facts = known.get(left.job)
        is_ours = facts is not None or left.what.startswith("folder")
        if not is_ours or _is_held(facts, left.attempt):
            continue
        why = "is not there" if facts is None else f"is {facts.state} in try {facts.attempt}"
        remedy = "its worker removes it" if machine.has_worker else "repair removes it"
        yield Finding(
            invariant="I8",
            subject=left.job,
            detail=f"{why}, but of its try {left.attempt} there is {left.what}; {remedy}",
            repair=None if machine.has_worker else _remove(machine, left),
        )


def _is_held(facts: JobFacts | None, attempt: int) -> bool:
    return facts is not None and facts.attempt == attempt and facts.state not in NOT_HELD


def find(work_folder: Path) -> Iterator[Left]:
    """Give all on this machine that bears the name of a try."""
    if work_folder.is_dir():
        for path in sorted(work_folder.iterdir()):
            yield from _left(path.name, f"folder {path}")
    for mount in _mounts():
        if mount.startswith(f"{work_folder}/"):
            yield from _left(mount.removeprefix(f"{work_folder}/"), f"mount {mount}")
    for device, image in _loops():
        if image.startswith(f"{work_folder}/"):
            yield from _left(image.removeprefix(f"{work_folder}/"), f"loop device {device}")
    for group in _groups():
        yield from _left(group.name, f"cgroup {group}")
    for pid, bundle in _supervisors():
        if bundle.startswith(f"{work_folder}/"):
            yield from _left(bundle.removeprefix(f"{work_folder}/"), f"supervisor {pid}")


def _left(name: str, what: str) -> Iterator[Left]:
    found = _TRY.match(name)
    if found is not None:
        yield Left(found[1], int(found[2]), what)


def _mounts() -> Iterator[str]:
    for line in (PROC / "self" / "mountinfo").read_text().splitlines():
        yield line.split()[4].encode().decode("unicode_escape")


def _loops() -> Iterator[tuple[str, str]]:
    for backing in SYS_BLOCK.glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):
            yield backing.parent.parent.name, backing.read_text().strip()


def _groups() -> Iterator[Path]:
    for hierarchy in cgroups.find_hierarchies():
        parent = Path(hierarchy.mount) / cgroups.PARENT_NAME
        with contextlib.suppress(FileNotFoundError):
            yield from sorted(path for path in parent.iterdir() if path.is_dir())


def _supervisors() -> Iterator[tuple[str, str]]:
    """Give the pids of conmons of ours, and the folders of their sandboxes' bundles."""
    for entry in PROC.iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                arguments = (entry / "cmdline").read_bytes().split(b"\0")
                if b"--bundle" in arguments and entry.stat().st_uid == os.geteuid():
                    bundle = arguments[arguments.index(b"--bundle") + 1]
                    yield entry.name, os.fsdecode(bundle)


def _remove(machine: Machine, left: Left) -> Repair:
    async def repair(workshop: Workshop) -> None:
        row = await jobs.find_job(workshop.database.reader, left.job)
        if row is not None and row.attempt == left.attempt and row.state not in NOT_HELD:
            return
        folder = machine.work_folder / f"{left.job}.{left.attempt}"
        await _remove_sandbox(machine.engine, folder / "sandbox")
        await asyncio.to_thread(_remove_rest, folder)

    return repair


async def _remove_sandbox(engine: Engine, folder: Path) -> None:
    sandbox = await engine.adopt(folder)
    if sandbox is not None:
        with contextlib.suppress(EngineError):  # what stays is found again
            await sandbox.remove()


def _remove_rest(folder: Path) -> None:
    """Remove what is left where the engine's own state is damaged or gone."""
    groups = cgroups.groups_of(cgroups.find_hierarchies(), folder.name)
    with contextlib.suppress(OSError):
        cgroups.remove(groups)
    if (folder / "sandbox").is_dir():
        with contextlib.suppress(OSError):
            overlay.unmount(folder / "sandbox" / "root")
            disk.remove(folder / "sandbox")
    shutil.rmtree(folder, ignore_errors=True)
