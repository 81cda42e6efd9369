"""Links to data objects and references to what jobs put out: find them, replace them.

A link is `{"$dnanexus_link": ID}` or `{"$dnanexus_link": {"project": ID, "id": ID}}` (contract
D.1.4); a reference is one of the forms of contract F.5. Values are walked recursively: refuse
what is too deep with `keys.check_depth` where it comes in.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from plasmid.domain import errors, failures, ids, keys

LINK: Final = "$dnanexus_link"
_LEGACY_KEYS: Final = {"job", "field"}
VALUES_MAX: Final = 1_000_000
"""How many values may come in the place of the references in one value."""


class Unresolved(enum.Enum):
    """Says that a reference has to wait; null would be a value."""

    UNRESOLVED = "unresolved"


UNRESOLVED: Final = Unresolved.UNRESOLVED


class JobReference(msgspec.Struct, frozen=True):
    """A field of the output of a job or of an analysis, to be filled in once that is done.

    `index` picks an element of an array; `metadata` names a part of the describe of the linked
    object; `stage` says which stage of an analysis.
    """

    execution: str
    field: str
    stage: str | None = None
    index: int | None = None
    metadata: str | None = None


def link(object_id: str, project: str | None = None) -> dict[str, Any]:
    """Return the link to a data object, as found in one container if that is given."""
    return {LINK: object_id if project is None else {"project": project, "id": object_id}}


def linked_id(value: object) -> str | None:
    """Return the id of the data object that a value links to, or None if it is no link."""
    target = value.get(LINK) if isinstance(value, dict) else None
    if isinstance(target, dict):
        target = target.get("id") if "job" not in target and "analysis" not in target else None
    return target if isinstance(target, str) and ids.is_data_object(target) else None


def linked_project(value: object) -> str | None:
    """Return the container that a link names, or None if it names none."""
    target = value.get(LINK) if isinstance(value, dict) else None
    project = target.get("project") if isinstance(target, dict) else None
    return project if isinstance(project, str) and ids.is_container(project) else None


def is_link(value: object) -> bool:
    """Say whether a value is a link to a data object."""
    return linked_id(value) is not None


def reference_of(value: object) -> JobReference | None:
    """Return the reference that a value is, in any of its forms, or None."""
    if not isinstance(value, dict):
        return None
    target = value.get(LINK) if LINK in value else value
    if not isinstance(target, dict) or (target is value and value.keys() != _LEGACY_KEYS):
        return None
    execution = target.get("job", target.get("analysis"))
    expected = "job" if "job" in target else "analysis"
    field = target.get("field")
    if not ids.is_id(execution, expected) or not isinstance(field, str):
        return None
    return _reference(str(execution), field, target)


def _reference(execution: str, field: str, target: dict[str, Any]) -> JobReference | None:
    stage, index, metadata = (target.get(key) for key in ("stage", "index", "metadata"))
    for text in (stage, metadata):
        if text is not None and not isinstance(text, str):
            return None
    if index is not None and (not isinstance(index, int) or isinstance(index, bool) or index < 0):
        return None
    return JobReference(execution, field, stage, index, metadata)


def as_json(reference: JobReference) -> dict[str, Any]:
    """Return a reference in its long form, as a describe shows it."""
    target: dict[str, Any] = {ids.class_of(reference.execution) or "job": reference.execution}
    for key in ("stage", "field", "index", "metadata"):
        if (value := getattr(reference, key)) is not None:
            target[key] = value
    return {LINK: target}


def _inner(value: object) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def walk(value: object) -> Iterator[Any]:
    """Give a value and everything in it, parents first, in the order written."""
    waiting = [value]
    while waiting:
        current = waiting.pop()
        yield current
        waiting.extend(reversed(_inner(current)))


def count(value: object, most: int) -> int:
    """Return how many values there are in a value, itself included; at most one more than `most`.

    What arrays of references or links to arrays would come to grows by a power with each level.
    """
    found = 0
    for _ in walk(value):
        found += 1
        if found > most:
            break
    return found


def object_ids(value: object) -> list[str]:
    """Return the ids of all data objects linked anywhere in a value, once each, as first seen."""
    found = (linked_id(item) for item in walk(value))
    return list(dict.fromkeys(object_id for object_id in found if object_id is not None))


def named_projects(value: object) -> dict[str, str]:
    """Return the container in which each data object is linked, for those linked with one."""
    found: dict[str, str] = {}
    for item in walk(value):
        object_id, project = linked_id(item), linked_project(item)
        if object_id is not None and project is not None:
            found.setdefault(object_id, project)
    return found


def references(value: object) -> list[JobReference]:
    """Return all references anywhere in a value, once each, first seen first."""
    found = (reference_of(item) for item in walk(value))
    return list(dict.fromkeys(reference for reference in found if reference is not None))


def broken_reference(value: object) -> object | None:
    """Return a value inside that is written as a reference to an execution and is none, or None.

    It would stay as it is for ever: the index is no number, the id no id, the field is missing.
    """
    for item in walk(value):
        target = item.get(LINK) if isinstance(item, dict) else None
        names_execution = isinstance(target, dict) and ("job" in target or "analysis" in target)
        if names_execution and reference_of(item) is None:
            found: object = item
            return found
    return None


def replace_references(value: Any, resolve: Callable[[JobReference], Any | Unresolved]) -> Any:
    """Return the value with each reference replaced by what `resolve` gives for it.

    A reference that is UNRESOLVED stays as it was written. An array that comes in the place of an
    element of an array is spliced into it. Raises JobFailure (InputError) if that is too much, or
    nested too deep.
    """
    left = VALUES_MAX

    def bounded(reference: JobReference) -> Any | Unresolved:
        nonlocal left
        new = resolve(reference)
        left -= count(new, left)
        if left < 0:
            message = f"The outputs that are referred to have more than {VALUES_MAX} values in all"
            raise failures.JobFailure(
                failures.INPUT_ERROR, f"{message}; refer to fewer, or put them into files"
            )
        return new

    new = _replaced(value, bounded)
    if new is not value:
        try:
            keys.check_depth(new, "A value, with the outputs that it refers to,")
        except errors.InvalidInput as error:
            raise failures.JobFailure(failures.INPUT_ERROR, error.message) from error
    return new


def _replaced(value: Any, resolve: Callable[[JobReference], Any | Unresolved]) -> Any:
    reference = reference_of(value)
    if reference is not None:
        resolved = resolve(reference)
        return value if resolved is UNRESOLVED else resolved
    if isinstance(value, dict):
        return {key: _replaced(inner, resolve) for key, inner in value.items()}
    if not isinstance(value, list):
        return value
    result: list[Any] = []
    for element in value:
        new = _replaced(element, resolve)
        if isinstance(new, list) and not isinstance(element, list):
            result.extend(new)
        else:
            result.append(new)
    return result


def pick(output: dict[str, Any], reference: JobReference) -> Any:
    """Return what a reference means in the output of its finished execution.

    The caller follows `metadata`. Raises JobFailure (InputError) if the output lacks the field or
    the index: that fails the job which waits for it.
    """
    source = reference.execution
    if reference.stage is not None:
        source, output = f"{reference.stage} of {source}", _of_stage(output, reference.stage)
    if output.get(reference.field) is None:
        message = f'The output of {source} has no field "{reference.field}" that an input refers to'
        raise failures.JobFailure(failures.INPUT_ERROR, message)
    value = output[reference.field]
    if reference.index is None:
        return value
    if isinstance(value, list) and reference.index < len(value):
        return value[reference.index]
    held = f"has {len(value)} elements" if isinstance(value, list) else "is not an array"
    message = f'Field "{reference.field}" of the output of {source} {held}'
    remedy = f"an input refers to index {reference.index}"
    raise failures.JobFailure(failures.INPUT_ERROR, f"{message}: {remedy}")


def _of_stage(output: dict[str, Any], stage: str) -> dict[str, Any]:
    prefix = f"{stage}."
    return {
        key.removeprefix(prefix): value for key, value in output.items() if key.startswith(prefix)
    }


def strip_projects(value: Any) -> Any:
    """Return the value with every link to a data object in its plain form (contract F.7.5)."""
    object_id = linked_id(value)
    if object_id is not None:
        return link(object_id)
    if isinstance(value, dict):
        return {key: strip_projects(inner) for key, inner in value.items()}
    return [strip_projects(inner) for inner in value] if isinstance(value, list) else value


def flatten(values: list[Any]) -> list[Any]:
    """Return the elements of nested arrays as one array, in order."""
    waiting, flat = values[::-1], []
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting.extend(reversed(value))
        else:
            flat.append(value)
    return flat
