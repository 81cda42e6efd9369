"""Projects and containers: make, describe, change, share, destroy (contract C.1-C.6, C.10)."""

from __future__ import annotations

from typing import Any

import pytest

from plasmid.domain.job_states import Event
from plasmid.domain.placement import Machine
from plasmid.executions import advance
from plasmid.executions.world import Moment
from plasmid.metadata.rows import JobRow
from tests.worlds import BOB, EVE, GIB, START_MS, World

DEFAULTS = {
    "id", "class", "name", "region", "summary", "description", "version", "billTo", "protected",
    "restricted", "downloadRestricted", "previewViewerRestricted", "externalUploadRestricted",
    "containsPHI", "databaseUIViewOnly", "databaseResultsRestricted", "allowedExecutables",
    "created", "modified", "createdBy", "level", "tags", "dataUsage", "sponsoredDataUsage",
    "storageCost", "totalSponsoredEgressBytes", "consumedSponsoredEgressBytes",
    "atSpendingLimit", "pendingTransfer", "defaultInstanceType",
}  # fmt: skip


# ------------------------------------------------------------------------------- C.1, C.2


async def test_a_new_project_has_the_defaults_and_belongs_to_its_maker(world: World) -> None:
    project = await world.a_project(name="dxclient_test_pröject")
    described = await world.describe(project)
    assert set(described) == DEFAULTS
    expected = {
        "id": project, "class": "project", "name": "dxclient_test_pröject",
        "region": "aws:us-east-1", "summary": "", "description": "", "billTo": "user-alice",
        "protected": False, "restricted": False, "downloadRestricted": False,
        "previewViewerRestricted": False, "externalUploadRestricted": False,
        "containsPHI": False, "databaseUIViewOnly": False, "databaseResultsRestricted": None,
        "allowedExecutables": None, "created": START_MS, "modified": START_MS,
        "createdBy": {"user": "user-alice"}, "level": "ADMINISTER", "tags": [],
        "dataUsage": 0.0, "storageCost": 0.0, "atSpendingLimit": False, "pendingTransfer": None,
    }  # fmt: skip
    assert {key: described[key] for key in expected} == expected
    assert isinstance(described["version"], int)


async def test_what_is_given_is_kept(world: World) -> None:
    given: dict[str, Any] = {
        "name": "n", "summary": "s", "description": "d", "region": "azure:westus",
        "protected": True, "externalUploadRestricted": True, "databaseUIViewOnly": True,
        "databaseResultsRestricted": 10, "tags": ["a", "b"], "properties": {"k": "v"},
        "billTo": "user-alice",
    }  # fmt: skip
    project = await world.a_project(**given)
    described = await world.describe(project, properties=True)
    assert {key: described[key] for key in given} == given


async def test_names_of_projects_are_not_unique(world: World) -> None:
    assert await world.a_project(name="x") != await world.a_project(name="x")


@pytest.mark.parametrize("region", ["aws:us-east-1", "azure:westus"])
async def test_both_regions_can_be_used(world: World, region: str) -> None:
    assert (await world.describe(await world.a_project(region=region)))["region"] == region


@pytest.mark.parametrize(
    "body, kind, text",
    [
        ({}, "InvalidInput", "name"),
        ({"name": ""}, "InvalidInput", '"name"'),
        ({"name": 5}, "InvalidInput", '"name"'),
        ({"name": "x", "region": "mars:1"}, "InvalidInput", '"region"'),
        ({"name": "x", "region": ["aws:us-east-1"]}, "InvalidInput", '"region"'),
        ({"name": "x", "summary": 5}, "InvalidInput", '"summary"'),
        ({"name": "x", "protected": "yes"}, "InvalidInput", '"protected"'),
        ({"name": "x", "tags": "t"}, "InvalidInput", '"tags"'),
        ({"name": "x", "properties": {"k": None}}, "InvalidInput", '"k"'),
        ({"name": "x", "databaseResultsRestricted": "many"}, "InvalidInput", "databaseResults"),
        ({"name": "x", "allowedExecutables": "applet"}, "InvalidInput", "allowedExecutables"),
        ({"name": "x", "billTo": "user-bob"}, "PermissionDenied", "user-bob"),
        ({"name": "x", "billTo": "org-any"}, "ResourceNotFound", "org-any"),
        ({"name": "x", "billTo": "any"}, "InvalidInput", "billTo"),
        (
            {"name": "x", "containsPHI": True},
            "PermissionDenied",
            "PHI features must be enabled for",
        ),
    ],
)
async def test_a_wrong_new_project_is_refused(
    world: World, body: dict[str, Any], kind: str, text: str
) -> None:
    refusal = await world.refused("/project/new", body)
    assert (refusal.type, text in refusal.message) == (kind, True), refusal.message


