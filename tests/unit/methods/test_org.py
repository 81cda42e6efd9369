"""Orgs: making, describing and changing them (contract J.6)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.unit.domain.test_orgs import ADMIN, MEMBER
from tests.unit.methods.people import a_place, an_org
from tests.worlds import ALICE, BOB, EVE, OPERATOR, START_MS, World

POLICIES = {"memberListVisibility": "ADMIN", "restrictProjectTransfer": "MEMBER"}


async def test_who_makes_an_org_administers_it(world: World) -> None:
    org = await an_org(world, "The_Lab", name="The Lab")
    assert org == "org-the_lab"
    assert await world.describe(org) == {
        "id": "org-the_lab", "class": "org", "handle": "the_lab", "name": "The Lab",
        "level": "ADMIN", **ADMIN, "admins": ["user-alice"], "policies": POLICIES,
        "permittedRegions": list(world.platform.regions),
        "defaultRegion": world.platform.regions[0], "created": START_MS,
        "createdBy": {"user": "user-alice"}, "samlIdP": None,
    }  # fmt: skip


async def test_members_see_their_place_and_others_what_it_is_called(world: World) -> None:
    org = await an_org(world)
    await a_place(world, org)
    described = await world.describe(org, as_=BOB)
    assert {name: described[name] for name in MEMBER} == MEMBER
    assert (described["level"], described["admins"]) == ("MEMBER", ["user-alice"])
    assert await world.describe(org, as_=EVE) == {
        "id": org, "class": "org", "handle": "lab", "name": "lab",
        "permittedRegions": list(world.platform.regions),
    }  # fmt: skip
    assert (await world.refused(f"/{org}/describe", as_=None)).type == "InvalidAuthentication"
    assert await world.describe(org, fields={"level": True}) == {"id": org, "level": "ADMIN"}


async def test_a_job_sees_of_an_org_what_everybody_sees(world: World) -> None:
    org = await an_org(world)
    job = await world.a_job(await world.an_applet(await world.a_project()))
    await world.lease(job)
    token = world.token_of(job)
    assert "level" not in await world.describe(org, as_=token)
    for route in ("/org/new", f"/{org}/update", f"/{org}/invite", f"/{org}/findMembers"):
        body = {"handle": "other", "name": "n", "invitee": "user-bob"}
        assert (await world.refused(route, body, as_=token)).type == "PermissionDenied"


async def test_a_user_is_described_by_the_orgs_route_too(world: World) -> None:
    """The client's org_describe is given whoever is billed."""
    assert "level" not in await world.describe("user-alice")


async def test_a_handle_is_taken_once_and_a_nonce_gives_the_same_org(world: World) -> None:
    body = {"handle": "lab", "name": "n", "nonce": "x"}
    assert await world.call("/org/new", body) == await world.call("/org/new", body)
    again = await world.refused("/org/new", {**body, "name": "other"})
    assert again.message.startswith("Nonce was reused")
    taken = await world.refused("/org/new", {"handle": "LAB", "name": "n"}, as_=BOB)
    assert (taken.type, "taken" in taken.message) == ("InvalidInput", True)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"name": "n"}, 'property "handle"'),
        ({"handle": "lab"}, 'property "name"'),
        ({"handle": "lab", "name": ""}, '"name"'),
        ({"handle": "la", "name": "n"}, '"handle"'),
        ({"handle": "lab", "name": "n", "policies": {"jobReuse": "x"}}, '"jobReuse" of policies'),
    ],
)
async def test_a_wrong_org_is_not_made(world: World, body: dict[str, Any], words: str) -> None:
    refusal = await world.refused("/org/new", body)
    assert (refusal.type, words in refusal.message) == ("InvalidInput", True), refusal.message
    assert (await world.call("/system/findOrgs", {"level": "MEMBER"}))["results"] == []


async def test_an_update_changes_what_it_names(world: World) -> None:
    org = await an_org(world)
    await world.call(f"/{org}/update", {"policies": {"memberListVisibility": "PUBLIC"}})
    await world.call(f"/{org}/update", {"name": "new", "samlIdP": "idp"})
    await world.call(f"/{org}/update", {"jobLogsForwarding": {"url": "x"}})
    assert await world.call(f"/{org}/update", {}) == {"id": org}
    described = await world.describe(org)
    assert described["policies"] == {**POLICIES, "memberListVisibility": "PUBLIC"}
    assert (described["name"], described["samlIdP"]) == ("new", "idp")
    assert described["jobLogsForwarding"] == {"url": "x"}


async def test_only_an_admin_changes_an_org_and_no_narrowed_token(world: World) -> None:
    org = await an_org(world)
    await a_place(world, org)
    narrowed = await world.call(
        "/system/newAuthToken", {"scope": {"projects": {"*": "ADMINISTER"}}}, as_=ALICE
    )
    for token, words in (
        (BOB, "Only an ADMIN"), (EVE, "Only an ADMIN"), (narrowed["access_token"], "This token")
    ):  # fmt: skip
        refusal = await world.refused(f"/{org}/update", {"name": "x"}, as_=token)
        assert (refusal.type, words in refusal.message) == ("PermissionDenied", True)
    for route in ("/org-nobody/describe", "/org-nobody/update"):
        assert (await world.refused(route)).type == "ResourceNotFound"


async def test_a_user_makes_so_many_orgs_and_the_operator_any(world: World) -> None:
    world.platform.limits = msgspec.structs.replace(world.platform.limits, user_orgs_max=2)
    for handle in ("one", "two"):
        await an_org(world, handle, as_=BOB)
    refusal = await world.refused("/org/new", {"handle": "three", "name": "three"}, as_=BOB)
    assert (refusal.type, "2 orgs" in refusal.message) == ("PermissionDenied", True)
    await an_org(world, "three")
    for handle in ("four", "five", "six"):
        await an_org(world, handle, as_=OPERATOR)
