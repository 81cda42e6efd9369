"""Load what a call is about and check that the caller may do this to it."""

from __future__ import annotations

from enum import Enum
from typing import Any, Final

import msgspec

from plasmid.domain import errors, ids
from plasmid.domain.access import Level
from plasmid.metadata import jobs, objects, projects, users
from plasmid.metadata.rows import ContainerRow, JobRow, ObjectRow, PlacementRow, UserRow
from plasmid.methods import built_in_apps
from plasmid.methods.call import NOT_LOGGED_IN, Call

_MAPPABLE: Final = ("applet", "file", "project", "record")


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
    message = f"The entity {entity_id} could not be found"
    if ids.is_id(entity_id, *_MAPPABLE):
        message += f" (if it is another platform's, the operator can map it: {_remedy(entity_id)})"
    return errors.ResourceNotFound(message)


def _remedy(entity_id: str) -> str:
    """Return the command that gives another platform's id a local object."""
    options = {"record": "--id", "project": "--project"}
    option = options.get(entity_id.partition("-")[0])
    mapping = f"plasmid asset map {entity_id}"
    return f"plasmid asset import ARCHIVE {option} {entity_id}, or {mapping}" if option else mapping


def require_login(call: Call, access: Access) -> None:
    """Raise if a method is for users, for workers or for the operator, and the caller is none.

    Elsewhere a caller without a token is somebody without rights (contract M.29).
    """
    if access not in (Access.LOGIN, Access.WORKER, Access.OPERATOR):
        return
    if call.actor.user is None and call.actor.worker is None:
        raise errors.InvalidAuthentication(NOT_LOGGED_IN)
    if access is Access.WORKER and call.actor.worker is None:
        raise errors.PermissionDenied("Only a worker may call this")
    if access is Access.OPERATOR and not call.actor.is_operator:
        raise errors.PermissionDenied("Only the operator's token, in the data folder, may do this")
    if access is Access.LOGIN and call.actor.user is None:
        raise errors.PermissionDenied("Only a user may call this; the token is a worker's")


async def load(call: Call, access: Access, subject: str | None, body: Any) -> Any:
    """Return the target of a call; raises ResourceNotFound, PermissionDenied."""
    if subject is None:
        return None
    class_name = ids.class_of(subject.partition("/")[0])
    if class_name in ids.CONTAINER_CLASSES:
        return await _load_container(call, access, subject)
    if class_name in ids.DATA_OBJECT_CLASSES:
        return await _load_object(call, access, subject, body)
    if class_name == "job":
        return await _load_job(call, access, subject)
    others = {"user": _load_user, "app": _load_app}
    return await others[class_name](call, subject) if class_name in others else subject


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
            return actor.containers[container_id]
        row = await projects.find_container(call.reader, container_id)
        if row is None or row.project is None:
            return Level.NONE
        # a member of the project context may look into a workspace (contract C.10)
        return min(Level.VIEW, await level_on(call, row.project))
    members = await projects.find_members(call.reader, container_id)
    public = members.get(projects.PUBLIC, Level.NONE)
    if actor.user is None:
        return min(public, Level.VIEW)
    ceiling = actor.ceiling(container_id)
    own = min(max(members.get(actor.user, Level.NONE), public), ceiling)
    # a job, or a token that was narrowed, may read what is public anyway (contract I.9)
    return max(own, min(public, Level.VIEW))


async def get_container(call: Call, container_id: str, level: Level) -> Container:
    """Return a container on which the caller has a level; raises as a call on it would."""
    row = await projects.find_container(call.reader, container_id)
    if row is None:
        raise not_found(container_id)
    own = await level_on(call, container_id)
    if own < level:
        raise errors.PermissionDenied(
            f"{level.name} permission is required on {container_id}; you have {own.name}"
        )
    return Container(row, own)


async def _load_container(call: Call, access: Access, container_id: str) -> Container:
    level = Level[access.value] if access.value in Level.__members__ else Level.VIEW
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
        level = await level_on(call, placement.container)
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
    known = await projects.find_memberships(call.reader, job.launched_by)
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
    else:
        needed = Level.VIEW
    level = found.level if access is Access.PLACE_EDIT else max(level for _, level in found.places)
    if level < needed:
        raise errors.PermissionDenied(
            f"{needed.name} permission is required on the project of {found.id};"
            f" you have {level.name}"
        )


async def get_job(call: Call, job_id: str) -> JobRow:
    """Return a job the caller may see; raises ResourceNotFound, PermissionDenied (contract A.5)."""
    row = await jobs.find_job(call.reader, job_id)
    if row is None:
        raise not_found(job_id)
    if await job_level(call, row) < Level.VIEW:
        raise errors.PermissionDenied(f"VIEW permission is required on the project of {job_id}")
    return row


async def job_level(call: Call, row: JobRow) -> Level:
    """Return the caller's level on a job: a job's token may control its own tree (contract I.9)."""
    if call.actor.job is not None:
        own = await jobs.find_job(call.reader, call.actor.job)
        if own is not None and own.root_execution == row.root_execution:
            return Level.CONTRIBUTE
    return await level_on(call, row.project)


async def _load_job(call: Call, access: Access, job_id: str) -> JobRow:
    if access is Access.WORKER:
        row = await jobs.find_job(call.reader, job_id)
        if row is None:
            raise not_found(job_id)
        return row
    row = await get_job(call, job_id)
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


async def _load_user(call: Call, user_id: str) -> UserRow:
    row = await users.find_user(call.reader, user_id)
    if row is None:
        raise not_found(user_id)
    return row


async def _load_app(call: Call, subject: str) -> DataObject:
    """Return an app by id, name or name and version, as if it lay in a place of its own name."""
    known = built_in_apps.find(subject)
    row = await objects.find_object(call.reader, known.id) if known else None
    if known is None or row is None:
        raise not_found(subject)
    place = PlacementRow("", row.id, "/", known.name, [], {}, row.created_ms)
    return DataObject(row, [], place, Level.VIEW)