@pytest.mark.parametrize(
    "options, added, removed",
    [
        ({"properties": True}, {"properties"}, set()),
        ({"permissions": "true", "folders": True}, {"permissions", "folders"}, set()),
        ({"restricted": "true"}, set(), set()),
        (
            {"properties": True, "permissions": True, "folders": True, "appCaches": True},
            {"properties", "permissions", "folders", "appCaches"},
            set(),
        ),
        ({"defaultFields": True, "fields": {"objects": True}}, {"objects"}, set()),
        ({"defaultFields": True, "fields": {"tags": False}}, set(), {"tags"}),
    ],
)
async def test_flags_and_fields_add_to_the_defaults(
    world: World, options: dict[str, Any], added: set[str], removed: set[str]
) -> None:
    described = await world.describe(await world.a_project(), **options)
    assert set(described) == (DEFAULTS | added) - removed


async def test_fields_alone_name_all_that_comes(world: World) -> None:
    project = await world.a_project()
    for entity in (project,):
        asked = {"region": True, "name": True, "nonsense": True, "tags": False}
        assert set(await world.describe(entity, fields=asked)) == {"id", "region", "name"}


async def test_what_comes_on_request_says_what_is_there(world: World) -> None:
    project = await world.a_project()
    await world.a_member(project, "VIEW")
    await world.a_member(project, "VIEW", user="PUBLIC")
    await world.call(f"/{project}/newFolder", {"folder": "/a/b", "parents": True})
    await world.a_record(project, folder="/a")
    fields = ("permissions", "folders", "objects", "fileUploadParameters", "appCaches")
    described = await world.describe(project, fields=dict.fromkeys(fields, True))
    assert described == {
        "id": project,
        "permissions": {"user-alice": "ADMINISTER", "user-bob": "VIEW", "PUBLIC": "VIEW"},
        "folders": ["/", "/a", "/a/b"],
        "objects": 1,
        "appCaches": {},
        "fileUploadParameters": {
            "minimumPartSize": 5242880,
            "maximumPartSize": 5368709120,
            "emptyLastPartAllowed": True,
            "maximumNumParts": 10000,
            "maximumFileSize": 5497558138880,
        },
    }


async def test_an_azure_project_has_the_part_sizes_of_its_region(world: World) -> None:
    project = await world.a_project(region="azure:westus")
    described = await world.describe(project, fields={"fileUploadParameters": True})
    assert described["fileUploadParameters"] == {
        "minimumPartSize": 1,
        "maximumPartSize": 4194304,
        "emptyLastPartAllowed": False,
        "maximumNumParts": 50000,
        "maximumFileSize": 209715200000,
    }


async def test_instance_types_are_described_as_compilers_read_them(world: World) -> None:
    described = await world.describe(
        await world.a_project(), fields={"availableInstanceTypes": True}
    )
    one = described["availableInstanceTypes"]["mem1_ssd1_v2_x4"]
    assert set(one) == {
        "internalName", "traits", "services", "os", "numCores", "totalMemoryMB",
        "ephemeralStorageGB",
    }  # fmt: skip
    assert one["numCores"] == 4


async def test_data_usage_is_what_files_hold_in_gigabytes(world: World) -> None:
    project = await world.a_project()
    await world.a_closed_file(project, b"x" * (1 << 20))
    assert (await world.describe(project))["dataUsage"] == round(1 / 1024, 6)


