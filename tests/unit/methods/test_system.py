"""Identity and batch describes (contract B.1, B.4, J.3)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.worlds import BOB, World


async def test_whoami_says_the_id_and_on_request_the_address(world: World) -> None:
    assert await world.call("/system/whoami") == {"id": "user-alice"}
    asked = {"fields": {"clientIp": True, "id": True}}
    assert await world.call("/system/whoami", asked) == {
        "id": "user-alice", "clientIp": "192.0.2.7"
    }  # fmt: skip


async def test_inside_a_job_whoami_is_the_launching_user(world: World) -> None:
    job = await world.a_job(await world.an_applet(await world.a_project()))
    await world.lease(job)
    assert await world.call("/system/whoami", as_=world.token_of(job)) == {"id": "user-alice"}


async def test_user_info_names_the_user_without_the_prefix(world: World) -> None:
    assert (await world.call("/system/getUserInfo"))["username"] == "alice"


@pytest.mark.parametrize("route", ["/system/findApps", "/system/findGlobalWorkflows"])
async def test_there_are_no_apps_yet_and_the_finders_say_so(world: World, route: str) -> None:
    assert await world.call(route, {"name": "x"}) == {"results": [], "next": None}


async def test_objects_are_described_in_the_order_asked_for_each_in_its_own_way(
    world: World,
) -> None:
    project = await world.a_project()
    file = await world.a_closed_file(project, name="f")
    record = await world.a_record(project, name="r", details={"k": 1})
    hidden_from_alice = await world.a_record(await world.a_project(as_=BOB), as_=BOB)
    body: dict[str, Any] = {
        "objects": [
            record,
            {"id": file, "project": project, "describe": {"fields": {"name": True}}},
            hidden_from_alice,
            "record-" + "0" * 24,
        ],
        "classDescribeOptions": {"record": {"fields": {"details": True}}, "*": True},
    }
    results = (await world.call("/system/describeDataObjects", body))["results"]
    assert results[0] == {"describe": {"id": record, "details": {"k": 1}}}
    assert results[1] == {"describe": {"id": file, "name": "f"}}
    assert [result["error"]["type"] for result in results[2:]] == ["ResourceNotFound"] * 2


async def test_the_star_serves_classes_without_options_of_their_own(world: World) -> None:
    record = await world.a_record(await world.a_project(), name="r")
    for options, expected in (
        ({"*": {"fields": {"name": True}}}, {"id": record, "name": "r"}),
        ({"file": True, "*": {"fields": {"state": True}}}, {"id": record, "state": "open"}),
    ):
        body = {"objects": [record], "classDescribeOptions": options}
        results = (await world.call("/system/describeDataObjects", body))["results"]
        assert results == [{"describe": expected}]
    plain = (await world.call("/system/describeDataObjects", {"objects": [record]}))["results"]
    assert plain[0]["describe"] == await world.describe(record)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"objects": "x"},
        {"objects": ["nonsense"]},
        {"objects": [{"project": "x"}]},
        {"objects": [1]},
        {"objects": ["record-" + "0" * 24] * 1001},
        {"objects": [], "classDescribeOptions": []},
        {"objects": ["record-" + "0" * 24], "classDescribeOptions": "x"},
    ],
)
async def test_a_wrong_list_of_objects_to_describe_is_refused(
    world: World, body: dict[str, Any]
) -> None:
    assert (await world.refused("/system/describeDataObjects", body)).type == "InvalidInput"


async def test_a_thousand_objects_are_described_at_once(world: World) -> None:
    record = await world.a_record(await world.a_project())
    body = {"objects": [record] * 1000}
    assert len((await world.call("/system/describeDataObjects", body))["results"]) == 1000


async def test_what_has_no_service_here_is_answered_truthfully(world: World) -> None:
    assert await world.call("/system/shortenURL", {"url": "http://x/y"}) == {"url": "http://x/y"}
    assert (await world.refused("/system/shortenURL", {})).type == "InvalidInput"
    assert await world.call("/notifications/get") == {"notifications": []}
    assert await world.call("/notifications/markRead") == {}
