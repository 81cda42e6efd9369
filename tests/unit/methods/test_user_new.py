"""New accounts (contract J.3)."""

from __future__ import annotations

from typing import Any

import pytest

from plasmid.methods import user_new
from tests.unit.methods.people import a_place, an_org
from tests.worlds import BOB, OPERATOR, World

DORA = {"username": "Dora", "email": "dora@lab.example", "first": "Dora"}


async def test_an_account_has_a_name_in_lower_case_and_nothing_else(world: World) -> None:
    given = {**DORA, "last": "L", "middle": "M.", "occupation": "o", "tokenDuration": -10_000}
    assert await world.call("/user/new", given) == {"id": "user-dora"}
    assert await world.describe("user-dora") == {
        "id": "user-dora", "class": "user", "first": "Dora", "middle": "M.", "last": "L",
        "handle": "dora",
    }  # fmt: skip
    assert await world.rows("SELECT * FROM tokens WHERE user = 'user-dora'") == []
    project = await world.a_project()
    await world.a_member(project, "VIEW", user="dora@lab.example")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"username": "bu"}, '"username"'),
        ({"username": None}, '"username"'),
        ({"username": "alice"}, "taken"),
        ({"email": "bad_email"}, '"email"'),
        ({"email": "a@b"}, '"email"'),
        ({"email": f"{'a' * 251}@b.c"}, '"email"'),
        ({"email": "alice@example.com"}, "alice@example.com"),
        ({"first": None}, '"first" or "last"'),
        ({"first": "a\nb"}, '"first"'),
        ({"first": 7}, '"first"'),
        ({"billTo": "does_not_exist"}, '"billTo"'),
        ({"tokenDuration": "x"}, '"tokenDuration"'),
    ],
)
async def test_what_is_wrong_is_no_error_that_the_client_knows_by_name(
    world: World, change: dict[str, Any], words: str
) -> None:
    refusal = await world.refused("/user/new", {**DORA, **change})
    assert (refusal.type, refusal.status) == ("AccountError", 422)
    assert words in refusal.message
    assert (await world.refused("/user-dora/describe")).type == "ResourceNotFound"


async def test_an_orgs_admin_provides_accounts_that_the_org_is_billed_for(world: World) -> None:
    org = await an_org(world)
    await a_place(world, org, allowBillableActivities=True)
    for key in ("provisioningOrg", "billTo"):
        refusal = await world.refused("/user/new", {**DORA, key: org}, as_=BOB)
        assert refusal.type == "PermissionDenied"
    for missing in ("org-nobody", "nobody"):
        refusal = await world.refused("/user/new", {**DORA, "provisioningOrg": missing})
        assert refusal.type == "ResourceNotFound"
    await world.call("/user/new", {**DORA, "provisioningOrg": org, "billTo": org})
    found = await world.rows("SELECT bill_to FROM users WHERE id = 'user-dora'")
    assert found == [(org,)]


async def test_jobs_and_narrowed_tokens_make_no_accounts(world: World) -> None:
    scope = {"scope": {"projects": {"*": "ADMINISTER"}}}
    narrowed = (await world.call("/system/newAuthToken", scope))["access_token"]
    assert (await world.refused("/user/new", DORA, as_=narrowed)).type == "PermissionDenied"
    assert (await world.refused("/user/new", DORA, as_=None)).type == "InvalidAuthentication"


async def test_an_address_is_the_same_in_capital_letters(world: World) -> None:
    refusal = await world.refused("/user/new", {**DORA, "email": "ALICE@Example.com"})
    assert (refusal.type, "already" in refusal.message) == ("AccountError", True)
    project = await world.a_project(as_=BOB)
    invited = {"invitee": "Alice@example.com", "level": "VIEW"}
    await world.call(f"/{project}/invite", invited, as_=BOB)
    assert (await world.describe(project))["level"] == "VIEW"


async def test_a_user_makes_so_many_accounts_and_the_operator_any_number(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_new, "MADE_MAX", 2)

    def given(number: int) -> dict[str, Any]:
        return {"username": f"dora{number}", "email": f"d{number}@lab.example", "first": "D"}

    for number in range(2):
        await world.call("/user/new", given(number), as_=BOB)
    refusal = await world.refused("/user/new", given(2), as_=BOB)
    assert (refusal.type, "plasmid user add" in refusal.message) == ("PermissionDenied", True)
    for number in range(2, 5):
        await world.call("/user/new", given(number), as_=OPERATOR)
