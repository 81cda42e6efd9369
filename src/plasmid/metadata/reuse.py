"""What smart reuse asks for: equal jobs, those nearly equal, and what a stage's analyses say.

Each query reads a few rows by an index, however many jobs there are.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
import sqlalchemy as sa

from plasmid.metadata import schema
from plasmid.metadata.database import Prepared, Reader, param
from plasmid.metadata.rows import JobRow

EQUAL_MAX: Final = 20
NEAR_MAX: Final = 20

_j, _a = schema.jobs.c, schema.analyses.c
_NEWEST_FIRST: Final = (_j.created_ms.desc(), _j.id.desc())
# only jobs that are done have a key
_EQUAL = Prepared(
    sa.select(schema.jobs)
    .with_hint(schema.jobs, "INDEXED BY jobs_reuse", "sqlite")
    .where(_j.reuse_key == param("k"))
    .order_by(_j.created_ms.desc())
    .limit(EQUAL_MAX)
)
_OF_EXECUTABLE = Prepared(
    sa.select(schema.jobs)
    .with_hint(schema.jobs, "INDEXED BY jobs_find_executable", "sqlite")
    .where(_j.project == param("p"), _j.executable == param("e"))
    .order_by(*_NEWEST_FIRST)
    .limit(NEAR_MAX)
)
_OF_PROJECT = Prepared(
    sa.select(schema.jobs)
    .with_hint(schema.jobs, "INDEXED BY jobs_find_project", "sqlite")
    .where(_j.project == param("p"))
    .order_by(*_NEWEST_FIRST)
    .limit(NEAR_MAX)
)
_ANALYSIS = Prepared(
    sa.select(_a.parent_analysis, _a.stage, _a.settings, _a.workflow, _a.properties).where(
        _a.id == param("k")
    )
)


class Above(msgspec.Struct, frozen=True):
    """An analysis above a job: which stage of it leads to the job, and what was said of reuse."""

    stage: str | None
    settings: dict[str, Any]
    workflow: dict[str, Any]
    properties: dict[str, str]


async def find_equal(reader: Reader, key: str) -> list[JobRow]:
    """Return the newest jobs of a key, all of them done, newest first."""
    return await reader.structs(JobRow, _EQUAL, {"k": key})


async def find_near(reader: Reader, project: str, executable: str) -> list[JobRow]:
    """Return the newest jobs of an executable in a project that others may be given outputs of."""
    found = await reader.structs(JobRow, _OF_EXECUTABLE, {"p": project, "e": executable})
    return [row for row in found if row.reuse_key is not None]


async def find_of_other(reader: Reader, project: str, row: JobRow) -> JobRow | None:
    """Return a recent job in a project of another executable that has the same name, or None."""
    for found in await reader.structs(JobRow, _OF_PROJECT, {"p": project}):
        is_same = found.executable == row.executable
        if found.reuse_key and not is_same and found.executable_name == row.executable_name:
            return found
    return None


async def find_analyses_above(reader: Reader, row: JobRow) -> list[Above]:
    """Return the analyses whose stages lead to a job, nearest first."""
    found: list[Above] = []
    analysis, stage = row.parent_analysis, row.stage
    while analysis is not None:
        told = await reader.row(_ANALYSIS, {"k": analysis})
        if told is None:
            break
        decode = msgspec.json.decode
        found.append(Above(stage, decode(told[2]), decode(told[3]), decode(told[4])))
        analysis, stage = told[0], told[1]
    return found
