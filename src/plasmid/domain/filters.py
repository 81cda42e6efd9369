"""What the find methods are asked for, as values (contract B.2, B.5, B.6).

Each `read_*` takes the body of a call and returns a checked, frozen Struct; InvalidInput names the
key. Times are milliseconds since the epoch: the client has resolved relative ones. Unknown keys
are ignored (contract A.3.6). Permissions and the existence of what is named are the caller's.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from plasmid.domain import access, conditions, folders, globs, ids, keys

LIMIT_MAX: Final = 1000
IDS_MAX: Final = 1000
FOUND_CLASSES: Final = ("record", "file", "applet", "workflow", "database", "dbcluster")
STATES: Final = ("open", "closing", "closed", "any")
VISIBILITIES: Final = ("visible", "hidden", "either")
ARCHIVAL_STATES: Final = ("archived", "live", "archival", "unarchiving", "any")
EXECUTION_STATES: Final = (
    *("idle", "waiting_on_input", "runnable", "running", "waiting_on_output", "debug_hold"),
    *("restartable", "restarted", "unresponsive", "in_progress", "partially_failed"),
    *("terminating", "done", "failed", "terminated"),
)

Describe = bool | dict[str, Any]


class Times(msgspec.Struct, frozen=True):
    """From when until when, both included; None does not limit."""

    after_ms: int | None = None
    before_ms: int | None = None

    def hold(self, moment_ms: int) -> bool:
        """Say whether a moment lies between them."""
        is_late_enough = self.after_ms is None or moment_ms >= self.after_ms
        return is_late_enough and (self.before_ms is None or moment_ms <= self.before_ms)


ALWAYS: Final = Times()


class Scope(msgspec.Struct, frozen=True):
    """Where to look: one container, and one folder of it with or without those below it."""

    project: str
    folder: str = folders.ROOT
    recurse: bool = True


class Sort(msgspec.Struct, frozen=True):
    """The order of results: by `created`, `modified` or `name`."""

    field: str
    descending: bool


class Page(msgspec.Struct, frozen=True):
    """Which part of the results to give, and how much to say of each."""

    limit: int = LIMIT_MAX
    starting: Any = None
    describe: Describe = False


class DataObjects(msgspec.Struct, frozen=True, kw_only=True):
    """A question to findDataObjects; None and `any` do not limit."""

    page: Page
    class_name: str | None = None
    state: str | None = None
    hidden: bool | None = False
    name: globs.NamePattern | None = None
    ids: tuple[str, ...] | None = None
    types: conditions.Condition | None = None
    tags: conditions.Condition | None = None
    properties: conditions.Condition | None = None
    link: str | None = None
    scope: Scope | None = None
    level: access.Level = access.Level.VIEW
    regions: tuple[str, ...] | None = None
    archival_state: str | None = None
    created: Times = ALWAYS
    modified: Times = ALWAYS
    sort: Sort | None = None


class Projects(msgspec.Struct, frozen=True, kw_only=True):
    """A question to findProjects; None does not limit."""

    page: Page
    name: globs.NamePattern | None = None
    ids: tuple[str, ...] | None = None
    tags: conditions.Condition | None = None
    properties: conditions.Condition | None = None
    level: access.Level = access.Level.VIEW
    explicit_permission: bool | None = None
    public: bool | None = None
    regions: tuple[str, ...] | None = None
    bill_to: str | None = None
    contains_phi: bool | None = None
    external_upload_restricted: bool | None = None
    created: Times = ALWAYS


class Executions(msgspec.Struct, frozen=True, kw_only=True):
    """A question to findExecutions; None does not limit.

    Of `parent_job` and `parent_analysis`, UNSET does not limit and None asks for those without.
    """

    page: Page
    class_name: str | None = None
    launched_by: str | None = None
    executable: str | None = None
    project: str | None = None
    state: str | None = None
    origin_jobs: tuple[str, ...] | None = None
    root_executions: tuple[str, ...] | None = None
    parent_job: str | msgspec.UnsetType | None = msgspec.UNSET
    parent_analysis: str | msgspec.UnsetType | None = msgspec.UNSET
    name: globs.NamePattern | None = None
    tags: conditions.Condition | None = None
    properties: conditions.Condition | None = None
    created: Times = ALWAYS
    include_subjobs: bool = True
    include_restarted: bool = False


class Apps(msgspec.Struct, frozen=True, kw_only=True):
    """A question to findApps; None does not limit. Without `all_versions` only defaults count."""

    page: Page
    name: globs.NamePattern | None = None
    category: str | None = None
    all_versions: bool = False
    published: bool | None = None
    bill_to: str | None = None
    created_by: str | None = None
    developer: str | None = None
    authorized_user: str | None = None
    created: Times = ALWAYS
    modified: Times = ALWAYS


def read_data_objects(body: object) -> DataObjects:
    """Read the body of findDataObjects."""
    given = keys.hash_itself(body)
    state = keys.one_of(given, "state", STATES)
    visibility = keys.one_of(given, "visibility", VISIBILITIES) or "visible"
    archival_state = keys.one_of(given, "archivalState", ARCHIVAL_STATES)
    scope = _scope(given)
    if archival_state not in (None, "any") and (given.get("class") != "file" or scope is None):
        raise keys.refusal("archivalState", "input", 'given with class "file" and a scope')
    return DataObjects(
        page=read_page(given),
        class_name=keys.one_of(given, "class", FOUND_CLASSES),
        state=None if state == "any" else state,
        hidden={"visible": False, "hidden": True, "either": None}[visibility],
        name=globs.read(given.get("name")),
        ids=read_ids(given, "id"),
        types=conditions.read_words(given.get("type"), "type"),
        tags=_tags(given),
        properties=conditions.read_properties(given.get("properties")),
        link=_id(given, "link", *ids.DATA_OBJECT_CLASSES),
        scope=scope,
        level=_level(given),
        regions=_texts(given, "region"),
        archival_state=None if archival_state == "any" else archival_state,
        created=_times(given, "created"),
        modified=_times(given, "modified"),
        sort=_sort(given),
    )


def read_projects(body: object) -> Projects:
    """Read the body of findProjects."""
    given = keys.hash_itself(body)
    return Projects(
        page=read_page(given),
        name=globs.read(given.get("name")),
        ids=read_ids(given, "id"),
        tags=_tags(given),
        properties=conditions.read_properties(given.get("properties")),
        level=_level(given),
        explicit_permission=keys.maybe_boolean(given, "explicitPermission"),
        public=keys.maybe_boolean(given, "public"),
        regions=_texts(given, "region"),
        bill_to=_id(given, "billTo", "user", "org"),
        contains_phi=keys.maybe_boolean(given, "containsPHI"),
        external_upload_restricted=keys.maybe_boolean(given, "externalUploadRestricted"),
        created=_times(given, "created"),
    )


def read_executions(body: object, *, class_name: str | None = None) -> Executions:
    """Read the body of findExecutions; findJobs and findAnalyses fix the class."""
    given = keys.hash_itself(body)
    return Executions(
        page=read_page(given),
        class_name=class_name or keys.one_of(given, "class", ("job", "analysis")),
        launched_by=_launched_by(given),
        executable=keys.string(given, "executable"),
        project=_id(given, "project", *ids.CONTAINER_CLASSES),
        state=keys.one_of(given, "state", EXECUTION_STATES),
        origin_jobs=read_ids(given, "originJob", "job"),
        root_executions=read_ids(given, "rootExecution", *ids.EXECUTION_CLASSES),
        parent_job=_id_or_none(given, "parentJob", "job"),
        parent_analysis=_id_or_none(given, "parentAnalysis", "analysis"),
        name=globs.read(given.get("name")),
        tags=_tags(given),
        properties=conditions.read_properties(given.get("properties")),
        created=_times(given, "created"),
        include_subjobs=keys.boolean(given, "includeSubjobs", default=True),
        include_restarted=keys.boolean(given, "includeRestarted"),
    )


def read_apps(body: object) -> Apps:
    """Read the body of findApps."""
    given = keys.hash_itself(body)
    return Apps(
        page=read_page(given),
        name=globs.read(given.get("name")),
        category=keys.string(given, "category"),
        all_versions=keys.boolean(given, "allVersions"),
        published=keys.maybe_boolean(given, "published"),
        bill_to=_id(given, "billTo", "user", "org"),
        created_by=_id(given, "createdBy", "user"),
        developer=_id(given, "developer", "user", "org"),
        authorized_user=keys.string(given, "authorizedUser"),
        created=_times(given, "created"),
        modified=_times(given, "modified"),
    )


def read_page(body: dict[str, Any]) -> Page:
    """Read limit, starting and describe; a limit above the most we give means the most."""
    limit = keys.integer(body, "limit", minimum=1)
    describe = body.get("describe")
    if describe is not None and not isinstance(describe, (bool, dict)):
        raise keys.refusal("describe", "input", "a boolean or a hash")
    return Page(
        limit=LIMIT_MAX if limit is None else min(limit, LIMIT_MAX),
        starting=body.get("starting"),
        # an empty object asks for the default description
        describe=False if describe is None else describe,
    )


def _tags(body: dict[str, Any]) -> conditions.Condition | None:
    """Read `tags` and its older form `tag`; both given have both to hold."""
    tag = conditions.read_words(body.get("tag"), "tag")
    return conditions.both(conditions.read_words(body.get("tags"), "tags"), tag)


def _level(body: dict[str, Any]) -> access.Level:
    return access.Level.VIEW if body.get("level") is None else access.Level.parse(body["level"])


def _scope(body: dict[str, Any]) -> Scope | None:
    given = keys.hash_of(body, "scope")
    if given is None:
        return None
    keys.require(given, "project", "scope")
    return Scope(
        project=_id(given, "project", *ids.CONTAINER_CLASSES, where="scope") or "",
        folder=folders.read(given),
        recurse=keys.boolean(given, "recurse", "scope", default=True),
    )


def _sort(body: dict[str, Any]) -> Sort | None:
    given = keys.hash_of(body, "sortBy")
    if given is None:
        return None
    field = keys.one_of(given, "field", ("created", "modified", "name"), "sortBy") or "modified"
    ordering = keys.one_of(given, "ordering", ("ascending", "descending"), "sortBy")
    return Sort(field, ordering == "descending")


def _times(body: dict[str, Any], key: str) -> Times:
    given = keys.hash_of(body, key) or {}
    return Times(keys.integer(given, "after", key), keys.integer(given, "before", key))


def _texts(body: dict[str, Any], key: str) -> tuple[str, ...] | None:
    """Read a string or an array of strings."""
    value = body.get(key)
    if isinstance(value, str):
        return (value,)
    found = keys.strings(body, key)
    return None if found is None else tuple(found)


def read_ids(body: dict[str, Any], key: str, *classes: str) -> tuple[str, ...] | None:
    """Read an id or an array of ids of some classes; None if the key is absent."""
    found = _texts(body, key)
    if found is not None and len(found) > IDS_MAX:
        raise keys.refusal(key, "input", f"at most {IDS_MAX} ids")
    for entity_id in found or ():
        _check_id(entity_id, key, "input", classes)
    return found


def _id(body: dict[str, Any], key: str, *classes: str, where: str = "input") -> str | None:
    entity_id = keys.string(body, key, where)
    if entity_id is not None:
        _check_id(entity_id, key, where, classes)
    return entity_id


def _check_id(entity_id: str, key: str, where: str, classes: tuple[str, ...]) -> None:
    if not ids.is_id(entity_id, *classes):
        kinds = f" of class {' or '.join(sorted(classes))}" if classes else ""
        raise keys.refusal(key, where, f'an id{kinds}, got "{entity_id}"')


def _id_or_none(body: dict[str, Any], key: str, class_name: str) -> str | msgspec.UnsetType | None:
    return _id(body, key, class_name) if key in body else msgspec.UNSET


def _launched_by(body: dict[str, Any]) -> str | None:
    return "self" if body.get("launchedBy") == "self" else _id(body, "launchedBy", "user")
