"""`plasmid user|token|org`: what they ask of a server, and what they print."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from plasmid.cli import main, people
from plasmid.cli.people import NewUser, Operator, Place
from plasmid.cli.trouble import CommandError
from plasmid.domain import errors
from tests.unit.methods.people import an_org, members
from tests.worlds import BOB, OPERATOR, START_MS, World


class InWorld(Operator):
    """Calls a platform in memory."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.url = "http://there:8124"

    async def call(self, route: str, body: dict[str, Any] | None = None) -> Any:
        answer = await self._world.answer(route, body, as_=OPERATOR)
        if answer.status_code == 200:
            return answer.json()
        error = answer.json()["error"]
        raise getattr(errors, error["type"])(error["message"])


@pytest.fixture
def operator(world: World) -> Operator:
    return InWorld(world)


def a_user(**given: Any) -> NewUser:
    usual: dict[str, Any] = {
        "username": "Dora", "email": "dora@lab.example", "first": "", "last": "", "org": None,
        "level": "MEMBER",
    }  # fmt: skip
    return NewUser(**{**usual, **given})


def printed(capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    return [line.split() for line in capsys.readouterr().out.splitlines()]


async def test_an_account_is_made_let_in_and_shut_out(
    world: World, operator: Operator, capsys: pytest.CaptureFixture[str]
) -> None:
    await people.add_user(operator, a_user())
    assert capsys.readouterr().out == "user-dora\n"
    await people.new_token(operator, "Dora", days=1, label="laptop", as_env=False)
    token = capsys.readouterr().out.strip()
    assert await world.call("/system/whoami", as_=token) == {"id": "user-dora"}
    await people.list_tokens(operator, "user-dora", as_json=False)
    _, row = printed(capsys)
    assert row[1:] == ["user-dora", "2027-01-15", "2027-01-16", "laptop"]
    await people.revoke_token(operator, row[0])
    assert "user-dora was ended, and 0 unfinished jobs" in capsys.readouterr().out
    await people.set_disabled(operator, "dora", is_disabled=True)
    await people.list_users(operator, as_json=False)
    assert printed(capsys)[-1] == ["user-eve", "Eve", "Test", "eve@example.com", "user-eve",
                                   "2027-01-15", "1"]  # fmt: skip
    with pytest.raises(errors.InvalidState, match="plasmid user enable dora"):
        await people.new_token(operator, "dora", days=1, label="", as_env=False)
    await people.set_disabled(operator, "dora", is_disabled=False)
    await people.new_token(operator, "dora", days=1, label="", as_env=True)
    out = capsys.readouterr().out
    assert "export DX_APISERVER_HOST=there\n" in out
    assert "export DX_USERNAME=dora\n" in out


async def test_an_account_becomes_a_member_at_once_or_is_not_made(
    world: World, operator: Operator
) -> None:
    org = await an_org(world)
    await people.add_user(operator, a_user(org="LAB", level="ADMIN"))
    assert await members(world, org) == {"user-alice": "ADMIN", "user-dora": "ADMIN"}
    with pytest.raises(errors.ResourceNotFound, match="org-none"):
        await people.add_user(operator, a_user(username="dan", email="d@e.fg", org="none"))
    with pytest.raises(errors.ResourceNotFound, match="user-dan"):
        await operator.call("/user-dan/describe")


async def test_an_org_is_made_for_its_admin_and_filled(
    world: World, operator: Operator, capsys: pytest.CaptureFixture[str]
) -> None:
    await people.add_org(operator, "Lab", "The Lab", "bob")
    assert capsys.readouterr().out == "org-lab\n"
    assert await members(world, "org-lab", as_=BOB) == {"user-bob": "ADMIN"}
    place = Place(project_access="VIEW", allow_billable_activities=True)
    await people.set_member(operator, "lab", "eve", place)
    await people.set_member(operator, "lab", "eve", Place(app_access=False))
    await people.list_orgs(operator, None, as_json=False)
    assert printed(capsys)[-1] == ["org-lab", "The", "Lab", "2027-01-15", "2"]
    await people.list_orgs(operator, "lab", as_json=False)
    assert printed(capsys)[1:] == [
        ["user-bob", "ADMIN", "ADMINISTER", "yes", "yes"],
        ["user-eve", "MEMBER", "VIEW", "no", "yes"],
    ]
    project = await world.a_project(as_=BOB, billTo="org-lab")
    invited = {"invitee": "user-eve", "level": "VIEW"}
    await world.call(f"/{project}/invite", invited, as_=BOB)
    await people.remove_member(operator, "lab", "eve")
    assert f"user-eve has left {project}" in capsys.readouterr().out
    with pytest.raises(errors.InvalidState, match="without an ADMIN"):
        await people.remove_member(operator, "lab", "bob")


async def test_an_org_for_nobody_is_not_made(operator: Operator) -> None:
    with pytest.raises(errors.ResourceNotFound, match="user-nobody"):
        await people.add_org(operator, "lab", "", "nobody")
    with pytest.raises(errors.ResourceNotFound, match="org-lab"):
        await operator.call("/org-lab/describe")


async def test_what_users_have_chosen_does_not_steer_the_operators_terminal(
    world: World, operator: Operator, capsys: pytest.CaptureFixture[str]
) -> None:
    await world.call("/system/newAuthToken", {"label": "\x1b[2Jgone"}, as_=BOB)
    await people.list_tokens(operator, "bob", as_json=False)
    out = capsys.readouterr().out
    assert ("\x1b" in out, "?[2Jgone" in out) == (False, True)


async def test_lists_are_printed_as_json(
    operator: Operator, capsys: pytest.CaptureFixture[str]
) -> None:
    await people.list_users(operator, as_json=True)
    await people.list_tokens(operator, None, as_json=True)
    await people.list_orgs(operator, None, as_json=True)
    users, tokens, orgs = capsys.readouterr().out.splitlines()
    assert '"id":"user-alice"' in users
    assert f'"created":{START_MS}' in tokens
    assert orgs == "[]"


def test_a_folder_without_a_server_ends_a_command_with_2(tmp_path: Path) -> None:
    for command in (["user", "list"], ["token", "list"], ["org", "list"]):
        with pytest.raises(CommandError, match="plasmid serve") as caught:
            main.app([*command, "--data", str(tmp_path)])
        assert caught.value.exit_code == 2


async def test_an_org_is_removed_and_another_pays(
    world: World, operator: Operator, capsys: pytest.CaptureFixture[str]
) -> None:
    org = await an_org(world, as_=BOB)
    project = await world.a_project(as_=BOB, billTo=org)
    with pytest.raises(errors.InvalidState, match=f"{project}: .*--bill-to"):
        await people.remove_org(operator, "lab", None)
    await people.remove_org(operator, "Lab", "bob")
    assert capsys.readouterr().out == "org-lab is gone\n"
    assert (await world.describe(project, as_=BOB))["billTo"] == "user-bob"
    heir = await an_org(world, "heir", as_=BOB)
    await an_org(world, as_=BOB)
    await world.call(f"/{project}/update", {"billTo": org}, as_=BOB)
    await people.remove_org(operator, "org-lab", heir)
    assert (await world.describe(project, as_=BOB))["billTo"] == heir
