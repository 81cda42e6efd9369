"""Tokens of users: what they may, how long they live, and who can end them (contract J.3)."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec
import pytest

from plasmid.auth.logins import Logins
from plasmid.metadata import users
from plasmid.metadata.database import Transaction
from plasmid.methods.tokens import DAY_MS, LONGEST_MS, USUAL_MS
from tests.worlds import ALICE, BOB, EVE, OPERATOR, START_MS, WORKER, World


async def a_token(world: World, *, as_: str = ALICE, **body: Any) -> str:
    answer = await world.call("/system/newAuthToken", body, as_=as_)
    return str(answer["access_token"])


def signature(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


async def end(world: World, token: str, *, as_: str = ALICE) -> None:
    body = {"tokenSignature": signature(token)}
    assert await world.call("/system/destroyAuthToken", body, as_=as_) == {}


async def test_a_new_token_is_its_users_and_is_shown_once(world: World) -> None:
    answer = await world.call("/system/newAuthToken", {"label": "laptop"}, as_=BOB)
    token = answer.pop("access_token")
    assert answer == {
        "token_type": "Bearer",
        "token_signature": signature(token),
        "user_id": "user-bob",
        "expires": START_MS + USUAL_MS,
    }
    assert await world.call("/system/whoami", as_=token) == {"id": "user-bob"}
    assert token not in repr(await world.rows("SELECT * FROM tokens"))


async def test_a_token_lives_as_long_as_asked_for(world: World) -> None:
    token = await a_token(world, expires=START_MS + 1000)
    world.clock.advance(999)
    await world.call("/system/whoami", as_=token)
    world.clock.advance(1)
    refusal = await world.refused("/system/whoami", as_=token)
    assert (refusal.type, "token" in refusal.message) == ("InvalidAuthentication", True)


async def test_a_token_makes_none_that_lives_longer_than_itself(world: World) -> None:
    token = await a_token(world, expires=START_MS + 1000)
    for body in ({}, {"expires": START_MS + 5000}):
        answer = await world.call("/system/newAuthToken", body, as_=token)
        assert answer["expires"] == START_MS + 1000


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"expires": START_MS}, "expires"),
        ({"expires": START_MS + LONGEST_MS + 1}, "expires"),
        ({"expires": "30d"}, "expires"),
        ({"scope": []}, "scope"),
        ({"scope": {}}, "projects"),
        ({"scope": {"projects": {"file-x": "VIEW"}}}, "file-x"),
        ({"scope": {"projects": {"*": "OWNER"}}}, "scope.projects.*"),
        ({"label": 5}, "label"),
        ({"label": "x" * 256}, "label"),
    ],
)
async def test_a_wrong_wish_is_refused_by_its_key(
    world: World, body: dict[str, Any], words: str
) -> None:
    refusal = await world.refused("/system/newAuthToken", body)
    assert refusal.type == "InvalidInput"
    assert words in refusal.message


async def test_a_scope_is_the_most_that_a_token_may(world: World) -> None:
    """The client's own test: UPLOAD everywhere uploads, closes and reads (contract J.3)."""
    project, other = await world.a_project(), await world.a_project()
    everywhere = await a_token(world, scope={"projects": {"*": "UPLOAD"}})
    file = await world.a_closed_file(project, b"x", as_=everywhere)
    assert (await world.describe(file, as_=everywhere))["name"] == file
    refused = {"project": project, "name": "n"}
    assert (await world.refused(f"/{file}/rename", refused, as_=everywhere)).type == (
        "PermissionDenied"
    )
    one = await a_token(world, scope={"projects": {project: "VIEW"}})
    assert await world.call(f"/{project}/describe", as_=one)
    assert (await world.refused(f"/{other}/describe", as_=one)).type == "PermissionDenied"
    assert (await world.refused("/project/new", {"name": "n"}, as_=one)).type == "PermissionDenied"
    key = {"sshPublicKey": "ssh-rsa AAAA"}
    assert (await world.refused("/user-alice/update", key, as_=one)).type == "PermissionDenied"
    whole = await a_token(world, scope={"projects": {"*": "ADMINISTER"}})
    await world.call("/project/new", {"name": "n"}, as_=whole)


async def test_a_narrow_token_makes_none_that_is_wider(world: World) -> None:
    project, other = await world.a_project(), await world.a_project()
    narrow = await a_token(world, scope={"projects": {project: "UPLOAD", other: "VIEW"}})
    for scope in (None, {"projects": {"*": "ADMINISTER"}}):
        token = await a_token(world, as_=narrow, **({"scope": scope} if scope else {}))
        await world.a_record(project, as_=token)
        assert (
            await world.refused("/record/new", {"project": other}, as_=token)
        ).type == "PermissionDenied"


