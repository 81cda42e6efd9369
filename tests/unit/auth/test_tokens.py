"""Tokens: kept as hashes, found by what was given, dead when removed or expired."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import pytest

from plasmid.auth import tokens
from plasmid.auth.tokens import Authenticator
from plasmid.domain import errors
from plasmid.domain.access import ANONYMOUS, Actor, Level
from plasmid.metadata import users
from plasmid.metadata.database import Database
from tests.worlds import World

ACTOR = Actor(user="user-a", job="job-x", attempt=2, containers={"c": Level.VIEW}, scope=None)


async def a_database(*, expires_ms: int | None = None) -> Database:
    database = Database(None)
    async with database.transaction() as tx:
        await tokens.add(tx, "secret", ACTOR, now_ms=1, expires_ms=expires_ms, label="test")
    return database


async def test_a_token_stands_for_its_actor() -> None:
    database = await a_database()
    authenticator = Authenticator()
    for header in ("Bearer secret", "bearer secret", "BEARER secret"):
        found = await authenticator.actor_of(database.reader, header, 5)
        assert found == msgspec.structs.replace(ACTOR, token_hash=tokens.hash_of("secret"))
    database.close()


async def test_without_a_token_the_caller_is_nobody() -> None:
    database = Database(None)
    for header in (None, ""):
        assert await Authenticator().actor_of(database.reader, header, 5) is ANONYMOUS
    database.close()


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("Bearer other", "could not be found"),
        ("Bearer Secret", "could not be found"),
        ("Bearer secret ", "could not be found"),
        ("Bearer tökén", "could not be found"),
        ("Bearer " + hashlib.sha256(b"secret").hexdigest(), "could not be found"),
        ("Bearer", "must be: Bearer"),
        ("Bearer ", "must be: Bearer"),
        ("Basic secret", "must be: Bearer"),
        ("secret", "must be: Bearer"),
    ],
)
async def test_any_other_header_is_refused(header: str, words: str) -> None:
    database = await a_database()
    with pytest.raises(errors.InvalidAuthentication, match=words):
        await Authenticator().actor_of(database.reader, header, 5)
    database.close()


async def test_a_token_expires_even_where_it_is_remembered() -> None:
    database = await a_database(expires_ms=100)
    authenticator = Authenticator()
    assert (await authenticator.actor_of(database.reader, "Bearer secret", 99)).expires_ms == 100
    for now_ms in (100, 101):
        with pytest.raises(errors.InvalidAuthentication, match="expired"):
            await authenticator.actor_of(database.reader, "Bearer secret", now_ms)
    database.close()


async def test_a_removed_token_is_dead_once_tokens_are_read_anew() -> None:
    database = await a_database()
    authenticator = Authenticator()
    await authenticator.actor_of(database.reader, "Bearer secret", 5)
    async with database.transaction() as tx:
        await users.remove_job_tokens(tx, "job-x")
    authenticator.forget()
    with pytest.raises(errors.InvalidAuthentication):
        await authenticator.actor_of(database.reader, "Bearer secret", 5)
    database.close()


async def test_a_token_that_is_read_while_it_is_removed_is_dead_after_the_commit(
    tmp_path: Path,
) -> None:
    """Until then it is good: who asks in between must not keep it alive."""
    database = Database(tmp_path / "db")
    authenticator = Authenticator()
    database.listeners.append(authenticator.hear)
    async with database.transaction() as tx:
        await tokens.add(tx, "secret", ACTOR, now_ms=1, expires_ms=None, label="test")
    async with database.transaction() as tx:
        await users.remove_job_tokens(tx, "job-x")
        authenticator.forget()
        await authenticator.actor_of(database.reader, "Bearer secret", 5)
    with pytest.raises(errors.InvalidAuthentication):
        await authenticator.actor_of(database.reader, "Bearer secret", 5)
    database.close()


async def test_no_token_is_kept_readable() -> None:
    database = await a_database()
    kept = await users.find_token(database.reader, tokens.hash_of("secret"))
    assert kept is not None
    assert "secret" not in repr(kept)
    database.close()


async def test_remembering_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "CACHED_MAX", 3)
    database = Database(None)
    authenticator = Authenticator()
    async with database.transaction() as tx:
        for number in range(10):
            await tokens.add(tx, f"t{number}", ACTOR, now_ms=1, expires_ms=None, label=f"{number}")
    for number in range(10):
        await authenticator.actor_of(database.reader, f"Bearer t{number}", 5)
        assert len(authenticator._known) <= 3
    database.close()


def test_a_token_holds_all_its_randomness() -> None:
    assert tokens.mint(bytes(range(32))) == bytes(range(32)).hex()


@pytest.mark.parametrize("end", ["done", "failed", "terminated", "restarted", "waiting_on_output"])
async def test_the_token_of_a_job_dies_with_its_try(world: World, end: str) -> None:
    job = await world.a_job(await world.an_applet(await world.a_project()))
    await world.lease(job)
    token = world.token_of(job)
    assert (await world.call("/system/whoami", as_=token))["id"] == "user-alice"
    if end == "done":
        await world.finish(job)
    elif end == "failed":
        await world.fail(job)
    elif end == "restarted":
        await world.fail(job, "ExecutionError")
    elif end == "waiting_on_output":
        await world.a_subjob(job)
        await world.finish(job)
    else:
        await world.call(f"/{job}/terminate")
        await world.call("/system/whoami", as_=token)
        await world.report(job)
    refusal = await world.refused("/system/whoami", as_=token)
    assert (refusal.type, refusal.status) == ("InvalidAuthentication", 401)
