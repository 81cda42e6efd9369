"""The few rows of a database that a crash could have left wrong, found by indexes alone.

What each query reads is what waits or runs now, not all that ever was.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from plasmid.metadata import analyses, jobs, schema
from plasmid.metadata.database import Prepared, Reader

FOUND_MAX: Final = 500

_j, _w, _k, _o = schema.jobs.c, schema.waits.c, schema.tokens.c, schema.objects.c
_WAITING: Final = ("waiting_on_input", "waiting_on_output")
_is_job = _w.target.like("job-%")
_is_analysis = _w.target.like("analysis-%")
_target = sa.alias(schema.jobs)
_a = schema.analyses.c
_NEVER_WOKEN_BY_JOBS = Prepared(
    sa.select(_w.target)
    .where(
        _is_job,
        sa.not_(
            sa.select(_target.c.id)
            .where(_target.c.id == _w.target, _target.c.state.not_in(jobs.TERMINAL))
            .exists()
        ),
    )
    .distinct()
    .limit(FOUND_MAX)
)
_NEVER_WOKEN_BY_ANALYSES = Prepared(
    sa.select(_w.target)
    .where(
        _is_analysis,
        sa.not_(
            sa.select(_a.id).where(_a.id == _w.target, _a.state.in_(analyses.UNFINISHED)).exists()
        ),
    )
    .distinct()
    .limit(FOUND_MAX)
)
_NEVER_WOKEN_BY_OBJECTS = Prepared(
    sa.select(_w.target)
    .where(
        sa.not_(_is_job),
        sa.not_(_is_analysis),
        sa.not_(sa.select(_o.id).where(_o.id == _w.target, _o.state != "closed").exists()),
    )
    .distinct()
    .limit(FOUND_MAX)
)
_WITHOUT_WAITS = Prepared(
    sa.select(_j.id)
    .where(
        _j.state.in_(_WAITING),
        sa.not_(sa.select(_w.job).where(_w.job == _j.id).exists()),
    )
    .limit(FOUND_MAX)
)
_PASSING = Prepared(sa.select(_j.id).where(_j.state.in_(("idle",))).limit(FOUND_MAX))
_STILL_WAITING = Prepared(
    sa.select(_w.job)
    .join(schema.jobs, _j.id == _w.job)
    .where(_j.state.not_in(_WAITING))
    .distinct()
    .limit(FOUND_MAX)
)
_TOKENS_LEFT = Prepared(
    sa.select(_k.job)
    .join(schema.jobs, _j.id == _k.job)
    .where(_j.state.not_in(jobs.WITH_WORKER))
    .distinct()
    .limit(FOUND_MAX)
)


async def find_never_woken(reader: Reader) -> list[str]:
    """Return what has ended or closed, and for which jobs still wait: executions, data objects."""
    kinds = (_NEVER_WOKEN_BY_JOBS, _NEVER_WOKEN_BY_ANALYSES, _NEVER_WOKEN_BY_OBJECTS)
    return [target for kind in kinds for target in await _ids(reader, kind)]


async def find_without_waits(reader: Reader) -> list[str]:
    """Return the jobs that wait for nothing, or have never been looked at."""
    return await _ids(reader, _WITHOUT_WAITS) + await _ids(reader, _PASSING)


async def find_still_waiting(reader: Reader) -> list[str]:
    """Return the jobs that do not wait and of which it is kept for what they wait."""
    return await _ids(reader, _STILL_WAITING)


async def find_tokens_left(reader: Reader) -> list[str]:
    """Return the jobs that no worker holds and that have a token."""
    return await _ids(reader, _TOKENS_LEFT)


async def _ids(reader: Reader, statement: Prepared) -> list[str]:
    return [str(row[0]) for row in await reader.rows(statement)]