async def test_an_ended_token_is_dead_at_once(world: World) -> None:
    token, kept = await a_token(world), await a_token(world)
    await world.call("/system/whoami", as_=token)
    await end(world, token, as_=token)
    refusal = await world.refused("/system/whoami", as_=token)
    assert (refusal.type, refusal.message) == (
        "InvalidAuthentication",
        "The token could not be found",
    )
    await world.call("/system/whoami", as_=kept)


async def test_nobody_ends_the_token_of_somebody_else(world: World) -> None:
    """And the answer does not say whether there is one."""
    token = await a_token(world, as_=BOB)
    for other in (ALICE, EVE, OPERATOR):
        await end(world, token, as_=other)
        await end(world, "none of anybody", as_=other)
    assert (await world.refused("/system/destroyAuthToken", {}, as_=None)).type == (
        "InvalidAuthentication"
    )
    await world.call("/system/whoami", as_=token)


async def test_a_narrow_token_ends_only_itself(world: World) -> None:
    narrow, other = await a_token(world, scope={"projects": {"*": "VIEW"}}), await a_token(world)
    body = {"tokenSignature": signature(other)}
    refusal = await world.refused("/system/destroyAuthToken", body, as_=narrow)
    assert refusal.type == "PermissionDenied"
    await end(world, narrow, as_=narrow)
    await world.call("/system/whoami", as_=other)


async def test_the_data_folders_own_token_does_not_end(world: World) -> None:
    body = {"tokenSignature": signature(ALICE)}
    assert (await world.refused("/system/destroyAuthToken", body)).type == "InvalidState"
    await world.call("/system/whoami")


@pytest.mark.parametrize("verb", ["newAuthToken", "destroyAuthToken"])
async def test_jobs_and_workers_have_no_say_in_tokens(world: World, verb: str) -> None:
    job = await world.a_job(await world.an_applet(await world.a_project()))
    await world.lease(job)
    body = {"tokenSignature": signature(ALICE)}
    for token, kind in ((world.token_of(job), "PermissionDenied"), (None, "InvalidAuthentication")):
        assert (await world.refused(f"/system/{verb}", body, as_=token)).type == kind
    assert (await world.refused(f"/system/{verb}", body, as_=WORKER)).status == 401


async def test_without_a_token_the_answer_says_where_to_get_one(world: World) -> None:
    refusal = await world.refused("/system/newAuthToken", {"expires": START_MS + 1}, as_=None)
    assert (refusal.type, "plasmid env" in refusal.message) == ("InvalidAuthentication", True)


async def test_a_token_is_the_password_of_its_user(world: World) -> None:
    """`dx login` asks for a name and a password; the token that it gets is a new one."""
    scope = {"projects": {"*": "VIEW"}}
    narrow = await a_token(world, scope=scope, expires=START_MS + 5 * DAY_MS)
    for name, password in (("Alice", ALICE), ("user-alice", f" {ALICE}\n"), ("alice", narrow)):
        body = {"username": name, "password": password, "expires": START_MS + 10 * DAY_MS}
        answer = await world.call("/system/newAuthToken", body, as_=None)
        assert answer["access_token"] not in (ALICE, narrow)
        assert answer["expires"] == START_MS + (5 if password == narrow else 10) * DAY_MS
        token = answer["access_token"]
        assert await world.call("/system/getUserInfo", as_=token) == {
            "username": "alice", "id": "user-alice"
        }  # fmt: skip
        made = await world.answer("/project/new", {"name": "p"}, as_=token)
        assert (made.status_code == 200) is (password != narrow)


@pytest.mark.parametrize(
    ("name", "password"), [("alice", "x"), ("alice", BOB), ("nobody", ALICE), ("local", WORKER)]
)
async def test_a_wrong_login_is_the_clients_error_to_ask_again(
    world: World, name: str, password: str
) -> None:
    body = {"username": name, "password": password}
    refusal = await world.refused("/system/newAuthToken", body, as_=None)
    assert (refusal.type, refusal.status) == ("UsernameOrPasswordError", 401)


async def test_a_jobs_token_is_nobodys_password(world: World) -> None:
    job = await world.a_job(await world.an_applet(await world.a_project()))
    await world.lease(job)
    body = {"username": "alice", "password": world.token_of(job)}
    refusal = await world.refused("/system/newAuthToken", body, as_=None)
    assert refusal.type == "PermissionDenied"


