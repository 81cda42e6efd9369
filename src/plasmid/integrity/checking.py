"""Run all checks over one picture of a platform; look again at what they found, and repair it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager
from typing import Final

import msgspec

from plasmid.blobs.store import BlobStore, Kept
from plasmid.integrity import (
    analyses,
    around,
    endings,
    files,
    histories,
    host,
    lines,
    places,
    tries,
    waiting,
)
from plasmid.integrity.around import Around
from plasmid.integrity.finding import Finding, Workshop
from plasmid.logs.store import KeptLog, LogStore
from plasmid.metadata import inspection
from plasmid.metadata.database import Reader
from plasmid.metadata.rows import JobRow

GRACE_MS: Final = 10 * 60 * 1000
"""How old bytes of no file are on a live platform before they count: an upload ends in between."""
PAUSE_SECONDS: Final = 1.0
LOOKS_MAX: Final = 12


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """A platform's stores: `picture` gives a reader of the database as it is when called.

    `is_live` says that a server may be writing; without `machine` the host is not looked at.
    """

    picture: Callable[[], AbstractContextManager[Reader]]
    blobs: BlobStore
    logs: LogStore
    now_ms: Callable[[], int]
    is_live: bool = False
    is_deep: bool = False
    machine: host.Machine | None = None


async def find(stored: Stored) -> list[Finding]:
    """Return what is wrong; on a live platform only what stays wrong while it is looked at again.

    A chore or a worker that is in the middle of something has LOOKS_MAX seconds to end it.
    """
    found = await look(stored)
    looks = 1
    while found and looks < LOOKS_MAX and _may_pass(stored):
        await asyncio.sleep(PAUSE_SECONDS)
        again = {finding.key: finding for finding in await look(stored)}
        found = [again[finding.key] for finding in found if finding.key in again]
        looks += 1
    return found


def _may_pass(stored: Stored) -> bool:
    return stored.is_live or (stored.machine is not None and stored.machine.has_worker)


async def look(stored: Stored) -> list[Finding]:
    """Return what one picture of the platform has wrong."""
    # Listed first: what is kept in the meantime is in the picture, and not nobody's.
    before_ms = stored.now_ms() - GRACE_MS if stored.is_live else stored.now_ms()
    blobs = [kept async for kept in stored.blobs.every()]
    logs = [kept async for kept in stored.logs.every()]
    with stored.picture() as reader:
        found = [finding async for finding in _check_database(reader, is_empty=not (blobs or logs))]
        if found or await inspection.find_version(reader) is None:
            return found
        found += [finding async for finding in check_rows(reader)]
        found += await _check_bytes(reader, stored, blobs, before_ms=before_ms)
        found += await _check_outside(reader, stored, logs)
    return found


async def _check_database(reader: Reader, *, is_empty: bool) -> AsyncIterator[Finding]:
    version = await inspection.find_version(reader)
    if version is None and is_empty:
        return  # killed before its first start had made the tables
    if version != inspection.known_version():
        yield Finding(
            invariant="database",
            subject="plasmid.sqlite",
            detail=f"has tables of version {version}, not {inspection.known_version()};"
            " start the server once, it brings them up to date",
        )
        return
    for line in await inspection.find_damage(reader):
        yield Finding(
            invariant="database",
            subject="plasmid.sqlite",
            detail=f"is damaged: {line}; restore it from a backup",
        )


async def check_rows(reader: Reader) -> AsyncIterator[Finding]:
    """Yield what the rows of a database have wrong among themselves (I1-I4, I7, I9, I13, I14)."""
    known = await around.read(reader)
    containers = await places.find_containers(reader)
    kept_workspaces: set[str] = set()
    async for row in inspection.every_job(reader):
        async for finding in _check_job(row, known, containers):
            yield finding
        if places.is_kept(row):
            kept_workspaces.add(row.workspace)
    async for analysis in inspection.every_analysis(reader):
        for finding in analyses.check(analysis, known, containers):
            yield finding
        if places.is_kept(analysis):
            kept_workspaces.add(analysis.workspace)
    for finding in waiting.circles(known):
        yield finding
    for finding in places.check_left(known, containers, kept_workspaces):
        yield finding
    async for finding in places.check_rows(reader):
        yield finding


async def _check_job(
    row: JobRow, known: Around, containers: dict[str, tuple[str, str]]
) -> AsyncIterator[Finding]:
    async for finding in waiting.check(row, known):
        yield finding
    async for finding in endings.check(row, known):
        yield finding
    for finding in itertools.chain(
        tries.check(row, known),
        histories.check(row, known),
        places.check(row, known, containers),
    ):
        yield finding


async def _check_bytes(
    reader: Reader, stored: Stored, kept: Sequence[Kept], *, before_ms: int
) -> list[Finding]:
    found = [
        finding
        async for finding in files.check_closed(reader, stored.blobs, is_deep=stored.is_deep)
    ]
    found += [finding async for finding in files.check_kept(reader, kept, before_ms=before_ms)]
    return found


async def _check_outside(reader: Reader, stored: Stored, logs: Sequence[KeptLog]) -> list[Finding]:
    known = await inspection.find_job_facts(reader)
    found = [
        finding async for finding in lines.check(stored.logs, logs, known, is_deep=stored.is_deep)
    ]
    if stored.machine is not None:
        found += [finding async for finding in host.check(stored.machine, known)]
    return found


async def repair(found: Sequence[Finding], workshop: Workshop) -> list[Finding]:
    """Carry out the repairs of findings and return those that have one."""
    repaired = [finding for finding in found if finding.repair is not None]
    for finding in repaired:
        if finding.repair is not None:
            await finding.repair(workshop)
    return repaired
