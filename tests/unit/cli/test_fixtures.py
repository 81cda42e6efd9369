"""`plasmid fixtures load`: what dx-toolkit's test suite finds on a platform (contract L.4)."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from plasmid import bootstrap, config
from plasmid.auth import tokens
from plasmid.bootstrap import Keys
from plasmid.cli import fixtures, server
from plasmid.cli.trouble import CommandError
from plasmid.metadata import jobs, orgs, projects, users
from plasmid.metadata.database import Database
from plasmid.methods.call import Platform

SUITE = "client-suite"


async def loaded(folder: Path, *, into_used: bool = False) -> dict[str, str]:
    """Load the fixtures; return the tokens that are kept."""
    await fixtures.load(config.load({}), folder, name=SUITE, into_used=into_used)
    return msgspec.json.decode((folder / fixtures.FILE).read_bytes(), type=dict[str, str])


async def opened(folder: Path) -> tuple[Platform, Keys]:
    return await bootstrap.open_platform(config.load({}), folder)


async def test_the_suite_finds_what_it_presupposes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = await loaded(tmp_path)
    assert list(given) == ["user-alice", "user-bob", "user-eve"]
    assert given["user-eve"] == "outside3"
    assert capsys.readouterr().out == "".join(f"{u} {token}\n" for u, token in given.items())
    assert (tmp_path / fixtures.FILE).stat().st_mode & 0o777 == 0o600
    platform, keys = await opened(tmp_path)
    reader = platform.database.reader
    try:
        assert (keys.user, keys.user_token) == ("user-alice", given["user-alice"])
        for user, token in given.items():
            found = await users.find_token(reader, tokens.hash_of(token))
            assert found is not None
            assert found.user == user
            # all but the folder's own can be revoked
            assert (found.expires_ms is None) == (user == keys.user)
        places = await orgs.find_orgs_of(reader, "user-alice")
        assert {(place.org, place.level, bool(place.access)) for place in places} == {
            ("org-auth_file_app_download", "ADMIN", False),
            ("org-members_with_billing_rights", "MEMBER", True),
            ("org-members_without_billing_rights", "MEMBER", True),
            ("org-piratelabs", "ADMIN", False),
            ("org-team_odd", "ADMIN", False),
        }
        assert await orgs.find_orgs_of(reader, "user-bob") == []
        (billed,) = await orgs.find_billed(reader, "org-piratelabs")
        assert (billed.id, billed.name) == (fixtures.PUBLIC_PROJECT, "public-test-project")
        assert billed.created_ms < 1_445_990_400_000  # 28 October 2015
        assert set(await projects.find_members(reader, billed.id)) == {"PUBLIC", "user-alice"}
        (own,) = await orgs.find_billed(reader, "user-alice")
        assert own.name == "dx-toolkit_test_data"
        job = await jobs.find_job(reader, fixtures.JOB)
        assert job is not None
        assert (job.state, job.launched_by) == ("terminated", "user-keeper")
    finally:
        platform.database.close()


async def test_loading_twice_changes_nothing(tmp_path: Path) -> None:
    first = await loaded(tmp_path)
    before = (tmp_path / "plasmid.sqlite").read_bytes()
    assert await loaded(tmp_path) == first
    assert (tmp_path / "plasmid.sqlite").read_bytes() == before


async def test_what_broke_off_is_taken_up_again(tmp_path: Path) -> None:
    await loaded(tmp_path)
    (tmp_path / fixtures.FILE).unlink()
    with pytest.raises(CommandError, match="--into-used") as caught:
        await loaded(tmp_path)
    assert caught.value.exit_code == 2
    await loaded(tmp_path, into_used=True)
    platform, _ = await opened(tmp_path)
    try:
        assert len(await orgs.find_billed(platform.database.reader, "user-alice")) == 1
    finally:
        platform.database.close()


async def test_a_platform_that_is_used_is_left_alone(tmp_path: Path) -> None:
    platform, keys = await opened(tmp_path)
    async with platform.database.transaction() as tx:
        row = await users.find_user(tx, keys.user)
        assert row is not None
        other = msgspec.structs.replace(row, id="user-carl", handle="carl", email="c@d.ef")
        await tx.add(other)
    platform.database.close()
    with pytest.raises(CommandError, match=r"user-carl .* --into-used"):
        await loaded(tmp_path)
    database = Database(tmp_path / "plasmid.sqlite")
    try:
        assert await users.find_user(database.reader, "user-eve") is None
    finally:
        database.close()


async def test_nobody_real_loses_their_account_to_a_fixture(tmp_path: Path) -> None:
    platform, keys = await opened(tmp_path)
    async with platform.database.transaction() as tx:
        row = await users.find_user(tx, keys.user)
        assert row is not None
        bob = msgspec.structs.replace(row, id="user-bob", handle="bob", email="bob@lab.example")
        await tx.add(bob)
    platform.database.close()
    with pytest.raises(CommandError, match=r"user-bob of its own"):
        await loaded(tmp_path, into_used=True)
    database = Database(tmp_path / "plasmid.sqlite")
    try:
        kept = await users.find_user(database.reader, "user-bob")
        assert kept is not None
        assert kept.email == "bob@lab.example"
    finally:
        database.close()


async def test_a_folder_whose_server_runs_is_refused(tmp_path: Path) -> None:
    with server.locked(tmp_path), pytest.raises(CommandError, match="another server uses"):
        await loaded(tmp_path)
