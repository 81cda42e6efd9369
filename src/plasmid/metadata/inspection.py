"""Read all of a database in one picture.

The picture is one read transaction on a connection of its own: what a live platform writes in the
meantime is not in it, and nothing waits for it.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Collection, Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import msgspec
import sqlalchemy as sa

from plasmid.metadata import analyses, migrate, schema
from plasmid.metadata.database import DatabaseUnusableError, Prepared, Reader, listed, param
from plasmid.metadata.jobs import TERMINAL
from plasmid.metadata.rows import AnalysisRow, JobRow, ObjectRow, PartRow

PAGE_ROWS: Final = 2000
DAMAGE_LINES_MAX: Final = 20

_j, _o, _p, _w = schema.jobs.c, schema.objects.c, schema.parts.c, schema.waits.c
_t, _k, _a = schema.tries.c, schema.tokens.c, schema.analyses.c
_JOBS = Prepared(sa.select(schema.jobs).where(_j.id > param("k")).order_by(_j.id).limit(PAGE_ROWS))
_FILES = Prepared(
    sa.select(schema.objects)
    .where(_o.id > param("k"), _o.class_name == "file", _o.state == "closed")
    .order_by(_o.id)
    .limit(PAGE_ROWS)
)
_PARTS = Prepared(
    sa.select(schema.parts)
    .where(_p.object >= param("a"), _p.object <= param("z"))
    .order_by(_p.object, _p.part)
)
_FACTS = Prepared(
    sa.select(_j.id, _j.state, _j.attempt, _j.parent_job, _j.root_execution, _j.workspace)
)
_ANALYSIS_FACTS = Prepared(
    sa.select(
        _a.id,
        _a.state,
        sa.literal_column("0"),
        _a.parent_job,
        _a.root_execution,
        _a.workspace,
    )
)
_WAITS = Prepared(sa.select(_w.job, _w.target))
_TRIES = Prepared(sa.select(_t.job, _t.attempt, _t.row))
_TOKENS = Prepared(sa.select(_k.job, _k.actor).where(_k.job.is_not(None)))
_BLOBS = Prepared(sa.select(_p.blob).where(_p.blob.is_not(None)))
_HAS_BLOB = Prepared(sa.select(_p.object).where(_p.blob == param("b")).limit(1))
_CONTAINERS = Prepared(
    sa.select(schema.containers.c.id, schema.containers.c.class_name, schema.containers.c.name)
)


_BLOB_PAGE = Prepared(
    sa.select(_p.object, _p.part, _p.blob)
    .where(sa.tuple_(_p.object, _p.part) > sa.tuple_(param("o"), param("n")))
    .order_by(_p.object, _p.part)
    .limit(PAGE_ROWS)
)
_READABLE = Prepared(
    sa.select(_j.id).where(
        _j.id.in_(listed("ids")),
        sa.or_(
            _j.state.not_in(TERMINAL),
            sa.select(schema.containers.c.id).where(schema.containers.c.id == _j.project).exists(),
        ),
    )
)


class JobFacts(msgspec.Struct, frozen=True):
    """What others need to know of a job."""

    id: str
    state: str
    attempt: int
    parent_job: str | None
    root_execution: str
    workspace: str


class TokenFacts(msgspec.Struct, frozen=True):
    """The try that a job's token stands for; JSON of an Actor has more."""

    attempt: int = 0


@contextlib.contextmanager
def picture(path: Path) -> Iterator[Reader]:
    """Give a reader of a database file as it is now; raises DatabaseUnusableError."""
    try:
        connection = sqlite3.connect(
            f"file:{quote(str(path))}?mode=ro", uri=True, isolation_level=None
        )
    except sqlite3.DatabaseError as error:
        raise _unusable(path, error) from error
    try:
        connection.execute("PRAGMA busy_timeout=10000")
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        yield Reader(connection)
    except sqlite3.DatabaseError as error:
        raise _unusable(path, error) from error
    finally:
        connection.close()


def _unusable(path: Path, error: sqlite3.DatabaseError) -> DatabaseUnusableError:
    return DatabaseUnusableError(
        f"{path}: cannot be read as a database ({error}); restore it from a backup"
    )


async def find_damage(reader: Reader) -> list[str]:
    """Return what SQLite itself finds wrong in the file, a line each; [] for a sound one."""
    rows = await reader.rows(sa.text(f"PRAGMA integrity_check({DAMAGE_LINES_MAX})"))
    return [str(row[0]) for row in rows if row[0] != "ok"]


