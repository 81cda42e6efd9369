"""Many describes by one call (contract B.4)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.worlds import BOB, World

ROUTES = ("DataObjects", "Executions", "Projects")
NO_JOB = f"job-{'0' * 24}"


async def test_executions_are_described_as_each_describe_does(world: World) -> None:
    applet = await world.an_applet(await world.a_project())
    first, second = await world.a_job(applet, name="a"), await world.a_job(applet, name="b")
    fields = {"id": True, "name": True}
    wanted = [second, {"id": first, "describe": {"fields": fields}}, NO_JOB]
    answer = await world.call("/system/describeExecutions", {"objects": wanted})
    results = answer["results"]
    assert results[0]["describe"] == await world.describe(second)
    assert results[1] == {"describe": {"id": first, "name": "a"}}
    assert results[2]["error"]["type"] == "ResourceNotFound"


async def test_projects_are_described_as_each_describe_does(world: World) -> None:
    mine, other = await world.a_project(name="mine"), await world.a_project(as_=BOB)
    body = {"objects": [mine, other], "classDescribeOptions": {"*": {"fields": {"name": True}}}}
    answer = await world.call("/system/describeProjects", body)
    assert answer["results"][0] == {"describe": {"id": mine, "name": "mine"}}
    assert answer["results"][1]["error"]["type"] == "PermissionDenied"
    whole = await world.call("/system/describeProjects", {"objects": [{"id": mine}]})
    assert whole["results"] == [{"describe": await world.describe(mine)}]


async def test_the_nearest_options_win(world: World) -> None:
    project = await world.a_project()
    record = await world.a_record(project, name="r")
    name, folder = {"fields": {"name": True}}, {"fields": {"folder": True}}
    by_class = {"record": name, "*": folder}
    body = {"objects": [record, {"id": record, "describe": folder}]}
    answer = await world.call(
        "/system/describeDataObjects", {**body, "classDescribeOptions": by_class}
    )
    assert [entry["describe"] for entry in answer["results"]] == [
        {"id": record, "name": "r"}, {"id": record, "folder": "/"}
    ]  # fmt: skip


@pytest.mark.parametrize("what", ROUTES)
async def test_what_is_no_list_of_ids_is_refused(world: World, what: str) -> None:
    wrong: list[Any] = [None, {}, ["x"], [1], [{}], ["user-alice"], [f"app-{'0' * 24}"] * 1001]
    for objects in wrong:
        refusal = await world.refused(f"/system/describe{what}", {"objects": objects})
        assert (refusal.type, '"objects"' in refusal.message) == ("InvalidInput", True)
