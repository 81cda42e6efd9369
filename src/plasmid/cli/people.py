"""`plasmid user`, `plasmid token`, `plasmid org`: who may use a platform."""

from __future__ import annotations

import datetime as dt
import shlex
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import msgspec

from plasmid.cli import assets, env
from plasmid.cli.trouble import CommandError
from plasmid.client.api import NO_RETRY, ApiClient, Unreachable
from plasmid.domain import errors, orgs

DAY_MS = 24 * 3600 * 1000
REFUSED = 2


class Operator:
    """The means to call a running server as the operator of its data folder."""

    def __init__(self, client: ApiClient, url: str) -> None:
        self._client = client
        self.url = url

    async def call(self, route: str, body: dict[str, Any] | None = None) -> Any:
        """Return the answer to a call."""
        return await self._client.call(route, body or {})


async def ask(data: Path, what: Callable[[Operator], Coroutine[Any, Any, None]]) -> None:
    """Do something on the running server of a data folder; raises CommandError with exit code 2."""
    running = assets.running_server(data)
    if running is None:
        raise CommandError(
            f"no server runs on the data folder {data}; start one with: plasmid serve", REFUSED
        )
    url, keys = running
    async with ApiClient(url, keys.operator_token, retry=NO_RETRY) as client:
        try:
            await what(Operator(client, url))
        except (errors.ApiError, Unreachable) as error:
            raise CommandError(str(error), REFUSED) from error


def user_id(name: str) -> str:
    """Return the id of a user from an id or a name."""
    return "user-" + name.lower().removeprefix("user-")


def org_id(name: str) -> str:
    """Return the id of an org from an id or a handle."""
    return "org-" + name.lower().removeprefix("org-")


def _day(time_ms: int | None) -> str:
    if time_ms is None:
        return "never"
    return dt.datetime.fromtimestamp(time_ms / 1000, dt.UTC).strftime("%Y-%m-%d")


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)


