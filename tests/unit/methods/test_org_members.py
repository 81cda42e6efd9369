"""Who is in an org and what each may do there (contract J.6, M.1)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.domain.test_orgs import ADMIN, MEMBER
from tests.unit.methods.people import a_place, an_org, members
from tests.unit.methods.test_global_workflow import a_global, a_workflow
from tests.worlds import ALICE, BOB, EVE, OPERATOR, World


async def entry(world: World, org: str, user: str = "user-bob") -> dict[str, Any]:
    found = await world.call(f"/{org}/findMembers", {"id": [user]})
    assert len(found["results"]) == 1
    return dict(found["results"][0])


async def test_a_member_is_shown_with_eleven_keys(world: World) -> None:
    org = await an_org(world)
    await a_place(world, org)
    assert await entry(world, org) == {"id": "user-bob", "level": "MEMBER", **MEMBER}
    assert await entry(world, org, "user-alice") == {"id": "user-alice", "level": "ADMIN", **ADMIN}


async def test_what_is_said_of_an_admin_does_not_matter_and_of_a_member_does(world: World) -> None:
    org = await an_org(world)
    said: dict[str, Any] = {
        "allowBillableActivities": True, "appAccess": False, "projectAccess": "NONE"
    }  # fmt: skip
    await a_place(world, org, level="MEMBER", **said)
    await a_place(world, org, "user-eve", level="ADMIN", **said)
    assert await entry(world, org) == {"id": "user-bob", "level": "MEMBER", **MEMBER, **said}
    assert await entry(world, org, "user-eve") == {"id": "user-eve", "level": "ADMIN", **ADMIN}


async def test_an_invitation_lowers_nobody_and_finds_people_by_address(world: World) -> None:
    org = await an_org(world)
    await a_place(world, org, "bob@example.com", level="ADMIN")
    await a_place(world, org, level="MEMBER")
    assert await members(world, org) == {"user-alice": "ADMIN", "user-bob": "ADMIN"}


async def test_an_invitation_takes_no_access_from_a_member(world: World) -> None:
    org = await an_org(world)
    await a_place(world, org, allowBillableActivities=True, projectAccess="UPLOAD")
    await a_place(world, org)
    before = {**MEMBER, "allowBillableActivities": True, "projectAccess": "UPLOAD"}
    assert await entry(world, org) == {"id": "user-bob", "level": "MEMBER", **before}
    await a_place(world, org, appAccess=False, projectAccess="ADMINISTER")
    after = {**before, "projectAccess": "ADMINISTER"}
    assert await entry(world, org) == {"id": "user-bob", "level": "MEMBER", **after}


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"invitee": "user-nobody"}, "ResourceNotFound"),
        ({"invitee": "nobody@example.com"}, "ResourceNotFound"),
        ({"invitee": "PUBLIC"}, "ResourceNotFound"),
        ({}, "InvalidInput"),
        ({"invitee": 7}, "InvalidInput"),
        ({"invitee": "user-bob", "level": "NONE"}, "InvalidInput"),
        ({"invitee": "user-bob", "projectAccess": "x"}, "InvalidInput"),
    ],
)
async def test_a_wrong_invitation_is_refused(world: World, body: dict[str, Any], kind: str) -> None:
    org = await an_org(world)
    assert (await world.refused(f"/{org}/invite", body)).type == kind
    assert await members(world, org) == {"user-alice": "ADMIN"}


async def test_access_is_changed_key_by_key(world: World) -> None:
    org = await an_org(world)
    await a_place(world, org, projectAccess="UPLOAD")

    async def change(**access: Any) -> dict[str, Any]:
        answer = await world.call(f"/{org}/setMemberAccess", {"user-bob": access})
        assert answer == {"id": org}
        return await entry(world, org)

    shown = {"id": "user-bob", "level": "MEMBER", **MEMBER, "projectAccess": "UPLOAD"}
    shown["allowBillableActivities"] = True
    assert await change(level="MEMBER", allowBillableActivities=True) == shown
    assert await change(level="ADMIN") == {"id": "user-bob", "level": "ADMIN", **ADMIN}
    assert await change(level="MEMBER") == {"id": "user-bob", "level": "MEMBER", **MEMBER}
    assert (await change(projectAccess="NONE"))["projectAccess"] == "NONE"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"user-alice": {"level": "ADMIN", "appAccess": True}}, "InvalidInput"),
        ({"user-eve": {"level": "MEMBER"}}, "ResourceNotFound"),
        ({"user-nobody": {}}, "ResourceNotFound"),
        ({"user-bob": {"level": "x"}}, "InvalidInput"),
        ({"user-bob": "ADMIN"}, "InvalidInput"),
        ({"user-bob": {"level": "ADMIN"}, "user-eve": {}}, "ResourceNotFound"),
        ({"user-alice": {"level": "MEMBER"}}, "InvalidState"),
    ],
)
async def test_a_wrong_change_changes_nothing(
    world: World, body: dict[str, Any], kind: str
) -> None:
    org = await an_org(world)
    await a_place(world, org)
    assert (await world.refused(f"/{org}/setMemberAccess", body)).type == kind
    assert await members(world, org) == {"user-alice": "ADMIN", "user-bob": "MEMBER"}


async def test_the_last_admin_neither_leaves_nor_is_lowered(world: World) -> None:
    org = await an_org(world)
    refusal = await world.refused(f"/{org}/removeMember", {"user": "user-alice"})
    assert (refusal.type, "another member" in refusal.message) == ("InvalidState", True)
    await a_place(world, org, level="ADMIN")
    swap = {"user-alice": {"level": "MEMBER"}, "user-bob": {"level": "MEMBER"}}
    assert (await world.refused(f"/{org}/setMemberAccess", swap)).type == "InvalidState"
    await world.call(f"/{org}/removeMember", {"user": "user-alice"})
    assert await members(world, org, as_=BOB) == {"user-bob": "ADMIN"}


async def test_who_is_removed_loses_the_orgs_projects_and_apps(world: World) -> None:
    org = await an_org(world)
    await a_place(world, org, allowBillableActivities=True)
    await world.call("/user-bob/update", {"billTo": org}, as_=BOB)
    inside = await world.a_project(billTo=org)
    outside = await world.a_project()
    for project in (inside, outside):
        await world.a_member(project, "VIEW")
    applet = await world.an_applet(inside, inputSpec=[], outputSpec=[])
    await world.an_app(applet, name="orgs_app", users=["user-bob", "user-eve"], billTo=org)
    await world.call("/app-orgs_app/addDevelopers", {"developers": ["user-bob"]})
    assert await world.call(f"/{org}/removeMember", {"user": "user-bob"}) == {
        "id": org, "projects": {inside: "VIEW"}, "apps": {"app-orgs_app": "NONE"}
    }  # fmt: skip
    assert (await world.refused(f"/{inside}/describe", as_=BOB)).type == "PermissionDenied"
    assert (await world.describe(outside, as_=BOB))["level"] == "VIEW"
    listed = await world.call("/app-orgs_app/listAuthorizedUsers")
    assert listed == {"authorizedUsers": ["user-eve"]}
    assert await world.call("/app-orgs_app/listDevelopers") == {"developers": ["user-alice"]}
    assert (await world.describe("user-bob", as_=BOB))["billTo"] == "user-bob"


async def test_an_admin_takes_over_from_an_apps_last_developer(world: World) -> None:
    org = await an_org(world)
    await a_place(world, org, allowBillableActivities=True)
    applet = await world.an_applet(
        await world.a_project(as_=BOB), as_=BOB, inputSpec=[], outputSpec=[]
    )
    await world.an_app(applet, as_=BOB, name="orgs_app", billTo=org)
    workflow = await a_workflow(world, await world.a_project())
    await a_global(world, workflow, billTo=org)
    await world.call("/globalworkflow-pipe/addDevelopers", {"developers": ["user-bob"]})
    gone = await world.call(f"/{org}/removeMember", {"user": "user-bob"})
    assert gone["apps"] == {"app-orgs_app": "NONE", "globalworkflow-pipe": "NONE"}
    assert await world.call("/app-orgs_app/listDevelopers") == {"developers": ["user-alice"]}
    refusal = await world.refused("/app-orgs_app/publish", as_=BOB)
    assert refusal.type == "PermissionDenied"


async def test_who_is_removed_cannot_accept_what_the_org_offered_them(world: World) -> None:
    org = await an_org(world)
    await a_place(world, org)
    project = await world.a_project(billTo=org)
    await world.call(f"/{project}/transfer", {"invitee": "user-bob"})
    await world.call(f"/{org}/removeMember", {"user": "user-bob"})
    refusal = await world.refused(f"/{project}/acceptTransfer", as_=BOB)
    assert refusal.type == "PermissionDenied"
    assert (await world.describe(project))["pendingTransfer"] is None


async def test_who_is_removed_keeps_what_they_are_left(world: World) -> None:
    org = await an_org(world)
    await a_place(world, org)
    project = await world.a_project(billTo=org)
    await world.a_member(project, "VIEW")
    body = {
        "user": "user-bob", "revokeProjectPermissions": False, "revokeAppPermissions": False
    }  # fmt: skip
    gone = {"id": org, "projects": {}, "apps": {}}
    assert await world.call(f"/{org}/removeMember", body) == gone
    assert (await world.describe(project, as_=BOB))["level"] == "VIEW"
    assert await world.call(f"/{org}/removeMember", body) == gone  # who is not there is not missed
    refusal = await world.refused(f"/{org}/removeMember", {"user": "user-nobody"})
    assert refusal.type == "ResourceNotFound"


@pytest.mark.parametrize(("policy", "seen"), [("ADMIN", "a"), ("MEMBER", "ab"), ("PUBLIC", "abe")])
async def test_the_policy_says_who_sees_the_members(world: World, policy: str, seen: str) -> None:
    org = await an_org(world, policies={"memberListVisibility": policy})
    await a_place(world, org)
    for name, token in (("a", ALICE), ("b", BOB), ("e", EVE)):
        answer = await world.answer(f"/{org}/findMembers", as_=token)
        assert (answer.status_code == 200) is (name in seen)
    assert len(await members(world, org, as_=OPERATOR)) == 2


async def test_members_are_found_in_order_by_level_and_in_pages(world: World) -> None:
    org = await an_org(world)
    await a_place(world, org, "user-eve")
    await a_place(world, org)
    assert list(await members(world, org)) == ["user-alice", "user-bob", "user-eve"]
    assert list(await members(world, org, level="MEMBER")) == ["user-bob", "user-eve"]
    assert await members(world, org, id=["user-nobody"]) == {}
    first = await world.call(f"/{org}/findMembers", {"limit": 2})
    last = await world.call(f"/{org}/findMembers", {"limit": 2, "starting": first["next"]})
    found = [item["id"] for page in (first, last) for item in page["results"]]
    assert (found, last["next"]) == (["user-alice", "user-bob", "user-eve"], None)
    described = await world.call(f"/{org}/findMembers", {"describe": True, "id": "user-bob"})
    shown = await world.describe("user-bob")
    assert described["results"][0]["describe"] == shown
    refusal = await world.refused(f"/{org}/findMembers", {"id": ["bob"]})
    assert refusal.type == "InvalidInput"
