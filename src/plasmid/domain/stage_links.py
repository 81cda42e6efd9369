"""Links inside a workflow: to a field of another stage, to an input of the workflow (contract E.6).

A stage's input binds fields to `{"$dnanexus_link": {"stage": ID, "outputField": NAME}}` (or
`inputField`; `index` picks an element of an array) and to `{"$dnanexus_link":
{"workflowInputField": NAME}}`; so does the `outputSource` of a workflow's output. Values are walked
recursively: refuse what is too deep with `keys.check_depth` where it comes in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from plasmid.domain import links
from plasmid.domain.links import LINK, Unresolved

STAGE: Final = "stage"
OUTPUT: Final = "outputField"
INPUT: Final = "inputField"
WORKFLOW_INPUT: Final = "workflowInputField"


class StageLink(msgspec.Struct, frozen=True):
    """A field of a stage: of its output, or of its input if `is_output` is false.

    `index` picks an element of an array; `metadata` names a part of the describe of the object that
    the field links to.
    """

    stage: str
    field: str
    is_output: bool = True
    index: int | None = None
    metadata: str | None = None


class InputLink(msgspec.Struct, frozen=True):
    """A field of the workflow's own inputs."""

    field: str


Link = StageLink | InputLink


def link_of(value: object) -> Link | None:
    """Return the link within a workflow that a value is, or None."""
    target = _target(value)
    if target is None:
        return None
    if WORKFLOW_INPUT in target:
        field = target[WORKFLOW_INPUT]
        is_right = isinstance(field, str) and bool(field) and len(target) == 1
        return InputLink(field) if is_right else None
    return _stage_link(target)


def _target(value: object) -> dict[str, Any] | None:
    """Return what a link names if that is something within a workflow."""
    target = value.get(LINK) if isinstance(value, dict) and len(value) == 1 else None
    if not isinstance(target, dict) or "job" in target or "analysis" in target:
        return None
    return target if STAGE in target or WORKFLOW_INPUT in target else None


def _stage_link(target: dict[str, Any]) -> StageLink | None:
    fields = [key for key in (OUTPUT, INPUT) if key in target]
    if len(fields) != 1 or not target.keys() <= {STAGE, fields[0], "index", "metadata"}:
        return None
    stage, field, metadata = target[STAGE], target[fields[0]], target.get("metadata")
    if not all(isinstance(text, str) and text for text in (stage, field)):
        return None
    if metadata is not None and not isinstance(metadata, str):
        return None
    index = target.get("index")
    if index is not None and (not isinstance(index, int) or isinstance(index, bool) or index < 0):
        return None
    return StageLink(stage, field, fields[0] == OUTPUT, index, metadata)


def found(value: object) -> list[Link]:
    """Return all links within the workflow anywhere in a value, once each, first seen first."""
    links_of = (link_of(item) for item in links.walk(value))
    return list(dict.fromkeys(link for link in links_of if link is not None))


def broken(value: object) -> object | None:
    """Return a value inside that is written as a link within a workflow and is none, or None."""
    for item in links.walk(value):
        if _target(item) is not None and link_of(item) is None:
            wrong: object = item
            return wrong
    return None


def replaced(value: Any, replace: Callable[[Link], Any | Unresolved]) -> Any:
    """Return the value with each link within the workflow replaced by what `replace` gives for it.

    A link that is `links.UNRESOLVED` stays as it was written. An array that comes in the place of
    an element of an array is spliced into it, as with references to executions.
    """
    link = link_of(value)
    if link is not None:
        new = replace(link)
        return value if new is links.UNRESOLVED else new
    if isinstance(value, dict):
        return {key: replaced(inner, replace) for key, inner in value.items()}
    if not isinstance(value, list):
        return value
    result: list[Any] = []
    for element in value:
        new = replaced(element, replace)
        if isinstance(new, list) and not isinstance(element, list):
            result.extend(new)
        else:
            result.append(new)
    return result
