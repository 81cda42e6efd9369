"""The jobs whose logs a reader of a tree reads."""

from __future__ import annotations

from plasmid.metadata import members
from plasmid.metadata.members import Member
from tests.worlds import World


async def test_a_job_and_all_below_it_nearer_ones_first(world: World) -> None:
    applet = await world.an_applet(await world.a_project())
    root = await world.a_job(applet)
    await world.lease(root)
    first, second = await world.a_subjob(root), await world.a_subjob(root)
    await world.lease(first)
    below = await world.a_subjob(first)
    await world.a_job(applet)
    reader = world.database.reader
    found = await members.find_members(reader, root, with_below=True)
    assert found[0].id == root
    assert {member.id for member in found[1:3]} == {first, second}
    assert found[3:] == [Member(below, "runnable", 0)]
    found = await members.find_members(reader, first, with_below=True)
    assert [member.id for member in found] == [first, below]
    assert await members.find_members(reader, root, with_below=False) == [
        Member(root, "running", 0)
    ]
    assert await members.find_members(reader, "job-" + "0" * 24, with_below=True) == []
