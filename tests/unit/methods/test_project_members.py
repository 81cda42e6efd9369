"""Projects shared with orgs, joined, left, and paid for by others (contract C.4, J.4)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.methods.people import a_place, an_org
from tests.worlds import ALICE, BOB, EVE, World


async def level(world: World, project: str, *, as_: str = BOB) -> str:
    """Return a caller's level on a project, NONE if they may not even see it."""
    answer = await world.answer(f"/{project}/describe", as_=as_)
    return str(answer.json()["level"]) if answer.status_code == 200 else "NONE"


@pytest.mark.parametrize(
    ("given", "access", "reached"),
    [
        ("VIEW", "ADMINISTER", "VIEW"),
        ("ADMINISTER", "CONTRIBUTE", "CONTRIBUTE"),
        ("CONTRIBUTE", "UPLOAD", "UPLOAD"),
        ("ADMINISTER", "NONE", "NONE"),
    ],
)
async def test_an_orgs_level_reaches_its_members_up_to_their_access(
    world: World, given: str, access: str, reached: str
) -> None:
    org, project = await an_org(world), await world.a_project()
    await a_place(world, org, projectAccess=access)
    await world.a_member(project, given, user=org)
    assert await level(world, project) == reached
    assert await level(world, project, as_=EVE) == "NONE"


async def test_the_highest_of_all_levels_counts(world: World) -> None:
    one, other = await an_org(world, "one"), await an_org(world, "two")
    project = await world.a_project()
    for org in (one, other):
        await a_place(world, org)
    await world.a_member(project, "VIEW")
    await world.a_member(project, "UPLOAD", user=one)
    assert await level(world, project) == "UPLOAD"
    await world.a_member(project, "CONTRIBUTE", user=other)
    assert await level(world, project) == "CONTRIBUTE"
    await world.call(f"/{other}/removeMember", {"user": "user-bob"})
    assert await level(world, project) == "UPLOAD"
    await world.call(f"/{project}/decreasePermissions", {one: None})
    assert await level(world, project) == "VIEW"


async def test_what_is_shared_with_an_org_is_found_and_says_by_whom(world: World) -> None:
    org, project = await an_org(world), await world.a_project(name="shared")
    await a_place(world, org)
    await world.a_member(project, "CONTRIBUTE", user=org)
    record = await world.a_record(project, name="r", close=True)

    async def found(**body: Any) -> list[Any]:
        answer = await world.call("/system/findProjects", body, as_=BOB)
        return [
            (item["id"], item["level"], item["permissionSources"]) for item in answer["results"]
        ]

    assert await found() == [(project, "CONTRIBUTE", [org])]
    assert await found(explicitPermission=True) == await found(level="CONTRIBUTE") == await found()
    assert await found(explicitPermission=False) == []
    await world.a_member(project, "VIEW")
    assert await found() == [(project, "CONTRIBUTE", ["user-bob", org])]
    objects = await world.call("/system/findDataObjects", {"name": "r"}, as_=BOB)
    assert [item["id"] for item in objects["results"]] == [record]
    assert await world.call(f"/{record}/listProjects", as_=BOB) == {project: "CONTRIBUTE"}
    permissions = (await world.describe(project, fields={"permissions": True}))["permissions"]
    assert permissions == {"user-alice": "ADMINISTER", "user-bob": "VIEW", org: "CONTRIBUTE"}


async def test_jobs_run_by_an_orgs_level_until_it_is_gone(world: World) -> None:
    org, project = await an_org(world), await world.a_project()
    await a_place(world, org)
    await world.a_member(project, "CONTRIBUTE", user=org)
    applet = await world.an_applet(project, access={"project": "CONTRIBUTE"})
    job = await world.a_job(applet, as_=BOB, project=project)
    await world.lease(job)
    token = world.token_of(job)
    await world.a_record(project, as_=token)
    await world.a_subjob(job)
    await world.call(f"/{org}/removeMember", {"user": "user-bob"})
    refusal = await world.refused("/job/new", {"function": "f", "input": {}}, as_=token)
    assert (refusal.type, "CONTRIBUTE" in refusal.message) == ("PermissionDenied", True)


