"""Workspaces without job, jobs without workspace, and rows that name nothing, are found."""

from __future__ import annotations

import pytest

from tests.unit.integrity.conftest import Damaged


async def test_the_workspace_of_an_ended_tree_is_found_and_removed(damaged: Damaged) -> None:
    world = damaged.world
    job = await world.a_job(await world.an_applet(await world.a_project()))
    workspace = (await world.job_row(job)).workspace
    await damaged.falsify("CREATE TABLE kept AS SELECT * FROM containers")
    await world.finish(job)
    await damaged.falsify(f"INSERT INTO containers SELECT * FROM kept WHERE id = '{workspace}'")
    assert await damaged.found() == [("places", workspace)]
    assert await damaged.repair() == 0


async def test_a_workspace_that_is_kept_on_purpose_is_sound(damaged: Damaged) -> None:
    world = damaged.world
    applet = await world.an_applet(await world.a_project())
    await world.finish(await world.a_job(applet, delayWorkspaceDestruction=True))
    assert await damaged.find() == []


async def test_a_living_job_without_workspace_is_found(damaged: Damaged) -> None:
    world = damaged.world
    job = await world.a_job(await world.an_applet(await world.a_project()))
    workspace = (await world.job_row(job)).workspace
    await damaged.falsify(f"DELETE FROM containers WHERE id = '{workspace}'")
    assert ("places", job) in await damaged.found()


@pytest.mark.parametrize(
    "damage, detail",
    [
        ("DELETE FROM objects WHERE class_name = 'record'", "a place names an object"),
        ("DELETE FROM placements", "lies in no project"),
        ("DELETE FROM containers", "lies in a project or container that is not there"),
        ("DELETE FROM containers", "a folder is in a project"),
        ("DELETE FROM containers", "has members but"),
        ("INSERT INTO links VALUES ('record-x', 'record-y')", "has links but"),
        ("INSERT INTO waits (job, target) VALUES ('job-x', 'job-y')", "waits but is not there"),
        (
            "INSERT INTO tokens VALUES ('x', NULL, '{}', 'job-x', '', 0, NULL)",
            "has a token but",
        ),
        ("DELETE FROM folders", "objects lie in its folder /a/b"),
    ],
)
async def test_rows_that_name_nothing_are_found_and_go(
    damaged: Damaged, damage: str, detail: str
) -> None:
    project = await damaged.world.a_project()
    await damaged.world.a_record(project, folder="/a/b", parents=True)
    assert await damaged.find() == []
    await damaged.falsify(damage)
    assert detail in await damaged.details()
    await damaged.repair()
    assert await damaged.repair() == 0
