"""Who may call what: `permissions.txt`, made by really calling each route in each role.

Every call is right in itself (tests/prepared.py), so an answer is either yes or the refusal of the
caller. Review of policy is reading the diff of that file. Write it again with:
python -m tests.contract.test_permissions
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from plasmid.methods import everything
from plasmid.methods.registry import Method
from tests import prepared
from tests.worlds import ALICE, BOB, OPERATOR, WORKER, World, a_world

TABLE = Path(__file__).parent / "permissions.txt"
LEVELS = {
    "viewer": "VIEW",
    "uploader": "UPLOAD",
    "contributor": "CONTRIBUTE",
    "administrator": "ADMINISTER",
}
BY_ORG = {"org-member": "MEMBER", "org-admin": "ADMIN"}
ROLES = (
    *("anonymous", "stranger", *LEVELS, *BY_ORG),
    *("job", "apart", "foreign", "worker", "operator"),
)
EVERYTHING = {
    "project": "ADMINISTER", "allProjects": "ADMINISTER", "developer": True,
    "projectCreation": True,
}  # fmt: skip
YES = "yes"
SHORT = {
    "InvalidAuthentication": "login",
    "PermissionDenied": "denied",
    "ResourceNotFound": "hidden",
}
HEAD = """\
# Who may call each route. All objects lie in a project of alice's; viewer to administrator is bob
# with that level on it (and UPLOAD where things are cloned to), stranger is bob without; the two of
# the org are bob as one of its people, where it has ADMINISTER and a member's projectAccess is
# CONTRIBUTE, which is what either should be worth beside the routes of the org itself. The job's
# token is that of alice's running job, whose applet asks for CONTRIBUTE on the project; apart is
# one of hers in another project, with CONTRIBUTE there; foreign is one of bob's, who is a stranger,
# whose applet asks for everything. The operator's is that of the data folder, and stands for alice.
# yes: answered · login: InvalidAuthentication · denied: PermissionDenied · hidden: ResourceNotFound
"""
# what a job may that a user may not: start jobs of its own, where it runs
OF_ANY_JOB = {"/job/new", "/app-xxxx/run", "/globalworkflow-xxxx/run"}
# what depends on being one of an org's people
OF_ORGS = {
    f"/org-xxxx/{verb}"
    for verb in (
        *("destroy", "findApps", "findMembers", "findProjects", "invite", "removeMember"),
        *("setMemberAccess", "update"),
    )
} | {
    "/project-xxxx/acceptTransfer",  # the project is offered to the org
    "/project-xxxx/leave",  # who is there by an org leaves the org
}
FIRST = len(HEAD.splitlines()) + 1


async def cell(world: World, ready: prepared.Prepared, method: Method, token: str | None) -> str:
    """Return what one caller is answered."""
    route, body = ready.call_of(method)
    if token not in (None, ALICE, BOB, WORKER, OPERATOR):
        body.pop("preserveJobOutputs", None)  # said by the run that starts a tree, not within it
    response = await world.answer(route, body, as_=token)
    if response.status_code == 200:
        return YES
    error = response.json()["error"]
    return SHORT.get(error["type"], f"{error['type']}({error['message']})")


async def cells_of(role: str) -> dict[str, str]:
    """Return {route: answer} for a role."""
    async with a_world() as world:
        ready = await prepared.prepare(world)
        if role in LEVELS:
            await world.a_member(ready.project, LEVELS[role])
            await world.a_member(ready.other, "UPLOAD")
        if role in BY_ORG:
            await world.call(
                f"/{prepared.ORG}/invite", {"invitee": "user-bob", "level": BY_ORG[role]}
            )
            await world.a_member(ready.project, "ADMINISTER", user=prepared.ORG)
            await world.a_member(ready.other, "ADMINISTER", user=prepared.ORG)
        tokens = {
            "anonymous": None, "job": world.token_of(ready.job), "worker": WORKER,
            "operator": OPERATOR,
        }  # fmt: skip
        if role in ("apart", "foreign"):
            tokens[role] = await of_another_job(world, role)
        token = tokens.get(role, BOB)
        snapshot = prepared.Snapshot(world)
        found = {}
        for method in prepared.methods():
            found[method.route] = await cell(world, ready, method, token)
            snapshot.restore()
        return found


async def of_another_job(world: World, role: str) -> str:
    """Return the token of a running job that has nothing to do with what is called."""
    owner, access = (ALICE, {"project": "CONTRIBUTE"}) if role == "apart" else (BOB, EVERYTHING)
    project = await world.a_project(as_=owner)
    applet = await world.an_applet(project, as_=owner, access=access)
    job = await world.a_job(applet, as_=owner)
    await world.lease(job)
    return world.token_of(job)


async def table() -> str:
    """Return the whole table."""
    everything.declare()
    columns = [await cells_of(role) for role in ROLES]
    rows = [("route", *ROLES)]
    rows += [(route, *(column[route] for column in columns)) for route in columns[0]]
    widths = (42, 10, 9, 7, 9, 12, 14, 11, 10, 7, 7, 8, 7, 8)
    lines = (
        "".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
    return HEAD + "\n".join(lines) + "\n"


async def test_the_table_of_permissions_is_what_really_happens() -> None:
    made = await table()
    assert TABLE.read_text(encoding="utf-8") == made, "python -m tests.contract.test_permissions"


def test_every_answer_is_yes_or_a_refusal_of_the_caller() -> None:
    for line in TABLE.read_text(encoding="utf-8").splitlines()[FIRST:]:
        answers = set(line.split()[1:])
        assert answers <= {YES, *SHORT.values()}, line


def test_who_may_more_is_never_refused_what_who_may_less_is_answered() -> None:
    lines = [line.split() for line in TABLE.read_text(encoding="utf-8").splitlines()[FIRST - 1 :]]
    by_role = {role: index + 1 for index, role in enumerate(ROLES)}
    ladder = ["anonymous", "stranger", *LEVELS]
    for line in lines[1:]:
        answers = [line[by_role[role]] == YES for role in ladder]
        assert answers == sorted(answers), line


def test_a_level_by_an_org_is_worth_what_the_same_level_is_by_name() -> None:
    lines = [line.split() for line in TABLE.read_text(encoding="utf-8").splitlines()[FIRST:]]
    by_role = {role: index + 1 for index, role in enumerate(ROLES)}
    pairs = {"org-member": "contributor", "org-admin": "administrator"}
    differ = {
        line[0]
        for line in lines
        for by_org, by_name in pairs.items()
        if line[by_role[by_org]] != line[by_role[by_name]]
    }
    assert differ == OF_ORGS


def test_a_stranger_and_nobody_change_nothing() -> None:
    """Not even see, but for what is about themselves and for making projects of their own."""
    lines = [line.split() for line in TABLE.read_text(encoding="utf-8").splitlines()[FIRST:]]
    open_to_all = {line[0] for line in lines if line[1] == YES}
    assert open_to_all == {"/system/comeBackLater", "/system/greet", "/system/headers"}
    of_strangers = {line[0] for line in lines if line[2] == YES} - open_to_all
    assert of_strangers == {
        "/app-xxxx/describe", "/app-xxxx/install",
        "/app-xxxx/listCategories", "/app-xxxx/uninstall",
        "/globalworkflow-xxxx/describe",
        "/globalworkflow-xxxx/listCategories",
        "/notifications/get", "/notifications/markRead", "/org-xxxx/describe", "/org/new",
        "/project/new", "/system/describeDataObjects", "/system/describeExecutions",
        "/system/describeProjects", "/system/destroyAuthToken", "/system/findAffiliates",
        "/system/findApps", "/system/findDatabases", "/system/findGlobalWorkflows",
        "/system/findOrgs", "/system/findProjects", "/system/findUsers", "/system/getUserInfo",
        "/system/globalSearch", "/system/newAuthToken", "/system/shortenURL", "/system/whoami",
        "/user-xxxx/describe", "/user/new",
    }  # fmt: skip


def test_a_job_of_somebody_else_may_what_its_user_may_and_one_apart_no_more_than_see_itself() -> (
    None
):
    """Whatever their applets ask for: other projects' things are as if they were not there."""
    lines = [line.split() for line in TABLE.read_text(encoding="utf-8").splitlines()[FIRST:]]
    by_role = {role: index + 1 for index, role in enumerate(ROLES)}
    for line in lines:
        stranger, foreign = line[by_role["stranger"]], line[by_role["foreign"]]
        assert foreign != YES or stranger == YES or line[0] in OF_ANY_JOB, line
        assert line[by_role["apart"]] != YES or stranger == YES or line[0] in OF_ANY_JOB, line


if __name__ == "__main__":
    TABLE.write_text(asyncio.run(table()), encoding="utf-8")
