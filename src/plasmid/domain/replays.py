"""What a replay of a job is made from: all that a try's code could see from the start.

A capture comes from a server, or from a file that anybody may have written: `check` holds it
against the rules of the API's own calls before anything is made of it.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from plasmid.domain import (
    access,
    errors,
    failures,
    folders,
    ids,
    instance_types,
    io_spec,
    keys,
    properties,
    run_spec,
)
from plasmid.domain.failures import JobFailure
from plasmid.domain.placement import Machine

FORMAT: Final = 1
SETTING: Final = "replay"
"""The key of a replayed job's settings: a Manner."""
ROLES: Final = ("input", "bundled", "resource", "output")

# Nothing of the job's own has run, or nothing of it was at fault.
_NOT_REPLAYED: Final = frozenset(
    {
        failures.AUTH_ERROR,
        failures.DEPENDENCY_UNSATISFIABLE,
        failures.INPUT_ERROR,
        failures.JOB_TREE_FAILURE,
        failures.TERMINATED,
    }
)
_TOLD: Final = re.compile(r"; replay it: plasmid replay job-[0-9A-Za-z]{24}(?: --try \d+)?\Z")
_LIMIT_MAX: Final = (1 << 63) - 1
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_REGION: Final = re.compile(r"[a-z]+:[a-z0-9-]+")
_USER: Final = re.compile(r"(?:user|org)-[A-Za-z0-9_.]+")


class Limits(msgspec.Struct, frozen=True):
    """What a try could use of its machine; 0: not limited."""

    cores: int = 0
    memory_bytes: int = 0
    disk_bytes: int = 0


class Manner(msgspec.Struct, frozen=True):
    """How a job is a replay: see Assignment's `mark` and `waits`; no more than what was given."""

    mark: str = ""
    waits: bool = False
    given: Limits = Limits()


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """The try itself; `input` is what its references came to."""

    job: str
    attempt: int
    name: str
    function: str
    executable: str
    executable_name: str
    project: str
    workspace: str
    folder: str
    region: str
    bill_to: str
    launched_by: str
    instance_type: str
    given: Limits
    timeout_ms: int
    input: dict[str, Any]
    run_input: dict[str, Any] = {}
    tags: list[str] = []
    properties: dict[str, str] = {}
    network: list[str] = []
    details: dict[str, Any] = {}
    system_requirements: dict[str, Any] = {}
    resources: str = ""
    project_cache: str = ""
    parent: str = ""


class Code(msgspec.Struct, frozen=True, kw_only=True):
    """The executable: `body` as the API takes and gives it, with its code; `version` of an app."""

    id: str
    name: str
    body: dict[str, Any]
    details: Any = {}
    version: str = ""
    place: str = ""
    folder: str = "/"


class Container(msgspec.Struct, frozen=True):
    """A project, or a container of an execution; `level` is what the launcher could do there."""

    id: str
    name: str
    region: str
    bill_to: str
    level: str


class Object(msgspec.Struct, frozen=True, kw_only=True):
    """A data object where the job saw it; `sha256` of a file's bytes, once they are known."""

    id: str
    role: str
    container: str
    name: str
    folder: str = "/"
    hidden: bool = False
    types: list[str] = []
    details: Any = {}
    properties: dict[str, str] = {}
    tags: list[str] = []
    links: list[str] = []
    media: str | None = None
    size_bytes: int = 0
    sha256: str = ""
    body: dict[str, Any] = {}

    @property
    def has_bytes(self) -> bool:
        """Whether there is a content that is kept beside it."""
        return self.id.startswith("file-")


class Line(msgspec.Struct, frozen=True):
    """A line of the job's own in its log."""

    level: str
    text: str


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a try ended; what is None is not known."""

    state: str
    reason: str = ""
    message: str = ""
    exit_code: int | None = None
    output: dict[str, Any] | None = None
    seconds: float | None = None
    peak_memory_bytes: int | None = None
    lines: list[Line] = []


class Capture(msgspec.Struct, frozen=True, kw_only=True):
    """All of it; `image` and `layers` are those that the try ran on, by content, if known.

    There is no `code` if the executable was removed, and somebody brings another.
    """

    run: Run
    code: Code | None
    containers: list[Container]
    objects: list[Object]
    outcome: Outcome
    format: int = FORMAT
    image: str = ""
    image_digest: str = ""
    layers: list[str] = []
    variables: dict[str, str] = {}
    notes: list[str] = []


def command(job: str, *, attempt: int = 0, is_last: bool = True) -> str:
    """Return what is typed to replay a try; the last one of a job needs not be named if it is 0."""
    return f"plasmid replay {job}" + ("" if is_last and not attempt else f" --try {attempt}")


def with_command(failure: JobFailure, job: str, *, attempt: int, is_last: bool) -> JobFailure:
    """Return a try's failure with the command that replays it at the end of its message."""
    if failure.reason in _NOT_REPLAYED or _TOLD.search(failure.message):
        return failure
    told = command(job, attempt=attempt, is_last=is_last)
    return JobFailure(failure.reason, f"{failure.message}; replay it: {told}")


def without_command(message: str) -> str:
    """Return a failure's message as it was before the command was added."""
    return _TOLD.sub("", message)


def manner_of(settings: dict[str, Any]) -> Manner:
    """Return how a job is a replay; of one that is none, nothing of it is set."""
    return msgspec.convert(settings.get(SETTING) or {}, Manner)