async def test_an_orgs_level_is_narrowed_by_a_tokens_scope(world: World) -> None:
    org, project = await an_org(world), await world.a_project()
    await a_place(world, org, projectAccess="ADMINISTER")
    await world.a_member(project, "ADMINISTER", user=org)
    scope = {"scope": {"projects": {project: "UPLOAD"}}}
    narrowed = (await world.call("/system/newAuthToken", scope, as_=BOB))["access_token"]
    assert await level(world, project) == "ADMINISTER"
    assert await level(world, project, as_=narrowed) == "UPLOAD"


async def test_an_app_is_open_to_the_members_of_an_org_that_have_access_to_apps(
    world: World,
) -> None:
    org, project = await an_org(world), await world.a_project()
    applet = await world.an_applet(project, inputSpec=[], outputSpec=[])
    await world.an_app(applet, publish=True)
    # what is kept counts, whichever route has put it there
    await world.rows(f"UPDATE app_names SET authorized_users = '[\"{org}\"]'")
    await a_place(world, org)
    await a_place(world, org, "user-eve", appAccess=False)
    assert (await world.describe("app-an_app", as_=BOB))["name"] == "an_app"
    assert (await world.refused("/app-an_app/describe", as_=EVE)).type == "PermissionDenied"


@pytest.mark.parametrize("member", ["org-nobody", "user-nobody", "nobody@example.com"])
async def test_who_is_not_there_is_neither_invited_nor_lowered(world: World, member: str) -> None:
    project = await world.a_project()
    for route, body in (
        ("invite", {"invitee": member, "level": "VIEW"}),
        ("decreasePermissions", {member: None}),
    ):
        assert (await world.refused(f"/{project}/{route}", body)).type == "ResourceNotFound"


async def test_who_pays_may_join_and_others_with_what_they_can_do_anyway(world: World) -> None:
    org = await an_org(world)
    await a_place(world, org)
    project = await world.a_project(billTo=org)
    join = f"/{project}/join"
    refusal = await world.refused(join, {"level": "VIEW"}, as_=BOB)
    assert (refusal.type, "invite you" in refusal.message) == ("PermissionDenied", True)
    await world.call(f"/{project}/leave")  # the org's ADMIN comes back at will
    assert await level(world, project, as_=ALICE) == "NONE"
    answer = await world.call(join, {"level": "ADMINISTER"})
    assert answer == {"id": project, "level": "ADMINISTER"}
    await world.a_member(project, "VIEW", user="PUBLIC")
    assert (await world.refused(join, {"level": "CONTRIBUTE"}, as_=EVE)).type == "PermissionDenied"
    await world.call(join, {"level": "VIEW"}, as_=EVE)
    permissions = (await world.describe(project, fields={"permissions": True}))["permissions"]
    assert permissions["user-eve"] == "VIEW"
    for body in ({}, {"level": None}, {"level": "x"}):
        assert (await world.refused(join, body)).type == "InvalidInput"
    assert (await world.refused(join, {"level": "NONE"})).type == "PermissionDenied"
    missing = f"/project-{'0' * 24}/join"
    assert (await world.refused(missing, {"level": "VIEW"})).type == "ResourceNotFound"


async def test_who_is_no_member_themselves_has_nothing_to_leave(world: World) -> None:
    org, project = await an_org(world), await world.a_project()
    await a_place(world, org)
    await world.a_member(project, "VIEW", user=org)
    refusal = await world.refused(f"/{project}/leave", as_=BOB)
    assert (refusal.type, "through an org" in refusal.message) == ("PermissionDenied", True)
    await world.a_member(project, "VIEW")
    await world.call(f"/{project}/leave", as_=BOB)
    assert await level(world, project) == "VIEW"  # still by the org


async def test_joining_lowers_nobody(world: World) -> None:
    project = await world.a_project()
    await world.call(f"/{project}/join", {"level": "VIEW"})
    assert await level(world, project, as_=ALICE) == "ADMINISTER"


