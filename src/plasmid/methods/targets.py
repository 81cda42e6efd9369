"""Load what a call is about and check that the caller may do this to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from enum import Enum
from typing import Any, Final

import msgspec

from plasmid.domain import app_spec, errors, foreign_ids, ids
from plasmid.domain.access import Level
from plasmid.metadata import analyses, apps, jobs, objects, orgs, projects, users
from plasmid.metadata.rows import (
    AnalysisRow,
    AppNameRow,
    AppRow,
    ContainerRow,
    JobRow,
    ObjectRow,
    PlacementRow,
    UserRow,
)
from plasmid.methods import levels, org_access
from plasmid.methods.call import NOT_LOGGED_IN, Call


class Access(Enum):
    """The least a caller needs: for containers a level, for the rest as the name says."""

    ANYONE = "anyone"
    LOGIN = "login"
    WORKER = "worker"
    OPERATOR = "operator: the owner of the server's data folder"
    VIEW = "VIEW"
    UPLOAD = "UPLOAD"
    CONTRIBUTE = "CONTRIBUTE"
    ADMINISTER = "ADMINISTER"
    OBJECT_VIEW = "view of the object; anonymous callers are told apart"
    OBJECT_EDIT = "UPLOAD while the object is open, CONTRIBUTE when it is closed"
    OBJECT_UPLOAD = "UPLOAD where the object lies"
    PLACE_EDIT = "as OBJECT_EDIT, in the project that the body names"
    JOB_CONTROL = "launcher with CONTRIBUTE, or ADMINISTER of the project"
    APP_VIEW = "developer of the app, or one of its users if it is published"
    APP_DEVELOPER = "developer of the app"
    NEVER = "nobody: a route of the client for what is not offered here"
    ORG_ADMIN = "ADMIN of the org, or the operator"
    ENTRANT = "a user whom the project lets in: by who pays for it, or by an invitation"


_OF_USERS: Final = (
    Access.LOGIN, Access.APP_VIEW, Access.APP_DEVELOPER, Access.ORG_ADMIN, Access.ENTRANT,
    Access.NEVER,
)  # fmt: skip


class DataObject(msgspec.Struct):
    """A data object, the places where the caller may see it, and the place the call is about."""

    row: ObjectRow
    places: list[tuple[PlacementRow, Level]]
    place: PlacementRow
    level: Level

    @property
    def id(self) -> str:
        """The object's id."""
        return self.row.id


class App(DataObject):
    """A version of an app or global workflow: what it runs, as if it lay in a place of its name."""

    version: AppRow
    listing: AppNameRow
    is_developer: bool

    @property
    def label(self) -> str:
        """What people call it, all versions together: `app-name`, `globalworkflow-name`."""
        return f"{self.row.class_name}-{self.version.name}"


class Container(msgspec.Struct):
    """A project or container and the caller's level on it."""

    row: ContainerRow
    level: Level

    @property
    def id(self) -> str:
        """The container's id."""
        return self.row.id


def not_found(entity_id: str) -> errors.ResourceNotFound:
    """Return the error for something that is not there, or not for this caller.

    Apps bring along ids of the platform that they were written for: what can be mapped says how.
    """
    hint = foreign_ids.hint(entity_id)
    return errors.ResourceNotFound(f"The entity {entity_id} could not be found{hint}")


def require_login(call: Call, access: Access) -> None:
    """Raise if a method is for users, for workers or for the operator, and the caller is none.

    Elsewhere a caller without a token is somebody without rights (contract M.29).
    """
    if access not in (*_OF_USERS, Access.WORKER, Access.OPERATOR):
        return
    if call.actor.user is None and call.actor.worker is None:
        raise errors.InvalidAuthentication(NOT_LOGGED_IN)
    if access is Access.WORKER and call.actor.worker is None:
        raise errors.PermissionDenied("Only a worker may call this")
    if access is Access.OPERATOR and not call.actor.is_operator:
        raise errors.PermissionDenied("Only the operator's token, in the data folder, may do this")
    if access in _OF_USERS and call.actor.user is None:
        raise errors.PermissionDenied("Only a user may call this; the token is a worker's")


async def load(call: Call, access: Access, subject: str | None, body: Any) -> Any:
    """Return the target of a call; raises ResourceNotFound, PermissionDenied."""
    class_name = None if subject is None else ids.class_of(subject.partition("/")[0])
    if subject is None or class_name is None:
        return subject
    if class_name in ids.DATA_OBJECT_CLASSES:
        return await _load_object(call, access, subject, body)
    if class_name in ids.VERSIONED_CLASSES:
        return await get_app(call, subject, access)
    loader = _LOADERS.get(class_name)
    return subject if loader is None else await loader(call, access, subject)


