"""I3 and I13: a job that is over, and yet is not, is found."""

from __future__ import annotations

from tests.unit.integrity.conftest import Damaged
from tests.worlds import World


async def done(world: World) -> str:
    """Return a job that is done, whose output is a closed file."""
    project = await world.a_project()
    applet = await world.an_applet(
        project, inputSpec=[], outputSpec=[{"name": "made", "class": "file"}]
    )
    job = await world.a_job(applet)
    await world.lease(job)
    workspace = (await world.job_row(job)).workspace
    file = await world.a_closed_file(workspace, as_=world.token_of(job))
    assert await world.finish(job, {"made": {"$dnanexus_link": file}}) == "done"
    return job


async def test_a_done_job_is_sound_also_when_its_owner_removes_its_output(damaged: Damaged) -> None:
    world = damaged.world
    job = await done(world)
    assert await damaged.find() == []
    row = await world.job_row(job)
    assert row.output is not None
    file = row.output["made"]["$dnanexus_link"]
    await world.call(f"/{row.project}/removeObjects", {"objects": [file]})
    while await world.collect():
        pass
    assert await damaged.find() == []


async def test_a_done_job_without_output_is_found(damaged: Damaged) -> None:
    job = await done(damaged.world)
    await damaged.falsify("UPDATE jobs SET output = NULL")
    assert await damaged.found() == [("I3", job)]


async def test_an_output_that_is_not_what_was_promised_is_found(damaged: Damaged) -> None:
    job = await done(damaged.world)
    await damaged.falsify("UPDATE jobs SET output = '{\"other\":1}'")
    assert await damaged.found() == [("I3", job)]


async def test_an_output_that_still_refers_to_a_job_is_found(damaged: Damaged) -> None:
    job = await done(damaged.world)
    reference = f'{{"$dnanexus_link":{{"job":"{job}","field":"made"}}}}'
    await damaged.falsify(f"""UPDATE jobs SET output = '{{"made":{reference}}}'""")
    assert "still refers to" in await damaged.details()


async def test_an_open_file_in_the_output_of_a_done_job_is_found(damaged: Damaged) -> None:
    job = await done(damaged.world)
    await damaged.falsify("UPDATE objects SET state = 'open' WHERE class_name = 'file'")
    assert await damaged.found() == [("I3", job)]


async def test_a_done_job_that_still_waits_is_found_and_waits_no_more(damaged: Damaged) -> None:
    job = await done(damaged.world)
    await damaged.falsify(f"INSERT INTO waits (job, target) VALUES ('{job}', '{job}')")
    assert await damaged.found() == [("I3", job)]
    assert await damaged.repair() == 0


async def test_a_parent_that_is_done_before_its_child_is_found(damaged: Damaged) -> None:
    world = damaged.world
    parent = await world.a_job(await world.an_applet(await world.a_project()))
    await world.lease(parent)
    child = await world.a_subjob(parent)
    await world.report(parent, output={})
    await damaged.falsify(f"DELETE FROM waits WHERE job = '{parent}'")
    await damaged.falsify(
        "UPDATE jobs SET state = 'done', output = '{}', state_transitions = replace("
        f"state_transitions, 'waiting_on_output', 'done') WHERE id = '{parent}'"
    )
    assert await damaged.found() == [("I13", parent)]
    assert child in await damaged.details()
