"""Applets: make, describe, get (contract E.1-E.4)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.worlds import BOB, RUN_SPEC, START_MS, World

IDS = "0" * 24


@pytest.fixture
async def project(world: World) -> str:
    return await world.a_project()


async def test_a_whole_dxapp_json_is_taken(world: World, project: str) -> None:
    """What means nothing to an applet is tolerated: the client sends all it has."""
    given: dict[str, Any] = {
        "project": project, "name": "a", "dxapi": "1.04", "title": "T", "summary": "S",
        "description": "D", "developerNotes": "N", "version": "0.0.1", "categories": ["x"],
        "resources": [], "regionalOptions": {"aws:us-east-1": {}}, "developers": [],
        "authorizedUsers": [], "openSource": False, "billTo": "user-alice", "details": {"k": 1},
        "ignoreReuse": True, "treeTurnaroundTimeThreshold": 5,
        "inputSpec": [{"name": "n", "class": "int", "default": 3}],
        "outputSpec": [{"name": "o", "class": "array:file", "optional": True}],
        "access": {"network": ["*"]},
        "runSpec": {
            **RUN_SPEC, "assetDepends": [], "file": "src/x.sh", "dependencies": [],
            "timeoutPolicy": {"*": {"hours": 12}},
            "systemRequirements": {"*": {"instanceType": "mem1_ssd1_x2"}},
        },
    }  # fmt: skip
    applet = await world.new("/applet/new", given)
    described = await world.describe(applet)
    for name in (
        "dxapi", "title", "summary", "description", "developerNotes", "ignoreReuse", "inputSpec",
        "outputSpec", "treeTurnaroundTimeThreshold",
    ):  # fmt: skip
        assert described[name] == given[name], name
    assert described["access"] == {"network": ["*"], "project": "VIEW"}
    assert described["runSpec"] == {
        **{key: value for key, value in RUN_SPEC.items() if key != "code"},
        "dependencies": [],
        "timeoutPolicy": {"*": {"hours": 12}},
        "systemRequirements": {"*": {"instanceType": "mem1_ssd1_x2"}},
        "systemRequirementsByRegion": {"aws:us-east-1": {"*": {"instanceType": "mem1_ssd1_x2"}}},
        "bundledDependsByRegion": {"aws:us-east-1": []},
    }


async def test_a_bare_applet_has_the_defaults(world: World, project: str) -> None:
    applet = await world.new(
        "/applet/new",
        {"project": project, "name": "a", "runSpec": {"interpreter": "bash", "code": ""}},
    )
    described = await world.describe(applet)
    expected = {
        "state": "closed", "title": "a", "summary": "", "description": "", "developerNotes": "",
        "access": {"project": "VIEW"}, "ignoreReuse": False,
        "httpsApp": {"enabled": False}, "links": [], "created": START_MS,
    }  # fmt: skip
    assert {key: described[key] for key in expected} == expected
    assert {"inputSpec", "outputSpec", "treeTurnaroundTimeThreshold"}.isdisjoint(described)
    assert described["runSpec"] == {
        "interpreter": "bash",
        "systemRequirementsByRegion": {"aws:us-east-1": {}},
        "bundledDependsByRegion": {"aws:us-east-1": []},
    }


async def test_only_get_gives_the_code(world: World, project: str) -> None:
    applet = await world.an_applet(project, runSpec={"code": "echo ü\n"}, details={"k": 1})
    assert "code" not in (await world.describe(applet))["runSpec"]
    got = await world.call(f"/{applet}/get")
    described = await world.describe(applet, details=True)
    unsaid = {"headJobOnDemand": False, "inheritParentRestartOnPolicy": False}
    run_spec = {**unsaid, **described["runSpec"], "code": "echo ü\n"}
    # a folder that is written from this builds the same applet, and says no more than the first
    del described["httpsApp"]
    assert got == {**described, "runSpec": run_spec, "title": "", "access": {}}
    assert (await world.refused(f"/{applet}/get", as_=BOB)).type == "ResourceNotFound"


@pytest.mark.parametrize(
    "given", ["file-{ids}", {"$dnanexus_link": "file-{ids}"}, {"project": True}]
)
async def test_bundled_objects_are_kept_as_plain_links_of_the_applet(
    world: World, project: str, given: Any
) -> None:
    bundle = await world.a_closed_file(project)
    if isinstance(given, str):
        wanted: Any = bundle
    elif "project" in given:
        wanted = {"$dnanexus_link": {"project": project, "id": bundle}}
    else:
        wanted = {"$dnanexus_link": bundle}
    entry = {"name": "a b.tar.gz", "id": wanted, "stages": ["main"]}
    applet = await world.an_applet(project, runSpec={"bundledDepends": [entry]})
    described = await world.describe(applet)
    assert described["runSpec"]["bundledDepends"] == [
        {"name": "a b.tar.gz", "id": {"$dnanexus_link": bundle}, "stages": ["main"]}
    ]
    assert described["links"] == [bundle]


@pytest.mark.parametrize(
    "changes, text",
    [
        ({"runSpec": None}, "runSpec"),
        ({"runSpec": "bash"}, "runSpec"),
        ({"runSpec": {"code": ""}}, "interpreter"),
        ({"runSpec": {"interpreter": "perl", "code": ""}}, "interpreter"),
        ({"runSpec": {"interpreter": "bash"}}, "code"),
        ({"runSpec": {**RUN_SPEC, "code": 5}}, "code"),
        ({"runSpec": {**RUN_SPEC, "execDepends": ["jq"]}}, "execDepends"),
        ({"runSpec": {**RUN_SPEC, "execDepends": [{}]}}, "name"),
        ({"runSpec": {**RUN_SPEC, "bundledDepends": [{"name": "x"}]}}, "id"),
        ({"runSpec": {**RUN_SPEC, "bundledDepends": [{"name": "x", "id": "y"}]}}, "id"),
        (
            {"runSpec": {**RUN_SPEC, "systemRequirements": {"*": {"instanceType": "huge"}}}},
            "huge",
        ),
        ({"runSpec": {**RUN_SPEC, "executionPolicy": {"maxRestarts": 10}}}, "maxRestarts"),
        ({"runSpec": {**RUN_SPEC, "executionPolicy": {"restartOn": {"Bad": 1}}}}, "restartOn"),
        ({"runSpec": {**RUN_SPEC, "timeoutPolicy": {"*": {"years": 1}}}}, "timeoutPolicy"),
        ({"inputSpec": [{"name": "34", "class": "int"}]}, "name"),
        ({"inputSpec": [{"name": "n", "class": "integer"}]}, "class"),
        ({"inputSpec": [{"name": "n"}]}, "class"),
        ({"inputSpec": [{"class": "int"}]}, "name"),
        ({"inputSpec": [{"name": "n", "class": "int"}] * 2}, "unique"),
        ({"inputSpec": {"n": "int"}}, "inputSpec"),
        ({"inputSpec": [{"name": "n", "class": "int", "default": "x"}]}, "default"),
        ({"inputSpec": [{"name": "n", "class": "int", "choices": [1], "default": 2}]}, "default"),
        ({"inputSpec": [{"name": "n", "class": "hash", "choices": [{}]}]}, "choices"),
        ({"inputSpec": [{"name": "n", "class": "array:hash"}]}, "class"),
        ({"outputSpec": [{"name": "9", "class": "file"}]}, "name"),
        ({"access": {"project": "OWNER"}}, "project"),
        ({"access": {"network": "*"}}, "network"),
        ({"access": []}, "access"),
        ({"title": 5}, "title"),
        ({"ignoreReuse": "no"}, "ignoreReuse"),
        ({"httpsApp": "yes"}, "httpsApp"),
        ({"httpsApp": {"ports": [80]}}, "ports"),
    ],
)
async def test_what_is_wrong_in_an_applet_is_named(
    world: World, project: str, changes: dict[str, Any], text: str
) -> None:
    body = {"project": project, "runSpec": RUN_SPEC, **changes}
    refusal = await world.refused("/applet/new", body)
    assert (refusal.type, text in refusal.message) == ("InvalidInput", True), refusal.message


async def test_an_applet_that_is_nested_without_end_is_refused(world: World, project: str) -> None:
    default: Any = {}
    for _ in range(500):
        default = {"a": default}
    field = {"name": "h", "class": "hash", "default": default}
    body = {"project": project, "runSpec": RUN_SPEC, "inputSpec": [field]}
    assert (await world.refused("/applet/new", body)).type == "InvalidInput"


async def test_two_applets_may_have_one_name(world: World, project: str) -> None:
    first, second = [await world.an_applet(project, name="same") for _ in range(2)]
    assert first != second


@pytest.mark.parametrize("key", ["bundledDepends", "bundledDependsByRegion"])
async def test_what_the_caller_may_not_see_cannot_be_bundled(
    world: World, project: str, key: str
) -> None:
    secret = await world.a_closed_file(await world.a_project(as_=BOB), b"secret", as_=BOB)
    bundled: Any = [{"name": "x", "id": {"$dnanexus_link": secret}}]
    if key == "bundledDependsByRegion":
        bundled = {"aws:us-east-1": bundled}
    body = {"project": project, "runSpec": {**RUN_SPEC, key: bundled}}
    refused = await world.refused("/applet/new", body)
    assert refused.type == "ResourceNotFound"
    assert secret in refused.message


async def test_making_an_applet_takes_upload(world: World, project: str) -> None:
    await world.a_member(project, "VIEW")
    body = {"project": project, "runSpec": RUN_SPEC}
    assert (await world.refused("/applet/new", body, as_=BOB)).type == "PermissionDenied"
    await world.a_member(project, "UPLOAD")
    await world.call("/applet/new", body, as_=BOB)