async def test_a_project_is_transferred_when_who_is_to_pay_accepts(world: World) -> None:
    project = await world.a_project()
    transfer, accept = f"/{project}/transfer", f"/{project}/acceptTransfer"
    answer = await world.call(transfer, {"invitee": "user-bob"})
    assert answer == {"id": project, "state": "pending"}
    described = await world.describe(project)
    assert (described["billTo"], described["pendingTransfer"]) == ("user-alice", "user-bob")
    assert (await world.refused(accept, as_=EVE)).type == "PermissionDenied"
    assert (await world.refused(accept)).type == "PermissionDenied"
    assert await world.call(accept, as_=BOB) == {"id": project}
    described = await world.describe(project, as_=BOB)
    assert (described["billTo"], described["pendingTransfer"]) == ("user-bob", None)
    assert described["level"] == "ADMINISTER"
    assert (await world.refused(accept, as_=BOB)).type == "PermissionDenied"


async def test_a_project_is_transferred_at_once_to_whom_the_caller_may_bill(world: World) -> None:
    org, project = await an_org(world), await world.a_project()
    await a_place(world, org, allowBillableActivities=True)
    answer = await world.call(f"/{project}/transfer", {"invitee": org})
    assert answer == {"id": project, "state": "accepted"}
    assert (await world.describe(project))["billTo"] == org
    other = await world.a_project(as_=BOB)
    await world.call(f"/{other}/transfer", {"invitee": "user-alice"}, as_=BOB)
    await world.call(f"/{other}/acceptTransfer", {"billTo": org})
    assert (await world.describe(other))["billTo"] == org


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({}, "InvalidInput"),
        ({"invitee": "PUBLIC"}, "InvalidInput"),
        ({"invitee": "user-nobody"}, "ResourceNotFound"),
    ],
)
async def test_a_wrong_transfer_is_refused(world: World, body: dict[str, Any], kind: str) -> None:
    assert (await world.refused(f"/{await world.a_project()}/transfer", body)).type == kind


# ----------------------------------------------------------------------------------- who pays


async def test_an_org_is_billed_by_its_admins_and_by_members_who_may(world: World) -> None:
    org = await an_org(world)
    await a_place(world, org, "user-eve", allowBillableActivities=True)
    for token in (ALICE, EVE):
        project = await world.a_project(as_=token, billTo=org)
        assert (await world.describe(project, as_=token))["billTo"] == org
    await a_place(world, org)
    refusal = await world.refused("/project/new", {"name": "p", "billTo": org}, as_=BOB)
    assert refusal.type == "PermissionDenied"
    wanted = f"You are not a member in {org} with allowBillableActivities permission."
    assert refusal.message.startswith(wanted)


async def test_a_users_default_is_billed_unless_said_otherwise(world: World) -> None:
    org = await an_org(world)
    await world.call("/user-alice/update", {"billTo": org})
    assert (await world.describe("user-alice"))["billTo"] == org
    assert (await world.describe(await world.a_project()))["billTo"] == org
    own = await world.a_project(billTo="user-alice")
    assert (await world.describe(own))["billTo"] == "user-alice"


@pytest.mark.parametrize(
    ("bill_to", "kind"),
    [
        ("user-bob", "PermissionDenied"),
        ("org-nobody", "ResourceNotFound"),
        ("org-strange", "PermissionDenied"),
        ("lab", "InvalidInput"),
        (7, "InvalidInput"),
    ],
)
async def test_nobody_bills_others(world: World, bill_to: Any, kind: str) -> None:
    await an_org(world, "strange", as_=BOB)
    for route, body in (
        ("/project/new", {"name": "p", "billTo": bill_to}),
        ("/user-alice/update", {"billTo": bill_to}),
    ):
        assert (await world.refused(route, body)).type == kind


async def test_a_projects_bill_goes_to_an_org_and_back_as_its_policy_says(world: World) -> None:
    org = await an_org(world)
    await a_place(world, org, allowBillableActivities=True)
    project = await world.a_project(as_=BOB)
    update = f"/{project}/update"
    await world.call(update, {"billTo": org}, as_=BOB)
    assert (await world.describe(project, as_=BOB))["billTo"] == org
    await world.call(f"/{org}/update", {"policies": {"restrictProjectTransfer": "ADMIN"}})
    refusal = await world.refused(update, {"billTo": "user-bob"}, as_=BOB)
    assert (refusal.type, org in refusal.message) == ("PermissionDenied", True)
    refusal = await world.refused(f"/{project}/transfer", {"invitee": "user-eve"}, as_=BOB)
    assert refusal.type == "PermissionDenied"
    await world.call(f"/{org}/update", {"policies": {"restrictProjectTransfer": "MEMBER"}})
    await world.call(update, {"billTo": "user-bob"}, as_=BOB)
    assert (await world.describe(project, as_=BOB))["billTo"] == "user-bob"


