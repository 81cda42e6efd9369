"""One Struct per table, and how a row of the database becomes one.

Fields that are neither text nor number are kept as JSON text.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeVar

import msgspec

T = TypeVar("T", bound=msgspec.Struct)

_PLAIN = (str, int, float, types.NoneType)


class UserRow(msgspec.Struct, frozen=True):
    """A person."""

    id: str
    handle: str
    first: str
    last: str
    email: str
    bill_to: str
    ssh_public_key: str | None
    created_ms: int
    settings: dict[str, Any] = msgspec.field(default_factory=dict)


class OrgRow(msgspec.Struct, frozen=True):
    """A group of people who may share projects and apps, and be billed for them (contract J.6)."""

    id: str
    handle: str
    name: str
    policies: dict[str, Any]
    settings: dict[str, Any]
    created_by: str
    created_ms: int


class OrgMemberRow(msgspec.Struct, frozen=True):
    """A user's place in an org: `level` is ADMIN or MEMBER, `access` what a MEMBER may do."""

    org: str
    user: str
    level: str
    access: dict[str, Any]


class TokenRow(msgspec.Struct, frozen=True):
    """A token, known only by its SHA-256; `actor` is what it stands for (JSON of Actor)."""

    hash: str
    user: str | None
    actor: str
    job: str | None
    label: str
    created_ms: int
    expires_ms: int | None


class ContainerRow(msgspec.Struct, frozen=True):
    """A project, or a container of an execution (then `project` is its project context).

    `kind` is None for projects and workspaces; `app` is the version that a container belongs to. A
    container with `destroy_at_ms` is removed at that time.
    """

    id: str
    class_name: str
    name: str
    region: str
    summary: str
    description: str
    bill_to: str
    created_by: str
    created_ms: int
    modified_ms: int
    version: int
    flags: dict[str, Any]
    tags: list[str]
    properties: dict[str, str]
    project: str | None
    kind: str | None = None
    app: str | None = None
    destroy_at_ms: int | None = None


class ObjectRow(msgspec.Struct, frozen=True):
    """What is the same of a data object in every container; `body` is its class's own part."""

    id: str
    class_name: str
    state: str
    hidden: bool
    types: list[str]
    details: Any
    links: list[str]
    created_ms: int
    created_by: str
    created_by_job: str | None
    created_by_executable: str | None
    media: str | None
    size_bytes: int | None
    body: dict[str, Any]


class PlacementRow(msgspec.Struct, frozen=True):
    """What a data object is called and where it lies in one container.

    `archival_state` is None for what is live; one that passes by itself does so at
    `archival_until_ms` (contract C.9).
    """

    container: str
    object: str
    folder: str
    name: str
    tags: list[str]
    properties: dict[str, str]
    modified_ms: int
    archival_state: str | None = None
    archival_until_ms: int | None = None


class PartRow(msgspec.Struct, frozen=True):
    """A piece of an upload; `blob` names its bytes once it is complete."""

    object: str
    part: int
    state: str
    size_bytes: int
    md5: str
    blob: str | None


class JobRow(msgspec.Struct, frozen=True):
    """A job; `settings` are the parts of its run that only describe, access and restarts read.

    A stage of an analysis names both; `reuse_key` is equal for jobs that would give the same output
    (contract F.11).
    """

    id: str
    state: str
    name: str
    function: str
    executable: str
    executable_name: str
    project: str
    folder: str
    workspace: str
    region: str
    bill_to: str
    launched_by: str
    parent_job: str | None
    origin_job: str
    root_execution: str
    detached_from: str | None
    created_ms: int
    modified_ms: int
    started_running_ms: int | None
    stopped_running_ms: int | None
    attempt: int
    attempt_created_ms: int
    priority: str
    rank: int
    instance_type: str
    tags: list[str]
    properties: dict[str, str]
    state_transitions: list[dict[str, Any]]
    run_input: dict[str, Any]
    original_input: dict[str, Any]
    input: dict[str, Any]
    output: dict[str, Any] | None
    depends_on: list[str]
    failure_reason: str | None
    failure_message: str | None
    failure_from: dict[str, Any] | None
    failure_counts: dict[str, int]
    worker: str | None
    settings: dict[str, Any]
    parent_analysis: str | None = None
    stage: str | None = None
    reuse_key: str | None = None