def _table(rows: Sequence[tuple[str, ...]]) -> None:
    """Print rows with their columns below each other; users choose what is in some of them."""
    rows = [tuple(map(_printable, row)) for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print(
            "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        )


# ------------------------------------------------------------------------------------- users


class NewUser(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line says of a new account."""

    username: str
    email: str
    first: str
    last: str
    org: str | None
    level: str


async def add_user(operator: Operator, given: NewUser) -> None:
    """Make an account, and a member of an org if one is named; print its id."""
    body = {"username": given.username, "email": given.email}
    body["first"], body["last"] = given.first or given.username, given.last
    if given.org is not None:
        await operator.call(f"/{org_id(given.org)}/describe")  # nothing is made if there is none
    answer = await operator.call("/user/new", body)
    if given.org is not None:
        invited = {"invitee": answer["id"], "level": given.level}
        await operator.call(f"/{org_id(given.org)}/invite", invited)
    print(answer["id"])


async def list_users(operator: Operator, *, as_json: bool) -> None:
    """Print all accounts."""
    found = (await operator.call("/internal/user/list"))["users"]
    if as_json:
        print(msgspec.json.encode(found).decode())
        return
    rows = [("USER", "NAME", "EMAIL", "BILLED TO", "SINCE", "TOKENS")]
    rows += [
        (
            entry["id"],
            f"{entry['first']} {entry['last']}".strip(),
            entry["email"],
            entry["billTo"],
            _day(entry["created"]),
            "disabled" if entry["disabled"] else str(entry["tokens"]),
        )
        for entry in found
    ]
    _table(rows)


async def set_disabled(operator: Operator, name: str, *, is_disabled: bool) -> None:
    """Shut a user out, or let them in again."""
    body = {"user": user_id(name), "disabled": is_disabled}
    answer = await operator.call("/internal/user/setDisabled", body)
    if is_disabled:
        print(f"{answer['id']} is disabled; {answer['tokens']} tokens were ended")
    else:
        print(f"{answer['id']} may have tokens again: plasmid token new {name}")


# ------------------------------------------------------------------------------------ tokens


async def new_token(operator: Operator, name: str, *, days: int, label: str, as_env: bool) -> None:
    """Print a new token of a user, or the shell lines that point dx at the server with it."""
    body = {"user": user_id(name), "lifetime_ms": days * DAY_MS, "label": label}
    answer = await operator.call("/internal/token/mint", body)
    if not as_env:
        print(answer["access_token"])
        return
    found = env.variables(operator.url, answer["access_token"], answer["user_id"])
    for variable, value in found.items():
        print(f"export {variable}={shlex.quote(value)}")


async def list_tokens(operator: Operator, name: str | None, *, as_json: bool) -> None:
    """Print what is known of users' tokens."""
    body = {"user": user_id(name)} if name else {}
    found = (await operator.call("/internal/token/list", body))["tokens"]
    if as_json:
        print(msgspec.json.encode(found).decode())
        return
    rows = [("SIGNATURE", "USER", "SINCE", "UNTIL", "LABEL")]
    rows += [
        (
            entry["signature"][:16],
            entry["user"],
            _day(entry["created"]),
            _day(entry["expires"]),
            entry["label"],
        )
        for entry in found
    ]
    _table(rows)


async def revoke_token(operator: Operator, signature: str) -> None:
    """End a token, and the jobs that were launched with it."""
    answer = await operator.call("/internal/token/revoke", {"signature": signature})
    print(f"a token of {answer['user']} was ended, and {answer['jobs']} unfinished jobs with it")


# -------------------------------------------------------------------------------------- orgs


async def add_org(operator: Operator, handle: str, name: str, admin: str | None) -> None:
    """Make an org, with a user as its one ADMIN; print its id."""
    if admin is not None:
        await operator.call(f"/{user_id(admin)}/describe")  # nothing is made if there is none
    answer = await operator.call("/org/new", {"handle": handle, "name": name or handle})
    made = answer["id"]
    if admin is not None:
        founder = (await operator.call("/system/whoami"))["id"]
        invited = {"invitee": user_id(admin), "level": orgs.ADMIN}
        await operator.call(f"/{made}/invite", invited)
        if founder != invited["invitee"]:
            await operator.call(f"/{made}/removeMember", {"user": founder})
    print(made)


async def list_orgs(operator: Operator, name: str | None, *, as_json: bool) -> None:
    """Print all orgs, or the members of one."""
    if name is None:
        found = (await operator.call("/internal/org/list"))["orgs"]
        rows: list[tuple[str, ...]] = [("ORG", "NAME", "SINCE", "MEMBERS")]
        rows += [(e["id"], e["name"], _day(e["created"]), str(e["members"])) for e in found]
    else:
        found = (await operator.call(f"/{org_id(name)}/findMembers"))["results"]
        rows = [("USER", "LEVEL", "PROJECTS", "APPS", "MAY BILL")]
        rows += [
            (
                entry["id"],
                entry["level"],
                entry["projectAccess"],
                "yes" if entry["appAccess"] else "no",
                "yes" if entry["allowBillableActivities"] else "no",
            )
            for entry in found
        ]
    if as_json:
        print(msgspec.json.encode(found).decode())
        return
    _table(rows)


async def remove_org(operator: Operator, org: str, bill_to: str | None) -> None:
    """End an org; another pays for its projects and apps, if it has any."""
    body = {}
    if bill_to is not None:
        is_org = bill_to.lower().startswith("org-")
        body["billTo"] = org_id(bill_to) if is_org else user_id(bill_to)
    answer = await operator.call(f"/{org_id(org)}/destroy", body)
    print(f"{answer['id']} is gone")


class Place(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What a member of an org is to be; None leaves it as it is."""

    level: str | None = None
    allow_billable_activities: bool | None = None
    app_access: bool | None = None
    project_access: str | None = None


async def set_member(operator: Operator, org: str, name: str, place: Place) -> None:
    """Make a user a member of an org, or change what they are there."""
    org, user = org_id(org), user_id(name)
    body = msgspec.to_builtins(place)
    found = (await operator.call(f"/{org}/findMembers", {"id": [user]}))["results"]
    if found:
        await operator.call(f"/{org}/setMemberAccess", {user: body})
    else:
        await operator.call(f"/{org}/invite", {"invitee": user, **body})
    print(f"{user} is in {org}")


async def remove_member(operator: Operator, org: str, name: str) -> None:
    """Take a user out of an org, its projects and its apps."""
    org, user = org_id(org), user_id(name)
    answer = await operator.call(f"/{org}/removeMember", {"user": user})
    print(f"{user} is in {org} no more")
    for gone in (*answer["projects"], *answer["apps"]):
        print(f"{user} has left {gone}")
