"""What a workflow is as a whole: its own inputs and outputs, no circle, what it links to (E.6)."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from plasmid.domain import errors, folders, ids, io_spec, keys, links, stage_links, workflow_stages
from plasmid.domain.stage_links import InputLink, StageLink
from plasmid.domain.workflow_spec import SOURCE, Interface, Spec
from plasmid.domain.workflow_stages import Stage

Body = dict[str, Any]
TURNAROUND: Final = "treeTurnaroundTimeThreshold"

# What a workflow is as a whole is looked through, and written anew, with each change of it.
BYTES_MAX: Final = 4 << 20

# A field of a stage's input, or (with None) all of its output.
_Node = tuple[str, str | None]


def blank() -> Body:
    """Return the body of a workflow of which nothing was said."""
    return {
        "editVersion": 0,
        "summary": "",
        "description": "",
        "outputFolder": None,
        "stages": [],
        "inputs": None,
        "outputs": None,
        "ignoreReuse": None,
        "temporary": False,
    }


def with_settings(body: Body, given: dict[str, Any]) -> Body:
    """Return a workflow's body with what a call says of it but for its stages; null unsets.

    Raises InvalidInput that names the key.
    """
    new = dict(body)
    for name in ("summary", "description"):
        if name in given:
            new[name] = keys.string(given, name) or ""
    for name in ("title", "dxapi"):
        if name in given:
            new[name] = keys.string(given, name)
    folder = given.get("outputFolder")
    if "outputFolder" in given:
        new["outputFolder"] = None if folder is None else folders.normalise(folder, "outputFolder")
    for name in ("inputs", "outputs"):
        if name in given:
            new[name] = check_fields(given[name], name)
    if TURNAROUND in given:
        new[TURNAROUND] = keys.integer(given, TURNAROUND, minimum=0)
    return new


def check_fields(given: object, name: str) -> Spec | None:
    """Return a workflow's own `inputs` or `outputs`; raises InvalidInput that names the field."""
    spec = io_spec.check_spec(given, where=name)
    for index, field in enumerate(spec or [] if name == "outputs" else []):
        where = f"{name}[{index}]"
        source = keys.require(field, SOURCE, where)
        if stage_links.link_of(source) is None:
            raise keys.refusal(SOURCE, where, "a link to a field of a stage or of the inputs")
    return spec


def check(body: Body, *, is_whole: bool = False) -> None:
    """Raise InvalidInput for links of a body that lead nowhere or in a circle, or if it is too big.

    A link to an input of the workflow needs that input once there are any; with `is_whole` always.
    Any field of a stage will do: what it puts out is seen when it has run.
    """
    size_bytes = len(msgspec.json.encode(body))
    if size_bytes > BYTES_MAX:
        raise errors.InvalidInput(
            f"A workflow has at most {BYTES_MAX} bytes, got {size_bytes}: give long values in files"
        )
    known = dict.fromkeys(stage["id"] for stage in body["stages"])
    names = {field["name"] for field in body.get("inputs") or []}
    is_strict = is_whole or body.get("inputs") is not None
    values = [
        (stage["input"][name], name, f"the input of {stage['id']}")
        for stage in body["stages"]
        for name in stage["input"]
    ]
    values += [
        (field[SOURCE], SOURCE, f"the output {field['name']}")
        for field in body.get("outputs") or []
    ]
    for value, key, where in values:
        workflow_stages.check_sources(value, known, key, where)
        if is_strict:
            _check_inputs(value, names, key, where)
    circle = _circle(body["stages"])
    if circle:
        raise errors.InvalidInput(
            f"The stages of the workflow form a loop: {' needs '.join(circle)};"
            " bind one of them to something else"
        )


def _check_inputs(value: object, names: set[str], key: str, where: str) -> None:
    for link in stage_links.found(value):
        if isinstance(link, InputLink) and link.field not in names:
            has = f"which has {', '.join(sorted(names))}" if names else "which has none"
            wanted = f'a link to one of the inputs of the workflow, {has}, got "{link.field}"'
            raise keys.refusal(key, where, wanted)


def _circle(stages: list[Stage]) -> list[str] | None:
    """Return the stages along a circle of links, the first of them again at the end, or None."""
    needs = _needs(stages)
    done: set[_Node] = set()
    for start in needs:
        path: dict[_Node, None] = {}
        waiting: list[tuple[_Node, bool]] = [(start, False)]
        while waiting:
            node, is_left = waiting.pop()
            if is_left:
                path.popitem()
                done.add(node)
            elif node in path:
                return _names([*path], node)
            elif node not in done:
                path[node] = None
                waiting.append((node, True))
                waiting.extend((inner, False) for inner in needs.get(node, []))
    return None


def _names(path: list[_Node], again: _Node) -> list[str]:
    """Return the stages of a path from where it comes again, each step once."""
    around = [stage for stage, _ in path[path.index(again) :]]
    names = [stage for stage, _ in itertools.groupby(around)]
    return names if len(names) > 1 and names[0] == names[-1] else [*names, names[0]]


def _needs(stages: list[Stage]) -> dict[_Node, list[_Node]]:
    """Return which fields each field waits for: an output waits for all inputs of its stage."""
    needs: dict[_Node, list[_Node]] = {}
    for stage in stages:
        needs[(stage["id"], None)] = [(stage["id"], name) for name in stage["input"]]
        for name, value in stage["input"].items():
            needs[(stage["id"], name)] = [
                (link.stage, None if link.is_output else link.field)
                for link in stage_links.found(value)
                if isinstance(link, StageLink)
            ]
    return needs


def linked_ids(body: Body) -> list[str]:
    """Return the data objects that a workflow needs: what its stages run, what they bind (D.1.4).

    Hidden ones among them go with the workflow where it is cloned.
    """
    stages = body.get("stages") or []
    run = [stage["executable"] for stage in stages if ids.is_data_object(stage["executable"])]
    bound = links.object_ids([stage["input"] for stage in stages])
    return list(dict.fromkeys([*run, *bound]))


def incompatibilities(old: Interface | None, new: Interface | None) -> list[str]:
    """Return why one executable cannot take another's place as it stands, one sentence each."""
    if old is None:
        return ["What the stage runs now cannot be seen, so the two cannot be compared"]
    if new is None:
        return ["The new executable has a stage that cannot be seen"]
    reasons = _changes("input", old.inputs, new.inputs)
    reasons += _changes("output", old.outputs, new.outputs)
    had = {field["name"]: field for field in old.inputs or []}
    for field in new.inputs or []:
        earlier = had.get(field["name"])
        if _is_required(field) and (earlier is None or not _is_required(earlier)):
            reasons.append(f'The new executable requires the input "{field["name"]}"')
    return reasons


def _is_required(field: Mapping[str, Any]) -> bool:
    return not field.get("optional") and field.get("default") is None


def _changes(side: str, old: Spec | None, new: Spec | None) -> list[str]:
    if old is None or new is None:
        unknown = "What the stage runs now" if old is None else "The new executable"
        will_do = old is new or (side == "input" and new is None)
        return [] if will_do else [f"{unknown} has no {side}Spec, so the two cannot be compared"]
    there = {field["name"]: field for field in new}
    reasons = []
    for field in old:
        name, found = field["name"], there.get(field["name"])
        if found is None:
            reasons.append(f'The new executable has no {side} "{name}"')
        elif found["class"] != field["class"]:
            classes = f"{field['class']} to {found['class']}"
            reasons.append(f'The class of the {side} "{name}" changes from {classes}')
        elif side == "output" and found.get("optional") and not field.get("optional"):
            reasons.append(f'The output "{name}" becomes optional')
    return reasons