async def get_container(call: Call, container_id: str, level: Level) -> Container:
    """Return a container on which the caller has a level; raises as a call on it would."""
    row = await projects.find_container(call.reader, container_id)
    if row is None:
        raise not_found(container_id)
    own = await levels.level_on(call, container_id)
    if own < level:
        raise errors.PermissionDenied(
            f"{level.name} permission is required on {container_id}; you have {own.name}"
        )
    return Container(row, own)


async def _load_container(call: Call, access: Access, container_id: str) -> Container:
    level = Level[access.value] if access.value in Level.__members__ else Level.VIEW
    if access is Access.ENTRANT:
        level = Level.NONE  # the method lets in
    return await get_container(call, container_id, level)


async def find_data_object(
    call: Call, object_id: str, hint: str | None = None
) -> DataObject | None:
    """Return an object the caller may see, in the hinted container if it lies there, or None.

    Without a hint a job's workspace comes first, then the place with the highest level.
    """
    row = await objects.find_object(call.reader, object_id)
    if row is None:
        return None
    places = []
    for placement in await objects.find_placements(call.reader, object_id):
        level = await levels.level_on(call, placement.container)
        if level >= Level.VIEW:
            places.append((placement, level))
    if not places:
        places = await _own_applet(call, row)
    if not places:
        return None
    own = call.actor.containers

    def preference(place: tuple[PlacementRow, Level]) -> tuple[bool, bool, Level]:
        container = place[0].container
        return (
            container == hint,
            container in own and container.startswith("container-"),
            place[1],
        )

    best = max(places, key=preference)
    return DataObject(row, places, best[0], best[1])


async def _own_applet(call: Call, row: ObjectRow) -> list[tuple[PlacementRow, Level]]:
    """Return where the applet that a calling job runs lies: the job sees it wherever that is."""
    if call.actor.job is None or row.class_name != "applet":
        return []
    job = await jobs.find_job(call.reader, call.actor.job)
    if job is None or job.executable != row.id:
        return []
    places = await objects.find_placements(call.reader, row.id)
    known = await orgs.find_reachable(call.reader, job.launched_by)
    # the name that the launcher knows, not that in some project of somebody else
    places.sort(key=lambda place: place.container not in known)
    return [(place, Level.VIEW) for place in places[:1]]


async def get_data_object(call: Call, object_id: str, hint: str | None = None) -> DataObject:
    """Return an object the caller may see; raises ResourceNotFound."""
    found = await find_data_object(call, object_id, hint)
    if found is None:
        raise not_found(object_id)
    return found


def _project_in(body: Any) -> str | None:
    value = body.get("project") if isinstance(body, dict) else getattr(body, "project", None)
    if value is None:
        return None
    if not ids.is_container(value):
        raise errors.InvalidInput('Expected key "project" of input to be a project or container ID')
    return str(value)


async def _load_object(call: Call, access: Access, object_id: str, body: Any) -> DataObject:
    hint = None
    if access in (Access.OBJECT_VIEW, Access.PLACE_EDIT):
        hint = _project_in(body)
    found = await get_data_object(call, object_id, hint)
    if access is Access.PLACE_EDIT:
        if hint is None:
            raise errors.InvalidInput('Expected input to have property "project"')
        if found.place.container != hint:
            raise errors.ResourceNotFound(f"{object_id} is not in {hint}")
    _require_object_level(found, access)
    return found


def _require_object_level(found: DataObject, access: Access) -> None:
    if access in (Access.OBJECT_EDIT, Access.PLACE_EDIT):
        needed = Level.CONTRIBUTE if found.row.state == "closed" else Level.UPLOAD
    elif access is Access.OBJECT_UPLOAD:
        needed = Level.UPLOAD
    elif access is Access.CONTRIBUTE:
        needed = Level.CONTRIBUTE
    else:
        needed = Level.VIEW
    level = found.level if access is Access.PLACE_EDIT else max(level for _, level in found.places)
    if level < needed:
        raise errors.PermissionDenied(
            f"{needed.name} permission is required on the project of {found.id};"
            f" you have {level.name}"
        )


async def get_execution(call: Call, job_id: str) -> JobRow | AnalysisRow:
    """Return a job or analysis the caller may see; raises as `get_job` does."""
    is_job = ids.is_id(job_id, "job")
    find = jobs.find_job if is_job else analyses.find_analysis
    row: JobRow | AnalysisRow | None = await find(call.reader, job_id)
    if row is None:
        raise not_found(job_id)
    if await job_level(call, row) < Level.VIEW:
        raise errors.PermissionDenied(f"VIEW permission is required on the project of {job_id}")
    return row


async def get_job(call: Call, job_id: str) -> JobRow:
    """Return a job the caller may see; raises ResourceNotFound, PermissionDenied (contract A.5)."""
    row = await get_execution(call, job_id)
    if not isinstance(row, JobRow):
        raise not_found(job_id)
    return row


