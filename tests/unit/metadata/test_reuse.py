"""What smart reuse reads does not grow with the number of jobs."""

from __future__ import annotations

import pytest

from plasmid.metadata import reuse
from plasmid.metadata.database import Prepared
from plasmid.metadata.rows import JobRow
from tests.worlds import World


class Explained(Prepared):
    """A statement that tells how it would be carried out."""

    @property
    def text(self) -> str:
        return f"EXPLAIN QUERY PLAN {super().text}"


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        (reuse._EQUAL, "jobs_reuse"),
        (reuse._OF_EXECUTABLE, "jobs_find_executable"),
        (reuse._OF_PROJECT, "jobs_find_project"),
    ],
)
async def test_the_newest_jobs_are_read_off_an_index(
    world: World, statement: Prepared, index: str
) -> None:
    """Neither all jobs nor all of a key, an executable or a project are sorted."""
    given = {"k": "k", "p": "p", "e": "e"}
    plan = await world.database.reader.rows(Explained(statement._statement), given)
    told = " ".join(str(row) for row in plan)
    assert f"USING INDEX {index}" in told
    assert "TEMP B-TREE" not in told


async def test_of_very_many_equal_jobs_the_newest_are_given(world: World) -> None:
    applet = await world.an_applet(await world.a_project())
    job = await world.a_job(applet)
    await world.finish(job)
    key = (await world.job_row(job)).reuse_key
    assert key is not None
    columns = ", ".join(
        {
            "id": "printf('job-%024d', value)",
            "root_execution": "printf('job-%024d', value)",
            "created_ms": "created_ms + value",
        }.get(name, name)
        for name in JobRow.__struct_fields__
    )
    await world.rows(
        "WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < 500)"
        f" INSERT INTO jobs SELECT {columns} FROM n, (SELECT * FROM jobs WHERE id = '{job}')"
    )
    found = await reuse.find_equal(world.database.reader, key)
    newest = [f"job-{number:024d}" for number in range(500, 500 - reuse.EQUAL_MAX, -1)]
    assert [row.id for row in found] == newest
    await world.rows(f"DELETE FROM jobs WHERE id != '{job}'")
