"""What a new job may do at most: what its launcher may, now and along any chain (contract E.3).

Kept in the job's settings: `grant` (what the launching token can hand on; left out if that is
everything), and with each job of a tree `launchToken` (the hash of the token that launched its
root: its end is the tree's end, contract F.9).
"""

from __future__ import annotations

from typing import Any, Final

from plasmid.domain import access, errors
from plasmid.domain.access import Grant, Level
from plasmid.metadata import orgs, projects, users
from plasmid.metadata.rows import JobRow
from plasmid.methods.call import Call

GRANT: Final = "grant"
LAUNCH_TOKEN: Final = "launchToken"  # noqa: S105 - the name of a setting
SINGLE_CONTEXT: Final = "singleContext"


async def settings_of(call: Call, parent: JobRow | None) -> dict[str, Any]:
    """Return the settings of a new job that say what it may; `parent` is the job that launches it.

    All below a job whose token is good in its sandbox only are such jobs, too. Raises
    InvalidAuthentication for a token that has ended: nothing would end its jobs any more.
    """
    found: dict[str, Any] = {}
    grant = call.actor.grant
    if grant != Grant():
        scope = grant.scope
        found[GRANT] = {
            "scope": None if scope is None else {name: scope[name].name for name in sorted(scope)},
            "projectCreation": grant.may_create_projects,
            "developer": grant.may_develop,
        }
    token = call.actor.token_hash
    if parent is None and token and await users.find_token(call.reader, token) is None:
        raise errors.InvalidAuthentication("The token has ended")  # while the call had to wait
    if parent is not None:
        token = parent.settings.get(LAUNCH_TOKEN, "")
        if parent.settings.get(SINGLE_CONTEXT):
            found[SINGLE_CONTEXT] = True
    if token:
        found[LAUNCH_TOKEN] = token
    return found


def grant_of(row: JobRow) -> Grant:
    """Return the most that a job may do, as it was when it was launched."""
    kept = row.settings.get(GRANT)
    if kept is None:
        return Grant()
    return Grant(
        scope=access.kept_scope(kept["scope"]),
        may_create_projects=kept["projectCreation"],
        may_develop=kept["developer"],
    )


async def require_launcher(call: Call, project_id: str) -> None:
    """Raise PermissionDenied if the user of a calling job may start no jobs in its project now."""
    members = await projects.find_members(call.reader, project_id)
    everybody = members.get(projects.PUBLIC, Level.NONE)
    own = await orgs.level_among(call.reader, call.user, members)
    if max(own, everybody) < Level.CONTRIBUTE:
        raise errors.PermissionDenied(
            f"{call.user} no longer has CONTRIBUTE permission on {project_id}: its jobs can start"
            " no others there"
        )