async def test_who_cannot_be_billed_for_a_project_is_invalid_input(world: World) -> None:
    update = f"/{await world.a_project()}/update"
    for bill_to in ("user-wronguser", "user-bob"):
        assert (await world.refused(update, {"billTo": bill_to})).type == "InvalidInput"


async def test_an_offer_ends_with_the_right_to_make_it(world: World) -> None:
    project = await world.a_project()
    await world.a_member(project, "ADMINISTER")
    await world.call(f"/{project}/transfer", {"invitee": "user-eve"}, as_=BOB)
    await world.call(f"/{project}/decreasePermissions", {"user-bob": "VIEW"})
    refusal = await world.refused(f"/{project}/acceptTransfer", as_=EVE)
    assert (refusal.type, "no more" in refusal.message) == ("PermissionDenied", True)
    assert await level(world, project, as_=EVE) == "NONE"
    await world.call(f"/{project}/transfer", {"invitee": "user-eve"})
    await world.call(f"/{project}/acceptTransfer", as_=EVE)
    assert (await world.describe(project))["billTo"] == "user-eve"


async def test_an_offer_ends_when_another_pays_or_is_offered_it_who_pays(world: World) -> None:
    org = await an_org(world)
    await world.call(f"/{org}/update", {"policies": {"restrictProjectTransfer": "ADMIN"}})
    project = await world.a_project()
    await world.call(f"/{project}/transfer", {"invitee": "user-eve"})
    await world.call(f"/{project}/update", {"billTo": org})
    assert (await world.describe(project))["pendingTransfer"] is None
    refusal = await world.refused(f"/{project}/acceptTransfer", as_=EVE)
    assert refusal.type == "PermissionDenied"
    await world.call(f"/{project}/transfer", {"invitee": "user-eve"})
    withdrawn = await world.call(f"/{project}/transfer", {"invitee": org})
    assert withdrawn == {"id": project, "state": "accepted"}
    refusal = await world.refused(f"/{project}/acceptTransfer", as_=EVE)
    assert refusal.type == "PermissionDenied"
    assert (await world.describe(project))["billTo"] == org


async def test_an_org_pays_in_its_regions_only_however_a_project_comes_to_it(
    world: World,
) -> None:
    org = await an_org(world)
    await world.call(f"/{org}/update", {"permittedRegions": ["aws:us-east-1"]})
    project = await world.a_project(region="azure:westus", as_=BOB)
    invited = {"invitee": "user-alice", "level": "ADMINISTER"}
    await world.call(f"/{project}/invite", invited, as_=BOB)
    for route, body in (("update", {"billTo": org}), ("transfer", {"invitee": org})):
        refusal = await world.refused(f"/{project}/{route}", body)
        assert (refusal.type, "permittedRegions" in refusal.message) == ("PermissionDenied", True)
    await world.call(f"/{project}/transfer", {"invitee": org}, as_=BOB)
    refusal = await world.refused(f"/{project}/acceptTransfer")
    assert "permittedRegions" in refusal.message


async def test_a_job_or_a_narrowed_token_lets_nobody_else_pay(world: World) -> None:
    org, project = await an_org(world), await world.a_project()
    applet = await world.an_applet(project, access={"project": "ADMINISTER"})
    job = (await world.lease(await world.a_job(applet)))["token"]
    scope = {"scope": {"projects": {project: "ADMINISTER"}}}
    narrowed = (await world.call("/system/newAuthToken", scope))["access_token"]
    for token in (job, narrowed):
        refusal = await world.refused(f"/{project}/update", {"billTo": org}, as_=token)
        assert refusal.type == "PermissionDenied"
        same = {"billTo": "user-alice", "summary": "s"}
        await world.call(f"/{project}/update", same, as_=token)
