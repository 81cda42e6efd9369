"""What a caller may do in a container, and which apps they develop (contract 0.3, C.4, C.10)."""

from __future__ import annotations

from plasmid.domain import app_spec, errors
from plasmid.domain import orgs as org_rules
from plasmid.domain.access import Level
from plasmid.metadata import apps, objects, orgs, projects
from plasmid.metadata.rows import AppNameRow, AppRow, ContainerRow
from plasmid.methods.call import Call


async def load_orgs(call: Call) -> None:
    """Let the call know in which orgs its user is."""
    if call.actor.user is not None:
        found = await orgs.find_orgs_of(call.reader, call.actor.user)
        call.orgs = {row.org: row for row in found}


async def level_on(call: Call, container_id: str) -> Level:
    """Return the caller's level on a container; NONE if it does not exist."""
    known = call.levels.get(container_id)
    if known is None:
        known = call.levels[container_id] = await _find_level(call, container_id)
    return known


async def _find_level(call: Call, container_id: str) -> Level:
    actor = call.actor
    if container_id.startswith("container-"):
        if container_id in actor.containers:
            return await _level_on_own(call, container_id)
        row = await projects.find_container(call.reader, container_id)
        return Level.NONE if row is None else await _level_of_execution(call, row)
    members = await projects.find_members(call.reader, container_id)
    public = members.get(projects.PUBLIC, Level.NONE)
    if actor.user is None:
        return min(public, Level.VIEW)
    ceiling = actor.ceiling(container_id)
    own = min(max(await orgs.level_among(call.reader, actor.user, members), public), ceiling)
    # a job, or a token that was narrowed, may read what is public anyway (contract I.9)
    return max(own, min(public, Level.VIEW))


async def _level_on_own(call: Call, container_id: str) -> Level:
    """Return a job's level on one of its containers: on the project's cache that of its user still.

    What is kept there is given to other jobs; the workspace is the job's own whatever happens.
    """
    own = call.actor.containers
    level = own[container_id]
    if sum(name.startswith("container-") for name in own) == 1:
        return level  # a workspace: only the jobs of apps have more
    row = await projects.find_container(call.reader, container_id)
    if row is None or row.kind != app_spec.CACHE or row.project is None:
        return level
    members = await projects.find_members(call.reader, row.project)
    everybody = members.get(projects.PUBLIC, Level.NONE)
    return min(level, max(await orgs.level_among(call.reader, call.user, members), everybody))


async def _level_of_execution(call: Call, row: ContainerRow) -> Level:
    """Return the level on a container of executions that is not the calling job's (C.10)."""
    if row.project is not None:
        most = Level.CONTRIBUTE if row.kind == app_spec.CACHE else Level.VIEW
        return min(most, await level_on(call, row.project))
    version = await apps.find_version(call.reader, row.app or "")
    listing = await apps.find_name(call.reader, version.name) if version else None
    if version is None or listing is None:
        return Level.NONE
    if version.id.startswith("globalworkflow-") and is_user(call, version, listing):
        # to run one is to see its stages, what they run and what they are given: for jobs, too
        return Level.VIEW
    is_developer = may_develop(call, listing)
    if is_developer or (row.kind == app_spec.CONTENT and await _may_get(call, version, listing)):
        # a job that may act as a developer sees what its user sees as one
        is_open = is_developer and call.actor.job is not None
        return Level.VIEW if is_open else min(Level.VIEW, call.actor.ceiling(row.id))
    return Level.NONE


async def _shows_code(call: Call, container_id: str) -> bool:
    """Say whether who sees a container may have the code of what lies in it, too.

    The users of a global workflow see what its stages run, but no more of it than of what an app
    is made from: the code is its developers', unless it is open source (contract E.5).
    """
    row = None
    if container_id.startswith("container-"):
        row = await projects.find_container(call.reader, container_id)
    if row is None or row.kind != app_spec.CONTENT:
        return True
    version = await apps.find_version(call.reader, row.app or "")
    listing = await apps.find_name(call.reader, version.name) if version else None
    if version is None or listing is None:
        return False
    return may_develop(call, listing) or await _may_get(call, version, listing)


async def require_code(call: Call, *container_ids: str) -> None:
    """Raise PermissionDenied unless the code of what lies in these is the caller's in one."""
    for container_id in container_ids:
        if await _shows_code(call, container_id):
            return
    raise errors.PermissionDenied(
        "This belongs to a global workflow that is not open source: only its developers get its"
        " code, or copy it"
    )


async def _may_get(call: Call, version: AppRow, listing: AppNameRow) -> bool:
    """Say whether what an app is made from is open to the caller, who is no developer of it."""
    row = await objects.find_object(call.reader, version.id)
    return bool(row and row.body.get("openSource")) and is_user(call, version, listing)


def is_user(call: Call, version: AppRow, listing: AppNameRow) -> bool:
    """Say whether the caller is an authorized user of an app, and the version is there for them."""
    is_there = version.published_ms is not None and version.deleted_ms is None
    return is_there and is_authorized(call, listing)


def is_authorized(call: Call, listing: AppNameRow) -> bool:
    """Say whether the caller is among the users of an app, by an org with access, or all are.

    All are all users: who shows no token is none.
    """
    users = listing.authorized_users
    if call.actor.user is None:
        return False
    return call.actor.user in users or projects.PUBLIC in users or _is_by_org(call, users)


def may_develop(call: Call, listing: AppNameRow) -> bool:
    """Say whether the caller is a developer of an app; a job is one only if it asks to be."""
    developers = listing.developers
    is_one = call.actor.user in developers or _is_by_org(call, developers)
    return is_one and call.actor.may_develop


def _is_by_org(call: Call, entities: list[str]) -> bool:
    """Say whether one of the caller's orgs is named that gives them its access to apps."""
    return any(
        org_rules.access_of(place.level, place.access)["appAccess"]
        for place in call.orgs.values()
        if place.org in entities
    )