class AnalysisRow(msgspec.Struct, frozen=True):
    """A run of a workflow (contract E.7).

    `workflow` is what was run, as it was then, in the form of its describe; `stages` are
    `{"id": stage, "execution": job or analysis}`, in order.
    """

    id: str
    state: str
    name: str
    executable: str
    executable_name: str
    project: str
    folder: str
    workspace: str
    region: str
    bill_to: str
    launched_by: str
    parent_job: str | None
    parent_analysis: str | None
    stage: str | None
    root_execution: str
    detached_from: str | None
    created_ms: int
    modified_ms: int
    priority: str
    rank: int
    tags: list[str]
    properties: dict[str, str]
    state_transitions: list[dict[str, Any]]
    run_input: dict[str, Any]
    original_input: dict[str, Any]
    input: dict[str, Any]
    output: dict[str, Any] | None
    depends_on: list[str]
    stages: list[dict[str, Any]]
    workflow: dict[str, Any]
    settings: dict[str, Any]


class AppNameRow(msgspec.Struct, frozen=True):
    """What all versions of an app have in common; its name stays taken when all are deleted."""

    name: str
    bill_to: str
    developers: list[str]
    authorized_users: list[str]
    categories: list[str]


class AppRow(msgspec.Struct, frozen=True):
    """One version of an app; what it runs is the row of `objects` with its id.

    `regional_options` are by region: `applet`, `resources` (a container) and maybe `pricingPolicy`.
    """

    id: str
    name: str
    version: str
    regional_options: dict[str, dict[str, Any]]
    created_by: str
    created_ms: int
    modified_ms: int
    published_ms: int | None
    deleted_ms: int | None


class AppAliasRow(msgspec.Struct, frozen=True):
    """A version or tag under which a version of an app is known."""

    name: str
    alias: str
    app: str


class AppInstallRow(msgspec.Struct, frozen=True):
    """A user who has installed an app."""

    user: str
    name: str


class NonceRow(msgspec.Struct, frozen=True):
    """The answer that was given to a call with a nonce."""

    user: str
    route: str
    nonce: str
    input_hash: str
    response: str
    created_ms: int


def _decoder_of(annotation: Any) -> Callable[[Any], Any] | None:
    """Return how a stored value of this type is read; None if it is kept as it is."""
    options = (
        typing.get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
    )
    if all(option in _PLAIN for option in options):
        return None
    if annotation is bool:
        return bool
    decode = msgspec.json.Decoder().decode
    return lambda text: None if text is None else decode(text)


@cache
def _decoders(struct: type[msgspec.Struct]) -> tuple[tuple[int, Callable[[Any], Any]], ...]:
    hints = typing.get_type_hints(struct)
    found = (
        (index, _decoder_of(hints[name])) for index, name in enumerate(struct.__struct_fields__)
    )
    return tuple((index, decoder) for index, decoder in found if decoder is not None)


def read(struct: type[T], values: Sequence[Any]) -> T:
    """Make the Struct from a row whose columns are the Struct's fields, in order."""
    mutable = list(values)
    for index, decode in _decoders(struct):
        mutable[index] = decode(mutable[index])
    return struct(*mutable)


def stored(value: Any) -> Any:
    """Return a field's value as the database keeps it."""
    if isinstance(value, bool):
        return int(value)
    if value is None or isinstance(value, (str, int, float)):
        return value
    return msgspec.json.encode(value).decode()


@cache
def _json_fields(struct: type[msgspec.Struct]) -> dict[str, bool]:
    """Return the fields that are kept as JSON, and whether their None is kept as JSON, too."""
    hints = typing.get_type_hints(struct)
    names = [struct.__struct_fields__[index] for index, _ in _decoders(struct)]
    return {name: hints[name] is Any for name in names if hints[name] is not bool}


def columns(row: msgspec.Struct) -> dict[str, Any]:
    """Return a Struct as the values of its columns."""
    return changes(type(row), {name: getattr(row, name) for name in row.__struct_fields__})


def changes(struct: type[msgspec.Struct], values: dict[str, Any]) -> dict[str, Any]:
    """Return some of a Struct's fields as the values of their columns.

    A JSON field is encoded even when it is text (details may be any JSON).
    """
    as_json = _json_fields(struct)
    return {
        name: (
            msgspec.json.encode(value).decode()
            if name in as_json and (value is not None or as_json[name])
            else stored(value)
        )
        for name, value in values.items()
    }