async def test_no_price_is_shown_without_its_currency(world: World) -> None:
    described = await world.describe(await world.a_project())
    assert not [key for key in described if key.startswith(("currentMonth", "monthly"))]


async def test_a_workspace_is_described_as_a_container(world: World) -> None:
    project = await world.a_project()
    job = await world.a_job(await world.an_applet(project))
    workspace = (await world.describe(job))["workspace"]
    await world.lease(job)
    described = await world.describe(workspace, as_=world.token_of(job))
    expected = {
        "id": workspace, "class": "container", "name": workspace, "region": "aws:us-east-1",
        "billTo": "user-alice", "type": "temporary", "created": START_MS, "modified": START_MS,
        "level": "CONTRIBUTE", "dataUsage": 0.0, "sponsoredDataUsage": 0.0,
        "remoteDataUsage": 0.0, "project": project,
    }  # fmt: skip
    assert described == expected
    asked = {"fileUploadParameters": True}
    assert set(await world.describe(workspace, fields=asked)) == {"id", "fileUploadParameters"}
    assert (await world.describe(workspace))["level"] == "VIEW"
    assert (await world.refused(f"/{workspace}/describe", as_=BOB)).type == "PermissionDenied"


# ------------------------------------------------------------------------------------- C.3


async def test_texts_and_flags_can_be_changed_together(world: World) -> None:
    project = await world.a_project()
    world.clock.advance(5)
    before = await world.describe(project)
    changes = {
        "name": "new", "summary": "s", "description": "d", "protected": True,
        "databaseResultsRestricted": 5, "allowedExecutables": ["applet-abcdefghijklmnopqrstuzwx"],
    }  # fmt: skip
    assert await world.call(f"/{project}/update", changes) == {"id": project}
    after = await world.describe(project)
    assert {key: after[key] for key in changes} == changes
    assert after["version"] == before["version"] + 1
    assert (after["modified"], after["created"]) == (START_MS + 5, START_MS)
    nulls = {"allowedExecutables": None, "databaseResultsRestricted": None}
    await world.call(f"/{project}/update", nulls)
    again = await world.describe(project)
    assert {key: again[key] for key in nulls} == nulls


RESTRICTIONS = ("restricted", "downloadRestricted", "previewViewerRestricted")


@pytest.mark.parametrize(
    "steps, expected",
    [
        ([{"restricted": True}], (True, True, True)),
        ([{"downloadRestricted": True}], (False, True, True)),
        (
            [{"downloadRestricted": True}, {"previewViewerRestricted": False}],
            (False, True, False),
        ),
        ([{"downloadRestricted": True}, {"downloadRestricted": False}], (False, False, False)),
        (
            [{"restricted": True}, {"restricted": False, "downloadRestricted": False}],
            (False, False, False),
        ),
        ([{"restricted": True}, {"restricted": False}], (False, True, True)),
        ([{"restricted": True, "downloadRestricted": True}], (True, True, True)),
    ],
)
async def test_restrictions_bring_each_other(
    world: World, steps: list[dict[str, Any]], expected: tuple[bool, ...]
) -> None:
    for is_made_so in (False, True):
        project = await world.a_project(**(steps[0] if is_made_so else {}))
        for step in steps[1:] if is_made_so else steps:
            await world.call(f"/{project}/update", step)
        described = await world.describe(project)
        assert tuple(described[name] for name in RESTRICTIONS) == expected


async def test_a_restricted_project_restricts_downloads(world: World) -> None:
    project = await world.a_project(restricted=True)
    alone = await world.refused(f"/{project}/update", {"downloadRestricted": False})
    assert alone.type == "InvalidInput"
    both = {"restricted": True, "downloadRestricted": False}
    assert (await world.refused("/project/new", {"name": "x", **both})).type == "InvalidInput"


