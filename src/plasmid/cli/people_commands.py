"""`plasmid user`, `plasmid token` and `plasmid org`: their commands and arguments."""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Literal

from cyclopts import App

from plasmid import config

user = App(name="user", help="Accounts of a running server.")
token = App(name="token", help="Tokens by which users of a running server are known.")
org = App(name="org", help="Orgs of a running server: who shares projects, apps and their bill.")

Level = Literal["ADMIN", "MEMBER"]
ProjectAccess = Literal["ADMINISTER", "CONTRIBUTE", "UPLOAD", "VIEW", "NONE"]


def _ask(data: Path | None, what: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
    from plasmid.cli import people, processes

    folder = (data or config.load(os.environ).data_folder).absolute()
    processes.run(people.ask(folder, what))


@user.command(name="add")
def user_add(
    username: str,
    *,
    email: str,
    first: str = "",
    last: str = "",
    org: str | None = None,
    level: Level = "MEMBER",
    data: Path | None = None,
) -> None:
    """Make an account; it can do nothing before it has a token (`plasmid token new`).

    Parameters
    ----------
    username:
        At least 3 letters, digits, "_" or "."; the id is user- and this in lower case.
    email:
        The address by which others may invite the user; nothing is sent to it.
    first:
        First name; the username if none is given.
    last:
        Last name.
    org:
        An org of which the user becomes a member.
    level:
        The user's level in that org.
    data:
        The data folder of the server.
    """
    from plasmid.cli import people

    given = people.NewUser(
        username=username, email=email, first=first, last=last, org=org, level=level
    )
    _ask(data, lambda operator: people.add_user(operator, given))


@user.command(name="list")
def user_list(*, json: bool = False, data: Path | None = None) -> None:
    """List the accounts.

    Parameters
    ----------
    json:
        Print them as JSON.
    data:
        The data folder of the server.
    """
    from plasmid.cli import people

    _ask(data, lambda operator: people.list_users(operator, as_json=json))


@user.command(name="disable")
def user_disable(username: str, *, data: Path | None = None) -> None:
    """Shut a user out: all their tokens end, and the jobs that they launched.

    What they have made stays, and whom it is shared with.

    Parameters
    ----------
    username:
        The user's name or id.
    data:
        The data folder of the server.
    """
    from plasmid.cli import people

    _ask(data, lambda operator: people.set_disabled(operator, username, is_disabled=True))


@user.command(name="enable")
def user_enable(username: str, *, data: Path | None = None) -> None:
    """Let a disabled user have tokens again.

    Parameters
    ----------
    username:
        The user's name or id.
    data:
        The data folder of the server.
    """
    from plasmid.cli import people

    _ask(data, lambda operator: people.set_disabled(operator, username, is_disabled=False))


@token.command(name="new")
def token_new(
    username: str,
    *,
    days: int = 30,
    label: str = "",
    env: bool = False,
    data: Path | None = None,
) -> None:
    """Print a new token of a user. It is shown once: only its hash is kept.

    Parameters
    ----------
    username:
        The user's name or id.
    days:
        For how long it is good; 365 at most.
    label:
        What it is for, in the list of tokens.
    env:
        Print the shell lines that point dx at the server with it, as `plasmid env` does.
    data:
        The data folder of the server.
    """
    from plasmid.cli import people

    _ask(
        data,
        lambda operator: people.new_token(operator, username, days=days, label=label, as_env=env),
    )


@token.command(name="list")
def token_list(
    username: str | None = None, *, json: bool = False, data: Path | None = None
) -> None:
    """List tokens: their signatures, owners, times and labels.

    Parameters
    ----------
    username:
        Only those of this user.
    json:
        Print them as JSON.
    data:
        The data folder of the server.
    """
    from plasmid.cli import people

    _ask(data, lambda operator: people.list_tokens(operator, username, as_json=json))


@token.command(name="revoke")
def token_revoke(signature: str, *, data: Path | None = None) -> None:
    """End a token, and the unfinished jobs that were launched with it.

    Parameters
    ----------
    signature:
        Its signature in the list, or the first 8 digits or more of it.
    data:
        The data folder of the server.
    """
    from plasmid.cli import people

    _ask(data, lambda operator: people.revoke_token(operator, signature))


@org.command(name="add")
def org_add(
    handle: str, *, name: str = "", admin: str | None = None, data: Path | None = None
) -> None:
    """Make an org.

    Parameters
    ----------
    handle:
        At least 3 letters, digits, "_" or "."; the id is org- and this in lower case.
    name:
        What it is called; the handle if none is given.
    admin:
        The user who administers it; the server's first user if none is named.
    data:
        The data folder of the server.
    """
    from plasmid.cli import people

    _ask(data, lambda operator: people.add_org(operator, handle, name, admin))


@org.command(name="list")
def org_list(name: str | None = None, *, json: bool = False, data: Path | None = None) -> None:
    """List the orgs, or the members of one.

    Parameters
    ----------
    name:
        The handle or id of an org whose members are listed.
    json:
        Print them as JSON.
    data:
        The data folder of the server.
    """
    from plasmid.cli import people

    _ask(data, lambda operator: people.list_orgs(operator, name, as_json=json))


@org.command(name="remove")
def org_remove(name: str, *, bill_to: str | None = None, data: Path | None = None) -> None:
    """End an org: its members lose what was shared with them through it.

    Parameters
    ----------
    name:
        The org's handle or id.
    bill_to:
        The user, or the org (org-...), who pays for its projects and apps from now on.
    data:
        The data folder of the server.
    """
    from plasmid.cli import people

    _ask(data, lambda operator: people.remove_org(operator, name, bill_to))


@org.command(name="member")
def org_member(
    name: str,
    username: str,
    *,
    level: Level | None = None,
    may_bill: bool | None = None,
    app_access: bool | None = None,
    project_access: ProjectAccess | None = None,
    remove: bool = False,
    data: Path | None = None,
) -> None:
    """Make a user a member of an org, change what they are there, or take them out.

    Parameters
    ----------
    name:
        The org's handle or id.
    username:
        The user's name or id.
    level:
        ADMIN may everything in the org; a new member is MEMBER.
    may_bill:
        Whether a MEMBER may make what the org is billed for.
    app_access:
        Whether a MEMBER may use the apps that are open to the org.
    project_access:
        The most that a MEMBER gets in projects that are shared with the org.
    remove:
        Take the user out of the org, its projects and its apps.
    data:
        The data folder of the server.
    """
    from plasmid.cli import people

    if remove:
        _ask(data, lambda operator: people.remove_member(operator, name, username))
        return
    place = people.Place(
        level=level,
        allow_billable_activities=may_bill,
        app_access=app_access,
        project_access=project_access,
    )
    _ask(data, lambda operator: people.set_member(operator, name, username, place))
