"""globalSearch: names that contain a text, of what the caller sees (contract B.1)."""

from __future__ import annotations

from tests.worlds import BOB, World


async def test_projects_and_objects_whose_names_contain_the_text_are_found(world: World) -> None:
    project = await world.a_project(name="a*b project")
    record = await world.a_record(project, name="xa*by")
    await world.a_record(project, name="axb")
    await world.a_record(await world.a_project(as_=BOB), name="a*b", as_=BOB)
    answer = await world.call("/system/globalSearch", {"query": "a*b"})
    assert answer == {
        "results": [
            {"id": project, "class": "project", "name": "a*b project"},
            {"id": record, "class": "record", "name": "xa*by", "project": project},
        ],
        "next": None,
    }


async def test_a_page_goes_on_behind_the_last_object(world: World) -> None:
    project = await world.a_project(name="many")
    wanted = {await world.a_record(project, name=f"many {number}") for number in range(5)}
    found: list[str] = []
    starting = None
    while True:
        body = {"query": "many", "limit": 2, "starting": starting}
        answer = await world.call("/system/globalSearch", body)
        found += [entry["id"] for entry in answer["results"]]
        starting = answer["next"]
        if starting is None:
            break
    assert found[0] == project
    assert sorted(found[1:]) == sorted(wanted)


async def test_a_search_without_text_is_refused(world: World) -> None:
    assert (await world.refused("/system/globalSearch", {})).type == "InvalidInput"
