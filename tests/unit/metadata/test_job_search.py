"""Pages of findExecutions come from an index, in its order: nothing is scanned, nothing sorted."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from plasmid.domain import filters
from plasmid.metadata import job_search
from plasmid.metadata.job_search import Behind, Visible
from plasmid.metadata.rows import JobRow
from tests.worlds import World

PROJECT = "project-" + "P" * 24
JOB = "job-" + "J" * 24
BEHIND = Behind(1, JOB)

COMMON: tuple[tuple[str, dict[str, Any], str], ...] = (
    # what `dx find jobs` sends, and the index that has to answer it
    ("default", {}, "jobs_find_project"),
    ("--state", {"state": "failed"}, "jobs_find_state"),
    ("--user", {"launchedBy": "user-alice"}, "jobs_find_launched_by"),
    ("--executable", {"executable": "applet-" + "A" * 24}, "jobs_find_executable"),
    ("--name exact", {"name": {"glob": "mapping"}}, "jobs_find_name"),
    ("--name glob", {"name": {"glob": "map*"}}, "jobs_find_project"),
    ("--origin-jobs", {"parentJob": None}, "jobs_find_roots"),
    ("--no-subjobs", {"includeSubjobs": False}, "jobs_find_masters"),
    ("--created-after", {"created": {"after": 5}}, "jobs_find_project"),
    ("--created-before", {"created": {"before": 5}}, "jobs_find_project"),
    ("--tag", {"tags": "t"}, "jobs_find_project"),
    ("--property", {"properties": {"k": "v"}}, "jobs_find_project"),
    ("--state --created-after", {"state": "done", "created": {"after": 5}}, "jobs_find_state"),
    ("--state restarted", {"state": "restarted"}, "jobs_find_retried"),
    ("--origin", {"originJob": JOB}, "jobs_find_origin"),
    ("--parent", {"parentJob": JOB}, "jobs_find_parent"),
    ("--root-execution", {"rootExecution": [JOB]}, "jobs_find_tree"),
    ("--origin --state", {"originJob": JOB, "state": "done"}, "jobs_find_origin"),
    ("--parent --created-after", {"parentJob": JOB, "created": {"after": 5}}, "jobs_find_parent"),
)
NAMES = [row[0] for row in COMMON]


def plans(world: World, asked: dict[str, Any], *, behind: Behind | None) -> list[str]:
    """Return how the database would answer each stream of a question."""
    question = filters.read_executions({"project": PROJECT, **asked})
    wanted = job_search.wanted(question, behind)
    found = []
    for lead in job_search.leads(question, Visible([PROJECT], JOB if "tree" in asked else None)):
        statement, values = job_search.stream(wanted | lead, 101)
        given = {**statement.defaults, **values}
        rows = world.database._writer.execute(f"EXPLAIN QUERY PLAN {statement.text}", given)
        found.append("\n".join(row[3] for row in rows))
    return found


@pytest.mark.parametrize("behind", [None, BEHIND])
@pytest.mark.parametrize(("asked", "index"), [row[1:] for row in COMMON], ids=NAMES)
def test_a_page_is_read_from_an_index_in_its_order(
    world: World, asked: dict[str, Any], index: str, behind: Behind | None
) -> None:
    (plan,) = plans(world, asked, behind=behind)
    assert f"SEARCH jobs USING INDEX {index} (" in plan
    assert "SCAN jobs" not in plan
    assert "TEMP B-TREE" not in plan
    bounded = behind is not None or "created" in asked
    assert ("created_ms" in plan) == bounded, "the page goes on where the last one ended"


async def many(world: World, projects: list[str], count: int) -> list[str]:
    """Make jobs of several projects, three of each moment; return their ids, newest first."""
    applet = await world.an_applet(projects[0])
    row = await world.job_row(await world.a_job(applet))
    made = [
        msgspec.structs.replace(
            row,
            id=f"job-{(number * 7919) % 10007:024d}",
            origin_job=f"job-{number:024d}",
            root_execution=f"job-{number:024d}",
            project=projects[number % len(projects)],
            created_ms=row.created_ms + 1 + number // 3,
        )
        for number in range(count)
    ]
    async with world.database.transaction() as tx:
        for each in made:
            await tx.add(each)
    return [each.id for each in sorted(made, key=lambda row: (row.created_ms, row.id))][::-1]


async def paged(
    world: World, visible: Visible, *, limit: int, **asked: Any
) -> tuple[list[str], int]:
    """Return the ids of all pages, and how many pages there were."""
    question = filters.read_executions(asked)
    found: list[JobRow] = []
    behind, pages = None, 0
    while True:
        page = await job_search.find_jobs(
            world.database.reader, question, visible, behind=behind, limit=limit
        )
        found += page
        if len(page) < limit:
            return [row.id for row in found], pages
        behind, pages = Behind(page[-1].created_ms, page[-1].id), pages + 1


async def test_pages_over_several_projects_are_one_order_without_gap_or_double(
    world: World,
) -> None:
    projects = [await world.a_project() for _ in range(3)]
    expected = await many(world, projects, 40)
    after = {"created": {"after": (await world.job_row(expected[-1])).created_ms}}
    for limit in (1, 3, 7, 40):
        found, _ = await paged(world, Visible(projects), limit=limit, **after)
        assert found == expected
    await world.rows("DELETE FROM jobs")


async def test_a_job_of_the_own_tree_in_a_visible_project_is_found_once(world: World) -> None:
    project, other = await world.a_project(), await world.a_project()
    root = await world.a_job(await world.an_applet(project))
    await world.lease(root)
    child = await world.a_subjob(root)
    apart = await world.a_job(await world.an_applet(other))
    found, _ = await paged(world, Visible([project, other], root), limit=10)
    assert sorted(found) == sorted([root, child, apart])
    found, _ = await paged(world, Visible([other], root), limit=10)
    assert sorted(found) == sorted([root, child, apart])
    found, _ = await paged(world, Visible([project, other], root), limit=10, project=other)
    assert found == [apart]
    found, _ = await paged(world, Visible([other]), limit=10, rootExecution=[root])
    assert found == []


async def test_a_wanted_tag_or_property_leaves_out_only_jobs_without_any(world: World) -> None:
    applet = await world.an_applet(await world.a_project())
    plain = await world.a_job(applet)
    tagged = await world.a_job(applet, tags=["t"])
    given = await world.a_job(applet, properties={"k": "v"})
    for asked, expected in (
        ({"tags": "t"}, {tagged}),
        ({"tags": {"$or": ["t", "u"]}}, {tagged}),
        ({"tags": {"$and": []}}, {plain, tagged, given}),
        ({"properties": {"k": True}}, {given}),
        ({"properties": {"k": False}}, {plain, tagged}),
        ({"properties": {"k": "w"}}, set()),
    ):
        answer = await world.call("/system/findExecutions", asked)
        assert {entry["id"] for entry in answer["results"]} == expected, asked