@pytest.mark.parametrize(
    "body, kind",
    [
        ({"name": ""}, "InvalidInput"),
        ({"name": None}, "InvalidInput"),
        ({"restricted": "true"}, "InvalidInput"),
        ({"protected": None}, "InvalidInput"),
        ({"billTo": "user-nobody"}, "InvalidInput"),
        ({"version": 77}, "InvalidState"),
        ({"containsPHI": True}, "PermissionDenied"),
        ({"allowedExecutables": {}}, "InvalidInput"),
        ({"databaseResultsRestricted": True}, "InvalidInput"),
    ],
)
async def test_a_wrong_change_is_refused_whole(
    world: World, body: dict[str, Any], kind: str
) -> None:
    project = await world.a_project()
    before = await world.describe(project)
    assert (await world.refused(f"/{project}/update", {"summary": "s", **body})).type == kind
    assert await world.describe(project) == before


async def test_a_version_guards_against_changes_of_others(world: World) -> None:
    project = await world.a_project()
    version = (await world.describe(project))["version"]
    await world.call(f"/{project}/update", {"summary": "a", "version": version})
    refusal = await world.refused(f"/{project}/update", {"summary": "b", "version": version})
    assert refusal.type == "InvalidState"


# ------------------------------------------------------------------------------------- C.4


async def test_an_invitation_is_accepted_at_once_and_never_lowers(world: World) -> None:
    project = await world.a_project()
    for level, expected in (("VIEW", "VIEW"), ("CONTRIBUTE", "CONTRIBUTE"), ("VIEW", "CONTRIBUTE")):
        answer = await world.call(f"/{project}/invite", {"invitee": "user-bob", "level": level})
        assert answer == {"id": project, "state": "accepted"}
        assert (await world.describe(project, as_=BOB))["level"] == expected


async def test_an_invitation_by_address_finds_the_user(world: World) -> None:
    project = await world.a_project()
    await world.call(f"/{project}/invite", {"invitee": "bob@example.com", "level": "VIEW"})
    assert (await world.describe(project, as_=BOB))["level"] == "VIEW"


@pytest.mark.parametrize(
    "body, kind",
    [
        ({"invitee": "user-nobody", "level": "VIEW"}, "ResourceNotFound"),
        ({"invitee": "org-nobody", "level": "VIEW"}, "ResourceNotFound"),
        ({"invitee": "nobody@example.com", "level": "VIEW"}, "ResourceNotFound"),
        ({"invitee": "user-bob", "level": "OWNER"}, "InvalidInput"),
        ({"invitee": "user-bob"}, "InvalidInput"),
        ({"invitee": "user-bob", "level": "NONE"}, "InvalidInput"),
        ({"level": "VIEW"}, "InvalidInput"),
        ({"invitee": 7, "level": "VIEW"}, "InvalidInput"),
    ],
)
async def test_a_wrong_invitation_is_refused(world: World, body: dict[str, Any], kind: str) -> None:
    assert (await world.refused(f"/{await world.a_project()}/invite", body)).type == kind


async def test_permissions_are_lowered_and_removed(world: World) -> None:
    project = await world.a_project()
    await world.a_member(project, "CONTRIBUTE")
    lower = f"/{project}/decreasePermissions"
    assert await world.call(lower, {"user-bob": "VIEW"}) == {"id": project}
    assert (await world.describe(project, as_=BOB))["level"] == "VIEW"
    await world.call(lower, {"user-bob": None})
    assert (await world.refused(f"/{project}/describe", as_=BOB)).type == "PermissionDenied"
    await world.call(lower, {"user-bob": None})  # safe to repeat


async def test_a_public_project_is_made_private_again(world: World) -> None:
    project = await world.a_project()
    await world.a_member(project, "VIEW", user="PUBLIC")
    assert (await world.describe(project, as_=EVE))["level"] == "VIEW"
    await world.call(f"/{project}/decreasePermissions", {"PUBLIC": None})
    assert (await world.refused(f"/{project}/describe", as_=EVE)).type == "PermissionDenied"


@pytest.mark.parametrize(
    "body, kind",
    [
        ({"user-nobody": None}, "ResourceNotFound"),
        ({"user-bob": "ADMINISTER"}, "InvalidInput"),
        ({"user-bob": "OWNER"}, "InvalidInput"),
        ({"user-eve": "VIEW"}, "InvalidInput"),
    ],
)
async def test_a_wrong_lowering_is_refused(world: World, body: dict[str, Any], kind: str) -> None:
    project = await world.a_project()
    await world.a_member(project, "VIEW")
    assert (await world.refused(f"/{project}/decreasePermissions", body)).type == kind


