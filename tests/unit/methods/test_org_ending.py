"""The end of an org takes with it all that was had through it, and nothing else (contract J.6)."""

from __future__ import annotations

from typing import Any

import pytest

from plasmid.methods import org_ending
from tests.unit.methods.people import a_place, an_org
from tests.worlds import ALICE, BOB, EVE, OPERATOR, World


async def an_app(world: World, project: str, **body: Any) -> str:
    applet = await world.an_applet(project, inputSpec=[], outputSpec=[])
    return await world.an_app(applet, publish=True, **body)


async def test_an_org_that_pays_for_nothing_ends(world: World) -> None:
    org = await an_org(world)
    await a_place(world, org, allowBillableActivities=True)
    project = await world.a_project()
    await world.call(f"/{project}/invite", {"invitee": org, "level": "CONTRIBUTE"})
    await world.call("/user-bob/update", {"billTo": org}, as_=BOB)
    assert (await world.describe(project, as_=BOB))["level"] == "CONTRIBUTE"
    assert await world.call(f"/{org}/destroy") == {"id": org}
    for as_ in (ALICE, BOB, EVE):
        assert (await world.refused(f"/{org}/describe", as_=as_)).type == "ResourceNotFound"
    assert (await world.refused(f"/{project}/describe", as_=BOB)).type == "PermissionDenied"
    assert (await world.describe(project, permissions=True))["permissions"] == {
        "user-alice": "ADMINISTER"
    }
    assert (await world.describe("user-bob", as_=BOB))["billTo"] == "user-bob"
    assert (await world.call("/system/findOrgs", {"level": "MEMBER"}))["results"] == []
    # whoever has the handle next finds nothing of it
    assert await an_org(world, as_=EVE) == org
    assert (await world.refused(f"/{project}/describe", as_=EVE)).type == "PermissionDenied"


@pytest.mark.parametrize("place", [None, "MEMBER"])
async def test_only_its_administrators_end_an_org(world: World, place: str | None) -> None:
    org = await an_org(world)
    if place:
        await a_place(world, org, level=place)
    assert (await world.refused(f"/{org}/destroy", as_=BOB)).type == "PermissionDenied"
    narrow = (await world.call("/system/newAuthToken", {"scope": {"projects": {"*": "VIEW"}}}))[
        "access_token"
    ]
    assert (await world.refused(f"/{org}/destroy", as_=narrow)).type == "PermissionDenied"
    await a_place(world, org, level="ADMIN")
    assert await world.call(f"/{org}/destroy", as_=BOB) == {"id": org}


async def test_who_pays_instead_has_to_be_said(world: World) -> None:
    org = await an_org(world)
    project = await world.a_project(billTo=org)
    app = await an_app(world, project, billTo=org)
    refusal = await world.refused(f"/{org}/destroy")
    assert refusal.type == "InvalidState"
    assert f"{project}, an_app: " in refusal.message
    for heir, kind in (
        ("user-bob", "PermissionDenied"), ("org-nobody", "ResourceNotFound"),
        (org, "InvalidInput"), ("x", "InvalidInput"),
    ):  # fmt: skip
        assert (await world.refused(f"/{org}/destroy", {"billTo": heir})).type == kind
    await world.call(f"/{org}/destroy", {"billTo": "user-alice"})
    assert (await world.describe(project))["billTo"] == "user-alice"
    assert (await world.describe(app))["billTo"] == "user-alice"


async def test_of_much_that_an_org_pays_for_some_is_named(world: World) -> None:
    org = await an_org(world)
    for _ in range(org_ending.NAMED_MAX + 2):
        await world.a_project(billTo=org)
    message = (await world.refused(f"/{org}/destroy")).message
    assert message.count("project-") == org_ending.NAMED_MAX
    assert "and 2 more: " in message


async def test_the_operator_names_whom_they_like_and_only_who_is_there(world: World) -> None:
    org, other = await an_org(world, as_=BOB), await an_org(world, "other", as_=EVE)
    project = await world.a_project(as_=BOB, billTo=org)
    refusal = await world.refused(f"/{org}/destroy", {"billTo": "user-nobody"}, as_=OPERATOR)
    assert refusal.type == "ResourceNotFound"
    await world.call(f"/{org}/destroy", {"billTo": other}, as_=OPERATOR)
    assert (await world.describe(project, as_=BOB))["billTo"] == other


async def test_a_heir_that_is_not_billed_in_a_region_is_refused_and_nothing_is_done(
    world: World,
) -> None:
    org, other = await an_org(world), await an_org(world, "other")
    project = await world.a_project(billTo=org, region="azure:westus")
    await world.call(f"/{other}/update", {"permittedRegions": ["aws:us-east-1"]})
    refusal = await world.refused(f"/{org}/destroy", {"billTo": other})
    assert refusal.type == "PermissionDenied"
    assert (await world.describe(project))["billTo"] == org
    assert (await world.describe(org))["level"] == "ADMIN"


async def test_an_app_of_which_it_was_the_developer_gets_another(world: World) -> None:
    org = await an_org(world)
    await a_place(world, org)
    app = await an_app(world, await world.a_project())
    await world.call(f"/{app}/addDevelopers", {"developers": [org]})
    await world.call(f"/{app}/addAuthorizedUsers", {"authorizedUsers": [org, "user-eve"]})
    await world.call(f"/{app}/removeDevelopers", {"developers": ["user-alice"]}, as_=BOB)
    await world.call(f"/{org}/destroy")
    assert await world.call(f"/{app}/listDevelopers") == {"developers": ["user-alice"]}
    assert await world.call(f"/{app}/listAuthorizedUsers") == {"authorizedUsers": ["user-eve"]}
    assert (await world.refused(f"/{app}/describe", as_=BOB)).type == "PermissionDenied"


async def test_an_app_whose_versions_are_all_deleted_keeps_no_org_alive(world: World) -> None:
    org = await an_org(world)
    app = await an_app(world, await world.a_project(), billTo=org)
    await world.call(f"/{app}/delete")
    await world.call(f"/{org}/destroy")


async def test_a_project_that_was_offered_to_it_is_so_no_more(world: World) -> None:
    org = await an_org(world, as_=BOB)
    project = await world.a_project()
    await world.call(f"/{project}/transfer", {"invitee": org})
    assert (await world.describe(project))["pendingTransfer"] == org
    await world.call(f"/{org}/destroy", as_=BOB)
    assert (await world.describe(project))["pendingTransfer"] is None
    await an_org(world, as_=EVE)
    assert (await world.refused(f"/{project}/acceptTransfer", as_=EVE)).type == "PermissionDenied"