async def require_executions(call: Call, job_ids: Collection[str]) -> None:
    """Raise as `get_job` does if the caller may not see one of some jobs and analyses, any number.

    It is one query for all of them.
    """
    found = await jobs.find_places(call.reader, job_ids)
    own = (await jobs.find_places(call.reader, [call.actor.job])) if call.actor.job else {}
    trees = {place.root_execution for place in own.values()}
    for job_id in job_ids:
        place = found.get(job_id)
        if place is None:
            raise not_found(job_id)
        in_own_tree = place.root_execution in trees
        if not in_own_tree and await levels.level_on(call, place.project) < Level.VIEW:
            raise errors.PermissionDenied(f"VIEW permission is required on the project of {job_id}")


async def job_level(call: Call, row: JobRow | AnalysisRow) -> Level:
    """Return the caller's level on an execution: a job's token may control its own tree (I.9)."""
    if call.actor.job is not None:
        own = await jobs.find_job(call.reader, call.actor.job)
        if own is not None and own.root_execution == row.root_execution:
            return Level.CONTRIBUTE
    return await levels.level_on(call, row.project)


async def _load_execution(call: Call, access: Access, job_id: str) -> JobRow | AnalysisRow:
    if access is Access.WORKER:
        held = await jobs.find_job(call.reader, job_id)
        if held is None:
            raise not_found(job_id)
        return held
    row = await get_execution(call, job_id)
    level = await job_level(call, row)
    if access is Access.CONTRIBUTE and level < Level.CONTRIBUTE:
        raise errors.PermissionDenied(f"CONTRIBUTE permission is required on {row.project}")
    if access is Access.JOB_CONTROL:
        launched = row.launched_by == call.actor.user
        if level < (Level.CONTRIBUTE if launched else Level.ADMINISTER):
            raise errors.PermissionDenied(
                f"{job_id} may only be changed by who launched it or by an administrator of"
                f" {row.project}"
            )
    return row


async def _load_org(call: Call, access: Access, org_id: str) -> org_access.Org:
    found = await org_access.find(call, org_id)
    if found is None:
        raise not_found(org_id)
    return org_access.require_admin(call, found) if access is Access.ORG_ADMIN else found


async def _load_user(call: Call, access: Access, user_id: str) -> UserRow:
    row = await users.find_user(call.reader, user_id)
    if row is None:
        raise not_found(user_id)
    return row


async def get_app(call: Call, subject: str, access: Access = Access.APP_VIEW) -> App:
    """Return an app or global workflow by id, name, or name and version or tag; raises."""
    version = await _find_version(call, subject)
    row = await objects.find_object(call.reader, version.id) if version else None
    listing = await apps.find_name(call.reader, version.name) if version else None
    if version is None or row is None or listing is None:
        raise not_found(subject)
    found = app_of(call, row, version, listing)
    if access is Access.APP_DEVELOPER and not found.is_developer:
        raise errors.PermissionDenied(f"Only developers of {found.label} may do this")
    if access is Access.APP_VIEW and not found.is_developer:
        await _require_app_user(call, found)
    return found


def app_of(call: Call, row: ObjectRow, version: AppRow, listing: AppNameRow) -> App:
    """Return an app as the target of a call, whoever calls."""
    place = PlacementRow("", row.id, "/", version.name, [], {}, version.modified_ms)
    return App(row, [], place, Level.VIEW, version, listing, levels.may_develop(call, listing))


async def _find_version(call: Call, subject: str) -> AppRow | None:
    named, _, alias = subject.partition("/")
    if not alias:
        by_id = await apps.find_version(call.reader, named)
        if by_id is not None:
            return by_id
    class_name, _, name = named.partition("-")
    found = await apps.find_aliased(call.reader, name, alias or app_spec.DEFAULT)
    # apps and global workflows share their names, and each is of one class only
    return found if found is not None and found.id.startswith(f"{class_name}-") else None


async def _require_app_user(call: Call, app: App) -> None:
    """Raise unless the caller is an authorized user of a published app, or a job of it."""
    version = app.version
    if call.actor.job is not None:
        job = await jobs.find_job(call.reader, call.actor.job)
        if job is not None and job.executable == app.id:
            return
    if not levels.is_authorized(call, app.listing):
        raise errors.PermissionDenied(
            f"You are no authorized user of {app.label}; one of its developers can change that:"
            f" dx add users {app.label} {call.actor.user}"
        )
    if not levels.is_user(call, version, app.listing):
        state = "not published" if version.published_ms is None else "deleted"
        raise errors.PermissionDenied(
            f"{app.label}/{version.version} is {state}: only its developers see it"
        )


_LOADERS: Final[dict[str, Callable[[Call, Access, str], Awaitable[Any]]]] = {
    **dict.fromkeys(ids.CONTAINER_CLASSES, _load_container),
    **dict.fromkeys(ids.EXECUTION_CLASSES, _load_execution),
    "org": _load_org,
    "user": _load_user,
}