def machine_then(given: Limits, machine: Machine) -> Machine:
    """Return a machine for one job that is no larger than what the job had; 0: not limited."""
    return msgspec.structs.replace(
        machine,
        cores=_least(machine.cores, given.cores),
        memory_bytes=_least(machine.memory_bytes, given.memory_bytes),
        disk_bytes=_least(machine.disk_bytes, given.disk_bytes),
    )


def _least(one: int, other: int) -> int:
    return min(one, other) if one and other else one or other


def variables(run: Run) -> dict[str, str]:
    """Return the variables by which the try's code knew where it was; its token is none of them."""
    found = {
        "DX_JOB_ID": run.job,
        "DX_WORKSPACE_ID": run.workspace,
        "DX_PROJECT_CONTEXT_ID": run.project,
        "DX_RESOURCES_ID": run.resources,
        "DX_PROJECT_CACHE_ID": run.project_cache,
    }
    return {name: value for name, value in found.items() if value}


def check(capture: Capture) -> None:
    """Raise InvalidInput, naming the field, unless a capture is one that could have been made."""
    if capture.format != FORMAT:
        raise errors.InvalidInput(
            f"it is of format {capture.format}, and this plasmid reads {FORMAT}"
        )
    _check_run(capture.run)
    if capture.code is not None:
        check_code(capture.code, capture.run)
    known = {capture.run.workspace, capture.run.resources, capture.run.project_cache}
    for container in capture.containers:
        _require_id(container.id, "project", where="containers")
        _require(container.id not in known, "containers", f"{container.id} twice")
        _require(container.level in access.Level.__members__, "containers.level", container.level)
        _require(bool(_REGION.fullmatch(container.region)), "containers.region", container.region)
        _require(bool(_USER.fullmatch(container.bill_to)), "containers.bill_to", container.bill_to)
        properties.check_name(container.name, where="containers")
        known.add(container.id)
    _require(capture.run.project in known, "containers", "not that of the job")
    seen: set[str] = set()
    for item in capture.objects:
        _require(item.id not in seen, "objects", f"{item.id} twice")
        _require(item.container in known, "objects.container", item.container)
        seen.add(item.id)
        _check_object(item)


def _check_run(run: Run) -> None:
    _require_id(run.job, "job", where="run.job")
    _require_id(run.executable, "applet", "app", where="run.executable")
    _require_id(run.project, "project", where="run.project")
    _require_id(run.workspace, "container", where="run.workspace")
    known = {run.workspace}
    for name in ("resources", "project_cache"):
        if container := getattr(run, name):
            _require_id(container, "container", where=f"run.{name}")
            _require(container not in known, f"run.{name}", f"{container} twice")
            known.add(container)
    for name in run.given.__struct_fields__:
        limit = getattr(run.given, name)
        _require(0 <= limit <= _LIMIT_MAX, f"run.given.{name}", limit)
    for name in ("name", "executable_name", "function"):
        properties.check_name(getattr(run, name), name, "run")
    _require(bool(_REGION.fullmatch(run.region)), "run.region", run.region)
    for name in ("launched_by", "bill_to"):
        _require(bool(_USER.fullmatch(getattr(run, name))), f"run.{name}", getattr(run, name))
    _require(folders.normalise(run.folder) == run.folder, "run.folder", run.folder)
    _require(0 <= run.attempt < 1 << 16, "run.attempt", run.attempt)
    _require(0 < run.timeout_ms <= run_spec.TIMEOUT_MAX_MS, "run.timeout_ms", run.timeout_ms)
    instance_types.get(run.instance_type)
    properties.check_tags(run.tags)
    properties.check_properties(run.properties)
    for value in (run.input, run.run_input, run.details, run.system_requirements):
        keys.check_depth(value, "run")


def check_code(code: Code, run: Run) -> None:
    """Raise InvalidInput unless an executable is one that could have been built."""
    _require(code.id == run.executable, "code.id", code.id)
    properties.check_name(code.name, where="code")
    if code.place:
        _require_id(code.place, "project", "container", where="code.place")
    _require(folders.normalise(code.folder) == code.folder, "code.folder", code.folder)
    keys.check_depth(code.body, "code")
    run_spec.check_run_spec(code.body.get("runSpec"))
    run_spec.check_access(code.body.get("access"))
    for name in ("inputSpec", "outputSpec"):
        io_spec.check_spec(code.body.get(name), where=name)


def _check_object(item: Object) -> None:
    _require_id(item.id, "file", "record", "applet", "workflow", "database", where="objects.id")
    _require(item.role in ROLES, "objects.role", item.role)
    properties.check_name(item.name, where="objects")
    _require(folders.normalise(item.folder) == item.folder, "objects.folder", item.folder)
    properties.check_types(item.types)
    properties.check_tags(item.tags)
    properties.check_properties(item.properties)
    keys.check_depth(item.body, "objects")
    if item.id.startswith("applet-"):
        run_spec.check_run_spec(item.body.get("runSpec"), where="objects.body.runSpec")
    keys.check_depth(item.details, "objects")
    _require(item.size_bytes >= 0, "objects.size_bytes", item.size_bytes)
    is_whole = not item.has_bytes or bool(_SHA256.fullmatch(item.sha256))
    is_whole = is_whole or (item.role == "output" and not item.sha256)
    _require(is_whole, "objects.sha256", item.sha256)
    for target in item.links:
        _require(ids.is_data_object(target), "objects.links", target)


def _require_id(value: str, *classes: str, where: str) -> None:
    _require(ids.is_id(value, *classes), where, value)


def _require(is_right: bool, where: str, value: object) -> None:  # noqa: FBT001
    if not is_right:
        raise errors.InvalidInput(f"{where} is wrong: {str(value)[:80]!r}")