async def find_version(reader: Reader) -> str | None:
    """Return the version of the tables, or None if there are none."""
    with contextlib.suppress(sqlite3.OperationalError):
        row = await reader.row(sa.text("SELECT version_num FROM alembic_version"))
        return str(row[0]) if row else None
    return None


def known_version() -> str:
    """Return the version of the tables that this program works with."""
    return migrate.HEAD


async def every_job(reader: Reader) -> AsyncIterator[JobRow]:
    """Give all jobs by id, holding few at a time."""
    last = ""
    while page := await reader.structs(JobRow, _JOBS, {"k": last}):
        for row in page:
            yield row
        last = page[-1].id


async def every_closed_file(reader: Reader) -> AsyncIterator[tuple[ObjectRow, list[PartRow]]]:
    """Give all closed files by id with their parts, holding few at a time."""
    last = ""
    while page := await reader.structs(ObjectRow, _FILES, {"k": last}):
        between = {"a": page[0].id, "z": page[-1].id}
        parts: dict[str, list[PartRow]] = {}
        for part in await reader.structs(PartRow, _PARTS, between):
            parts.setdefault(part.object, []).append(part)
        for row in page:
            yield row, parts.get(row.id, [])
        last = page[-1].id


async def find_job_facts(reader: Reader) -> dict[str, JobFacts]:
    """Return the facts of all jobs by id."""
    return {facts.id: facts for facts in await reader.structs(JobFacts, _FACTS)}


async def find_analysis_facts(reader: Reader) -> dict[str, JobFacts]:
    """Return the facts of all analyses by id, as those of jobs that are tried once."""
    return {facts.id: facts for facts in await reader.structs(JobFacts, _ANALYSIS_FACTS)}


async def every_analysis(reader: Reader) -> AsyncIterator[AnalysisRow]:
    """Give all analyses by id, holding few at a time."""
    last = ""
    while page := await analyses.find_page(reader, last, PAGE_ROWS):
        for row in page:
            yield row
        last = page[-1].id


async def find_all_waits(reader: Reader) -> dict[str, set[str]]:
    """Return what each job waits for."""
    return _grouped(await reader.rows(_WAITS))


def _grouped(pairs: Any) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for one, other in pairs:
        found.setdefault(one, set()).add(other)
    return found


async def find_all_tries(reader: Reader) -> dict[str, dict[int, JobRow]]:
    """Return each job as it was at the end of its earlier tries, by their number."""
    found: dict[str, dict[int, JobRow]] = {}
    for job, attempt, row in await reader.rows(_TRIES):
        found.setdefault(job, {})[attempt] = msgspec.json.decode(row, type=JobRow)
    return found


async def find_token_tries(reader: Reader) -> dict[str, list[int]]:
    """Return the tries for which there are tokens, by job."""
    decode = msgspec.json.Decoder(TokenFacts).decode
    found: dict[str, list[int]] = {}
    for job, actor in await reader.rows(_TOKENS):
        found.setdefault(job, []).append(decode(actor).attempt)
    return found


async def find_blob_names(reader: Reader) -> set[str]:
    """Return the names of the bytes of all parts."""
    return {str(row[0]) for row in await reader.rows(_BLOBS)}


async def every_blob_name(reader: Reader) -> AsyncIterator[set[str]]:
    """Give the names of the bytes of all parts, some at a time; what changes meanwhile may miss."""
    last: tuple[str, int] = ("", 0)
    while page := await reader.rows(_BLOB_PAGE, {"o": last[0], "n": last[1]}):
        yield {str(row[2]) for row in page if row[2] is not None}
        last = (str(page[-1][0]), int(page[-1][1]))


async def find_unreadable(reader: Reader, job_ids: Collection[str]) -> list[str]:
    """Return those of some jobs that are not there, or are over and in a project that is gone."""
    listing = msgspec.json.encode(list(job_ids)).decode()
    readable = {str(row[0]) for row in await reader.rows(_READABLE, {"ids": listing})}
    return [job for job in job_ids if job not in readable]


async def has_blob(reader: Reader, name: str) -> bool:
    """Say whether bytes belong to a part; reads all parts."""
    return await reader.row(_HAS_BLOB, {"b": name}) is not None


async def find_container_names(reader: Reader) -> dict[str, tuple[str, str]]:
    """Return the class and the name of every project and container."""
    return {row[0]: (row[1], row[2]) for row in await reader.rows(_CONTAINERS)}
