"""`plasmid fixtures load`: what dx-toolkit's test suite presupposes (contract L.4)."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any, Final

import msgspec

from plasmid import bootstrap
from plasmid.auth import tokens
from plasmid.bootstrap import Keys
from plasmid.cli import server
from plasmid.cli.trouble import CommandError
from plasmid.config import Config
from plasmid.domain import folders, instance_types
from plasmid.domain.access import Actor, Level
from plasmid.executions import launch
from plasmid.executions.launch import Launch
from plasmid.metadata import jobs, orgs, users
from plasmid.metadata.database import Database, DatabaseUnusableError
from plasmid.metadata.rows import ContainerRow, UserRow
from plasmid.methods import moments, registry, targets
from plasmid.methods.call import Call, Platform, Request
from plasmid.methods.tokens import LONGEST_MS

FILE: Final = "fixtures.json"
# Before 28 October 2015: some tests ask for what was created before that day.
THEN_MS: Final = 1_420_070_400_000
ALICE: Final = "user-alice"
BOB: Final = "user-bob"
EVE: Final = "user-eve"
KEEPER: Final = "user-keeper"
USERS: Final = {ALICE: "Alice", BOB: "Bob", EVE: "Eve", KEEPER: "Keeper"}
# The suite knows eve by this token.
TOKEN_OF_EVE: Final = "outside3"  # noqa: S105 - of a test platform
OF_ALICE: Final = ("piratelabs", "auth_file_app_download", "team_odd")
# Where the first of them is not billed for anything.
NOT_PERMITTED: Final = ("azure:westus",)
OF_KEEPER: Final = {
    "members_with_billing_rights": True,
    "members_without_billing_rights": False,
}
PUBLIC_PROJECT: Final = "project-0000000000000000000000pb"
TEST_DATA: Final = "dx-toolkit_test_data"
JOB: Final = "job-000000000000000000000001"
_RUN_SPEC: Final = {
    "interpreter": "bash", "code": "main() { true; }", "distribution": "Ubuntu",
    "release": "24.04", "version": "0",
}  # fmt: skip


async def load(config: Config, data: Path, *, name: str, into_used: bool) -> None:
    """Load the fixtures of a name into a data folder and print the tokens; raises CommandError."""
    with server.locked(data):
        kept = data / FILE
        if kept.exists():
            _show(msgspec.json.decode(kept.read_bytes(), type=dict[str, str]))
            return
        try:
            platform, keys = await bootstrap.open_platform(config, data, first_user=ALICE)
        except (DatabaseUnusableError, OSError) as error:
            raise CommandError(f"cannot open the data folder {data}: {error}") from error
        try:
            if not into_used:
                await _require_unused(platform.database, keys, data)
            await _require_no_namesakes(platform.database, keys, data)
            given = await _LOADERS[name](platform).load(keys)
        finally:
            platform.database.close()
        bootstrap.write_private(kept, msgspec.json.encode(given))
    _show(given)


def _show(given: dict[str, str]) -> None:
    for user, token in given.items():
        print(user, token)


async def _require_unused(database: Database, keys: Keys, data: Path) -> None:
    """Raise CommandError if a platform was used: these accounts belong on no real one."""
    reader = database.reader
    others = [row.id for row in await users.find_users(reader) if row.id != keys.user]
    used = others + [row.id for row in await orgs.find_all(reader)]
    used += [row.id for row in await orgs.find_billed(reader, keys.user)]
    if used:
        raise CommandError(
            f"{data} has {used[0]} already, and these fixtures are for a test platform only: name"
            " a new folder with --data, or add --into-used",
            2,
        )


async def _require_no_namesakes(database: Database, keys: Keys, data: Path) -> None:
    """Raise CommandError if somebody real has the name of a fixture: they would lose their account.

    What an interrupted loading has left is told by its addresses.
    """
    for user in USERS:
        found = await users.find_user(database.reader, user)
        if found is not None and user != keys.user and found.email != _email(user):
            raise CommandError(
                f"{data} has a {user} of its own, whose account this would take over: name a new"
                " folder with --data",
                2,
            )


def _email(user: str) -> str:
    return f"{user.removeprefix('user-')}@example.com"


class _Loading:
    """Makes the fixtures, by the methods of the API where there is one."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._reader = platform.database.reader

    async def load(self, keys: Keys) -> dict[str, str]:
        """Make everything; return the tokens by user."""
        given = {
            ALICE: keys.user_token if keys.user == ALICE else secrets.token_hex(32),
            BOB: secrets.token_hex(32),
            EVE: TOKEN_OF_EVE,
        }
        await self._add_users()
        await self._add_tokens(given)
        await self._add_orgs()
        await self._add_projects()
        await self._add_job()
        return given

    async def _call(self, user: str, route: str, body: dict[str, Any]) -> Any:
        actor = Actor(user=user, is_operator=route.startswith("/internal/"))
        call = Call(self._platform, actor, Request(), now_ms=THEN_MS)
        answer = await registry.answer(call, route, msgspec.json.encode(body))
        return msgspec.to_builtins(answer)

    async def _add_users(self) -> None:
        async with self._platform.database.transaction() as tx:
            for user, first in USERS.items():
                handle = user.removeprefix("user-")
                named: dict[str, Any] = {
                    "first": first,
                    "last": "Test",
                    "email": _email(user),
                }
                if await users.find_user(tx, user) is not None:
                    await users.update_user(tx, user, named)
                    continue
                await tx.add(
                    UserRow(
                        id=user,
                        handle=handle,
                        bill_to=user,
                        ssh_public_key=None,
                        created_ms=THEN_MS,
                        **named,
                    )
                )

    async def _add_tokens(self, given: dict[str, str]) -> None:
        now_ms = self._platform.now_ms()
        async with self._platform.database.transaction() as tx:
            for user, token in given.items():
                if await users.find_token(tx, tokens.hash_of(token)) is None:
                    # one that ends can be revoked: everybody knows eve's
                    await tokens.add(
                        tx,
                        token,
                        Actor(user=user),
                        now_ms=now_ms,
                        expires_ms=now_ms + LONGEST_MS,
                        label=FILE,
                    )

    async def _add_orgs(self) -> None:
        for owner, handles in ((ALICE, OF_ALICE), (KEEPER, OF_KEEPER)):
            for handle in handles:
                if await orgs.find_org(self._reader, f"org-{handle}") is None:
                    await self._call(owner, "/org/new", {"handle": handle, "name": handle})
        regions = [name for name in self._platform.regions if name not in NOT_PERMITTED]
        await self._call(ALICE, f"/org-{OF_ALICE[0]}/update", {"permittedRegions": regions})
        for handle, may_bill in OF_KEEPER.items():
            invited = {"invitee": ALICE, "level": "MEMBER", "allowBillableActivities": may_bill}
            await self._call(KEEPER, f"/org-{handle}/invite", invited)

    async def _add_projects(self) -> None:
        public = {
            "id": PUBLIC_PROJECT,
            "name": "public-test-project",
            "region": self._platform.regions[0],
        }
        await self._call(ALICE, "/internal/project/adopt", public)
        await self._call(ALICE, f"/{PUBLIC_PROJECT}/update", {"billTo": f"org-{OF_ALICE[0]}"})
        own = await orgs.find_billed(self._reader, ALICE)
        if TEST_DATA not in {project.name for project in own}:
            await self._call(ALICE, "/project/new", {"name": TEST_DATA})

    async def _add_job(self) -> None:
        """Add a job that only its keeper may see; it has never run."""
        if await jobs.find_job(self._reader, JOB) is not None:
            return
        made = await self._call(KEEPER, "/project/new", {"name": "of the keeper"})
        given = {"project": made["id"], "name": "nothing", "runSpec": _RUN_SPEC}
        applet = await self._call(KEEPER, "/applet/new", given)
        call = Call(self._platform, Actor(user=KEEPER), Request(), now_ms=THEN_MS)
        async with self._platform.database.transaction() as tx:
            call.begin(tx)
            project = await targets.get_container(call, made["id"], Level.CONTRIBUTE)
            async with moments.of(call) as moment:
                await launch.launch(moment, _run_of(applet["id"], project.row))
        await self._call(KEEPER, f"/{JOB}/terminate", {})


def _run_of(applet: str, project: ContainerRow) -> Launch:
    return Launch(
        executable=applet,
        executable_name="nothing",
        function=launch.MAIN,
        name="nothing",
        project=project,
        folder=folders.ROOT,
        launched_by=KEEPER,
        run_input={},
        original_input={},
        depends_on=[],
        tags=[],
        properties={},
        priority="normal",
        rank=0,
        instance_type=instance_types.DEFAULT,
        settings={},
        job_id=JOB,
    )


_LOADERS: Final = {"client-suite": _Loading}
