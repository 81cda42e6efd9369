"""`plasmid fsck`: whether all that is stored, and all that is on this machine, agrees."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from plasmid.auth.tokens import Authenticator
from plasmid.blobs.folder import FolderStore
from plasmid.cli import processes, server
from plasmid.cli.trouble import CommandError
from plasmid.config import Config
from plasmid.engines import choice
from plasmid.integrity import checking, host
from plasmid.integrity.checking import Stored
from plasmid.integrity.finding import Finding, Stores
from plasmid.logs.folder import FolderLogs
from plasmid.metadata import inspection
from plasmid.metadata.database import Database, DatabaseUnusableError
from plasmid.methods.call import clock_ms

EXIT_CLEAN: Final = 0
EXIT_FINDINGS: Final = 1
EXIT_CANNOT_CHECK: Final = 2
ROUNDS_MAX: Final = 3


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What to check, and what to do with what is found."""

    data: Path
    work: Path
    repairs: bool = False
    is_deep: bool = False
    as_json: bool = False


class Line(msgspec.Struct):
    """A finding as the command prints it."""

    invariant: str
    subject: str
    detail: str
    repaired: bool


async def fsck(config: Config, request: Request) -> int:
    """Check a platform, live or stopped, and return the exit code."""
    database = request.data / "plasmid.sqlite"
    if not database.is_file():
        raise CommandError(
            f"there is no platform in {request.data}: name its folder with --data",
            EXIT_CANNOT_CHECK,
        )
    try:
        stored = _stored(config, request, database)
        found = await checking.find(stored)
        repaired: list[Finding] = []
        if request.repairs and found:
            repaired, found = await _repair(request, stored, found)
    except (DatabaseUnusableError, OSError) as error:
        raise CommandError(str(error), EXIT_CANNOT_CHECK) from error
    _print(request, repaired, found)
    return EXIT_FINDINGS if found else EXIT_CLEAN


def _stored(config: Config, request: Request, database: Path) -> Stored:
    return Stored(
        picture=lambda: inspection.picture(database),
        blobs=FolderStore(request.data / "blobs"),
        logs=FolderLogs(request.data / "logs"),
        now_ms=clock_ms,
        is_live=processes.holder_of(request.data / "lock") is not None,
        is_deep=request.is_deep,
        machine=host.Machine(
            work_folder=request.work,
            engine=choice.named(config.engine, disk_limit=config.jobs.disk_limit),
            has_worker=processes.holder_of(request.work / "worker.lock") is not None,
        ),
    )


@contextlib.contextmanager
def _held(request: Request, *, is_live: bool) -> Iterator[None]:
    """Keep a server from starting in the middle of repairs, unless one runs already."""
    if is_live:
        yield
        return
    with server.locked(request.data):
        yield


async def _repair(
    request: Request, stored: Stored, found: list[Finding]
) -> tuple[list[Finding], list[Finding]]:
    """Return what was repaired, and what is left."""
    first = found
    if any(finding.invariant == "database" for finding in found):
        return [], found  # what is built on a damaged file would only make it worse
    with _held(request, is_live=stored.is_live):
        database = Database(request.data / "plasmid.sqlite")
        try:
            stores = Stores(
                database,
                stored.blobs,
                stored.logs,
                now_ms=clock_ms,
                randomness=secrets.token_bytes,
                authenticator=Authenticator(),
            )
            for _ in range(ROUNDS_MAX):
                if not await checking.repair(found, stores):
                    break
                found = await checking.find(stored)
                first = [*first, *(new for new in found if new.key not in {f.key for f in first})]
        finally:
            database.close()
    left = {finding.key for finding in found}
    return [finding for finding in first if finding.key not in left], found


def _print(request: Request, repaired: Sequence[Finding], left: Sequence[Finding]) -> None:
    lines = [(finding, True) for finding in repaired] + [(finding, False) for finding in left]
    for finding, is_repaired in lines:
        if request.as_json:
            line = Line(finding.invariant, finding.subject, finding.detail, is_repaired)
            print(msgspec.json.encode(line).decode())
        else:
            mark = "repaired  " if is_repaired else ""
            print(f"{mark}{finding.invariant}  {finding.subject}  {finding.detail}")
    if not request.as_json:
        print(_summary(request, repaired, left))


def _summary(request: Request, repaired: Sequence[Finding], left: Sequence[Finding]) -> str:
    if not left:
        return f"{request.data} is sound" + (f"; {len(repaired)} repaired" if repaired else "")
    can = sum(finding.repair is not None for finding in left)
    if can and not request.repairs:
        return f"{len(left)} findings; {can} of them go with: plasmid fsck --repair"
    return f"{len(left)} findings are left, {len(repaired)} repaired"
