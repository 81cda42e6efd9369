"""What smart reuse asks for: equal jobs, those nearly equal, and what analyses say of their stages.

Each query reads a few rows by an index, however many jobs there are.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
import sqlalchemy as sa

from plasmid.domain import reuse, ssh_access
from plasmid.metadata import jobs, schema
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
_ANALYSIS = Prepared(sa.select(_a.parent_analysis, _a.properties).where(_a.id == param("k")))
_SOURCE: Final = f"$.{reuse.SOURCE}"


def _sources_of(table: sa.Table) -> sa.Select[Any]:
    """Return the query of what the executions of one class, as stages, have their outputs from."""
    earlier = table.alias()
    source = sa.func.json_extract(table.c.settings, _SOURCE)
    return (
        sa.select(earlier.c.parent_analysis, earlier.c.stage == table.c.stage)
        .select_from(table.outerjoin(earlier, earlier.c.id == source))
        .where(table.c.parent_analysis == param("k"))
    )


_SOURCES_OF_STAGES = Prepared(sa.union_all(_sources_of(schema.jobs), _sources_of(schema.analyses)))
_below = jobs.below()
_WITH_LOGIN = Prepared(
    sa.select(_j.id)
    .join(_below, _j.id == _below.c.id)
    .where(
        sa.or_(
            sa.func.json_array_length(_j.settings, f"$.{ssh_access.FIELD}") > 0,
            sa.func.json_extract(_j.settings, f"$.{ssh_access.WAS_ALLOWED}"),
        )
    )
    .limit(1)
)


async def could_log_in(reader: Reader, job_id: str) -> bool:
    """Say whether somebody could log in to a job, or to one of those below it, at any time."""
    return await reader.row(_WITH_LOGIN, {"k": job_id}) is not None


class StageSource(msgspec.Struct, frozen=True):
    """The analysis in which what a stage has its outputs from was run, and if as the same stage."""

    analysis: str | None
    is_same_stage: bool


async def find_sources_of_stages(reader: Reader, analysis_id: str) -> list[StageSource]:
    """Return where each execution of an analysis' stages has its outputs from; None if it ran."""
    found = await reader.rows(_SOURCES_OF_STAGES, {"k": analysis_id})
    return [StageSource(row[0], bool(row[1])) for row in found]


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


async def find_properties_above(reader: Reader, row: JobRow) -> list[dict[str, str]]:
    """Return the properties of the analyses whose stages lead to a job, nearest first."""
    found = []
    analysis = row.parent_analysis
    while analysis is not None:
        told = await reader.row(_ANALYSIS, {"k": analysis})
        if told is None:
            break
        analysis = told[0]
        found.append(msgspec.json.decode(told[1]))
    return found
