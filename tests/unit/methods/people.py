"""Builders of orgs and members, for the tests of what people may do."""

from __future__ import annotations

from typing import Any

from tests.worlds import ALICE, World


async def an_org(world: World, handle: str = "lab", *, as_: str = ALICE, **body: Any) -> str:
    """Make an org whose one ADMIN is the caller."""
    return await world.new("/org/new", {"handle": handle, "name": handle, **body}, as_=as_)


async def a_place(
    world: World, org: str, user: str = "user-bob", *, as_: str = ALICE, **body: Any
) -> None:
    """Make a user a member of an org, by default a plain one."""
    answer = await world.call(f"/{org}/invite", {"invitee": user, **body}, as_=as_)
    assert answer == {"id": org, "state": "accepted"}


async def members(world: World, org: str, *, as_: str = ALICE, **body: Any) -> dict[str, str]:
    """Return the levels of an org's members."""
    found = await world.call(f"/{org}/findMembers", body, as_=as_)
    assert found["next"] is None
    return {entry["id"]: entry["level"] for entry in found["results"]}