async def test_a_member_lowers_and_removes_only_their_own_entry(world: World) -> None:
    project = await world.a_project()
    await world.a_member(project, "CONTRIBUTE")
    lower = f"/{project}/decreasePermissions"
    assert (await world.refused(lower, {"user-alice": None}, as_=BOB)).type == "PermissionDenied"
    await world.call(lower, {"user-bob": "VIEW"}, as_=BOB)
    assert (await world.describe(project, as_=BOB))["level"] == "VIEW"


async def test_any_member_may_leave(world: World) -> None:
    project = await world.a_project()
    await world.a_member(project, "VIEW")
    assert await world.call(f"/{project}/leave", as_=BOB) == {"id": project}
    assert (await world.refused(f"/{project}/describe", as_=BOB)).type == "PermissionDenied"


async def test_a_job_changes_no_membership_of_its_user(world: World) -> None:
    project = await world.a_project()
    applet = await world.an_applet(project, access={"project": "CONTRIBUTE"})
    await world.a_member(project, "ADMINISTER")
    token = (await world.lease(await world.a_job(applet)))["token"]
    for verb, body in (("leave", {}), ("decreasePermissions", {"user-alice": "VIEW"})):
        refusal = await world.refused(f"/{project}/{verb}", body, as_=token)
        assert refusal.type == "PermissionDenied"


async def test_the_last_administrator_stays(world: World) -> None:
    project = await world.a_project()
    await world.a_member(project, "CONTRIBUTE")
    await world.a_member(project, "VIEW", user="PUBLIC")
    lower = {"user-alice": "CONTRIBUTE"}
    for route, body in ((f"/{project}/leave", {}), (f"/{project}/decreasePermissions", lower)):
        assert (await world.refused(route, body)).type == "InvalidState"
    await world.a_member(project, "ADMINISTER")
    await world.call(f"/{project}/leave")
    await world.call(f"/{project}/destroy", as_=BOB)


@pytest.mark.parametrize("level", ["UPLOAD", "CONTRIBUTE", "ADMINISTER"])
async def test_everybody_gets_view_and_nothing_more(world: World, level: str) -> None:
    project = await world.a_project()
    body = {"invitee": "PUBLIC", "level": level}
    refusal = await world.refused(f"/{project}/invite", body)
    assert (refusal.type, '"level"' in refusal.message) == ("InvalidInput", True)
    permissions = {"fields": {"permissions": True}}
    assert (await world.call(f"/{project}/describe", permissions))["permissions"] == {
        "user-alice": "ADMINISTER"
    }


@pytest.mark.parametrize("earlier", [False, True])
async def test_a_public_project_is_readable_by_all_and_writable_by_none(
    world: World, earlier: bool
) -> None:
    """Whatever level PUBLIC was given, everybody only reads."""
    project = await world.a_project()
    record = await world.a_record(project, name="r", close=True)
    await world.a_member(project, "VIEW", user="PUBLIC")
    if earlier:  # servers have taken this
        await world.rows("UPDATE members SET level = 3 WHERE member = 'PUBLIC'")
    for as_ in (EVE, None):
        assert (await world.call(f"/{project}/listFolder", as_=as_))["objects"] == [{"id": record}]
        assert (await world.call(f"/{record}/describe", as_=as_))["name"] == "r"
    for as_ in (EVE, None):
        refusal = await world.refused(f"/{project}/newFolder", {"folder": "/x"}, as_=as_)
        assert refusal.type == "PermissionDenied"
    other = await world.a_project(as_=BOB)
    job = await world.a_job(await world.an_applet(other, as_=BOB), as_=BOB)
    await world.lease(job)
    token = world.token_of(job)
    assert await world.call(f"/{project}/listFolder", as_=token)
    refusal = await world.refused(f"/{project}/newFolder", {"folder": "/x"}, as_=token)
    assert refusal.type == "PermissionDenied"


# ------------------------------------------------------------------------------------- C.5


