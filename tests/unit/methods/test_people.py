"""What the operator does about users and tokens (`plasmid user|token`)."""

from __future__ import annotations

from typing import Any

import pytest

from plasmid.auth import tokens
from plasmid.methods.tokens import DAY_MS, LONGEST_MS
from tests.unit.methods.people import an_org
from tests.worlds import ALICE, OPERATOR, START_MS, World


async def operate(world: World, route: str, **body: Any) -> Any:
    return await world.call(f"/internal/{route}", body, as_=OPERATOR)


async def a_token(world: World, user: str = "user-dora", lifetime_ms: int = DAY_MS) -> str:
    answer = await operate(world, "token/mint", user=user, lifetime_ms=lifetime_ms, label="l")
    assert answer["expires"] == START_MS + lifetime_ms
    return str(answer["access_token"])


async def dora(world: World) -> None:
    given = {"username": "dora", "email": "dora@lab.example", "first": "Dora"}
    await world.call("/user/new", given, as_=OPERATOR)


async def test_a_user_is_let_in_by_a_token_for_a_time(world: World) -> None:
    await dora(world)
    token = await a_token(world)
    assert await world.call("/system/whoami", as_=token) == {"id": "user-dora"}
    listed = await operate(world, "token/list", user="user-dora")
    assert listed == {
        "tokens": [
            {
                "signature": tokens.hash_of(token), "user": "user-dora", "label": "l",
                "created": START_MS, "expires": START_MS + DAY_MS,
            }
        ]
    }  # fmt: skip
    world.clock.advance(DAY_MS)
    assert (await world.refused("/system/whoami", as_=token)).type == "InvalidAuthentication"


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"user": "user-nobody"}, "ResourceNotFound"),
        ({"lifetime_ms": 0}, "InvalidInput"),
        ({"lifetime_ms": LONGEST_MS + 1}, "InvalidInput"),
        ({"label": "x" * 256}, "InvalidInput"),
        ({"user": 7}, "InvalidInput"),
    ],
)
async def test_a_wrong_token_is_not_made(world: World, change: dict[str, Any], kind: str) -> None:
    body = {"user": "user-bob", "lifetime_ms": 1, **change}
    assert (await world.refused("/internal/token/mint", body, as_=OPERATOR)).type == kind


async def test_a_revoked_token_takes_its_jobs_along(world: World) -> None:
    await dora(world)
    kept, token = await a_token(world), await a_token(world, lifetime_ms=2 * DAY_MS)
    project = await world.a_project(as_=token)
    job = await world.a_job(await world.an_applet(project, as_=token), as_=token)
    signature = tokens.hash_of(token)
    answer = await operate(world, "token/revoke", signature=signature[:12])
    assert answer == {"signature": signature, "user": "user-dora", "jobs": 1}
    assert await world.state(job) == "failed"
    assert (await world.refused("/system/whoami", as_=token)).type == "InvalidAuthentication"
    await world.call("/system/whoami", as_=kept)


@pytest.mark.parametrize(
    ("signature", "kind"),
    [("0" * 8, "ResourceNotFound"), (tokens.hash_of(ALICE), "InvalidState"), ("", "InvalidInput")],
)
async def test_what_is_not_clearly_a_token_is_not_revoked(
    world: World, signature: str, kind: str
) -> None:
    body = {"signature": signature}
    assert (await world.refused("/internal/token/revoke", body, as_=OPERATOR)).type == kind
    await world.call("/system/whoami")


async def test_a_disabled_user_is_shut_out_until_enabled(world: World) -> None:
    await dora(world)
    token = await a_token(world)
    answer = await operate(world, "user/setDisabled", user="user-dora", disabled=True)
    assert answer == {"id": "user-dora", "tokens": 1}
    assert (await world.refused("/system/whoami", as_=token)).type == "InvalidAuthentication"
    mint = {"user": "user-dora", "lifetime_ms": 1}
    refusal = await world.refused("/internal/token/mint", mint, as_=OPERATOR)
    assert (refusal.type, "plasmid user enable dora" in refusal.message) == ("InvalidState", True)
    await operate(world, "user/setDisabled", user="user-dora", disabled=False)
    await world.call("/system/whoami", as_=await a_token(world))


async def test_who_has_the_folders_own_token_is_not_disabled(world: World) -> None:
    body = {"user": "user-alice", "disabled": True}
    refusal = await world.refused("/internal/user/setDisabled", body, as_=OPERATOR)
    assert refusal.type == "InvalidState"
    await world.call("/system/whoami")


async def test_the_operator_sees_all_users_and_orgs(world: World) -> None:
    org = await an_org(world, name="The Lab")
    listed = (await operate(world, "user/list"))["users"]
    assert [row["id"] for row in listed] == ["user-alice", "user-bob", "user-eve"]
    assert listed[1] == {
        "id": "user-bob", "first": "Bob", "last": "Test", "email": "bob@example.com",
        "billTo": "user-bob", "created": START_MS, "disabled": False, "tokens": 1,
    }  # fmt: skip
    found = await operate(world, "org/list")
    assert found == {
        "orgs": [{"id": org, "name": "The Lab", "created": START_MS, "members": 1}]
    }  # fmt: skip