async def test_failed_logins_are_slowed_down_and_the_answer_is_what_the_client_heeds(
    world: World,
) -> None:
    """The right password is no way past it: else guesses would not be slowed down."""
    world.platform.logins = Logins(3)
    wrong = {"username": "alice", "password": "x"}
    for _ in range(3):
        refusal = await world.refused("/system/newAuthToken", wrong, as_=None)
        assert refusal.type == "UsernameOrPasswordError"
    for body in (wrong, {"username": "alice", "password": ALICE}, {**wrong, "username": "bob"}):
        refusal = await world.refused("/system/newAuthToken", body, as_=None)
        assert (refusal.type, refusal.status) == ("RateLimitConditional", 429)
        assert refusal.headers["retry-after"] == "20"
    await a_token(world)  # who has a token is no concern of this
    world.clock.advance(20_000)
    await world.call("/system/newAuthToken", {**wrong, "password": ALICE}, as_=None)


async def test_a_failed_login_takes_no_turn_of_those_who_write(world: World) -> None:
    async with world.database.transaction():
        body = {"username": "alice", "password": "x"}
        refusal = await world.refused("/system/newAuthToken", body, as_=None)
    assert refusal.type == "UsernameOrPasswordError"


def waiting(world: World, monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Return what is set when the next call asks for its turn to write."""
    asked = asyncio.Event()
    transaction = world.database.transaction

    def watched() -> AbstractAsyncContextManager[Transaction]:
        asked.set()
        return transaction()

    monkeypatch.setattr(world.database, "transaction", watched)
    return asked


@pytest.mark.parametrize("by_password", [False, True])
async def test_a_token_that_ends_while_it_waits_for_its_turn_makes_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch, by_password: bool
) -> None:
    """Else who is shut out in that moment keeps a token that nobody knows of."""
    body = {"username": "bob", "password": BOB} if by_password else {}
    async with asyncio.TaskGroup() as group, world.database.transaction() as tx:
        waits = waiting(world, monkeypatch)
        as_ = None if by_password else BOB
        asked = group.create_task(world.answer("/system/newAuthToken", body, as_=as_))
        await waits.wait()
        await users.remove_token(tx, signature(BOB))
    assert asked.result().status_code == 401
    assert await world.rows("SELECT hash FROM tokens WHERE user = 'user-bob'") == []


async def test_a_token_that_ends_while_it_waits_for_its_turn_starts_no_job(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = await world.a_project()
    await world.a_member(project, "CONTRIBUTE")
    applet = await world.an_applet(project)
    workflow = await world.a_workflow(project, {"executable": applet, "id": "stage-a"})
    for route in (applet, workflow):
        token = await a_token(world, as_=BOB)
        await world.call("/system/whoami", as_=token)  # known, as that of any client at work
        async with asyncio.TaskGroup() as group:
            async with world.database.transaction() as tx:
                waits = waiting(world, monkeypatch)
                body = {"project": project, "input": {}}
                asked = group.create_task(world.answer(f"/{route}/run", body, as_=token))
                await waits.wait()
                await users.remove_token(tx, signature(token))
            monkeypatch.undo()
        assert asked.result().status_code == 401
    assert await world.rows("SELECT id FROM jobs") == []


async def test_a_user_has_so_many_tokens_and_the_operator_any(world: World) -> None:
    world.platform.limits = msgspec.structs.replace(world.platform.limits, user_tokens_max=3)
    first = await a_token(world, as_=BOB, expires=START_MS + 1000)  # and the one he has
    await a_token(world, as_=first)
    for as_, body in ((BOB, {}), (None, {"username": "bob", "password": BOB})):
        refusal = await world.refused("/system/newAuthToken", body, as_=as_)
        assert refusal.type == "PermissionDenied"
        assert "3 tokens" in refusal.message
    await a_token(world, as_=ALICE)
    mint = {"user": "user-bob", "lifetime_ms": 1000}
    await world.call("/internal/token/mint", mint, as_=OPERATOR)
    await world.call("/system/destroyAuthToken", {"tokenSignature": signature(first)}, as_=BOB)
    world.clock.advance(1000)
    assert await world.revoke() == 2  # the minted one and that of the first are over
    await a_token(world, as_=BOB)


async def test_a_jobs_tokens_are_none_of_its_user(world: World) -> None:
    world.platform.limits = msgspec.structs.replace(world.platform.limits, user_tokens_max=2)
    job = await world.a_job(await world.an_applet(await world.a_project()))
    await world.lease(job)
    await a_token(world, as_=EVE)
    assert (await world.refused("/system/newAuthToken", as_=EVE)).type == "PermissionDenied"