async def test_a_destroyed_project_is_gone_with_all_that_is_only_there(world: World) -> None:
    project, other = await world.a_project(), await world.a_project()
    lost = await world.a_closed_file(project, folder="/a/b", parents=True)
    kept = await world.a_closed_file(project)
    await world.call(f"/{project}/clone", {"objects": [kept], "project": other})
    assert await world.call(f"/{project}/destroy") == {"id": project}
    for entity in (project, lost):
        assert (await world.refused(f"/{entity}/describe")).type == "ResourceNotFound"
    assert await world.read(kept) == b"hello"


async def test_unfinished_jobs_keep_a_project_unless_they_may_be_terminated(
    world: World,
) -> None:
    world.dispatcher.machine = Machine(64 * GIB, jobs_max=1)
    project = await world.a_project()
    applet = await world.an_applet(project)
    running = await world.a_job(applet)
    world.clock.advance(1)
    runnable = await world.a_job(applet)
    await world.lease(running)
    refusal = await world.refused(f"/{project}/destroy")
    assert (refusal.type, "2 unfinished jobs" in refusal.message) == ("InvalidState", True)
    await world.call(f"/{project}/destroy", {"terminateJobs": True})
    assert await world.state(running) == "terminating"
    assert await world.state(runnable) == "terminated"
    reply = await world.sync()
    assert {"job": running, "attempt": 0} in reply["stop"]
    await world.report(running, failure_reason="Terminated", failure_message="stopped")
    assert await world.state(running) == "terminated"


async def test_a_job_that_ends_with_another_of_its_project_is_ended_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved: list[tuple[str, Event]] = []
    apply = advance.apply

    async def noted(moment: Moment, row: JobRow, event: Event, *rest: Any) -> JobRow:
        moved.append((row.id, event))
        return await apply(moment, row, event, *rest)

    project = await world.a_project()
    parent = await world.a_job(await world.an_applet(project))
    await world.lease(parent)
    # by their states, the child comes after its parent
    body = {"function": "work", "input": {}, "dependsOn": [await world.a_record(project)]}
    child = await world.new("/job/new", body, as_=world.token_of(parent))
    monkeypatch.setattr(advance, "apply", noted)
    await world.call(f"/{project}/destroy", {"terminateJobs": True})
    asked = Event.TERMINATION_ASKED
    assert sorted(moved) == sorted([(parent, asked), (child, asked)])


@pytest.mark.parametrize("flags", [{"protected": True}, {"protected": True, "restricted": True}])
async def test_protection_does_not_stop_an_administrator(
    world: World, flags: dict[str, Any]
) -> None:
    project = await world.a_project(**flags)
    await world.a_record(project)
    await world.call(f"/{project}/destroy")


async def test_a_project_that_is_protected_from_it_is_not_destroyed(world: World) -> None:
    project = await world.a_project(destroyProtected=True)
    described = await world.describe(project, fields={"destroyProtected": True})
    assert described["destroyProtected"] is True
    assert "destroyProtected" not in await world.describe(project)
    assert (await world.refused(f"/{project}/destroy")).type == "InvalidState"
    assert (await world.refused(f"/{project}/update", {"destroyProtected": 1})).type == (
        "InvalidInput"
    )
    await world.call(f"/{project}/update", {"destroyProtected": False})
    await world.call(f"/{project}/destroy")


# ------------------------------------------------------------------------------------- C.6


async def test_tags_and_properties_of_a_project_change_as_those_of_objects(world: World) -> None:
    project = await world.a_project(tags=["a"], properties={"k": "1"})
    for verb, body in (
        ("addTags", {"tags": ["b", "a", "ü"]}),
        ("removeTags", {"tags": ["a", "none"]}),
        ("setProperties", {"properties": {"k": None, "$dnanexus.link": "", "мама": "2"}}),
    ):
        assert await world.call(f"/{project}/{verb}", body) == {"id": project}
    described = await world.describe(project, properties=True)
    assert described["tags"] == ["b", "ü"]
    assert described["properties"] == {"$dnanexus.link": "", "мама": "2"}
