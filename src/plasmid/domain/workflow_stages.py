"""The stages of a workflow: read one, change one, check what it binds (contract E.6).

A stage is kept as `{id, name, executable, folder, input, executionPolicy, systemRequirements}`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from plasmid.domain import errors, folders, io_spec, keys, links, requirements, stage_links
from plasmid.domain.stage_links import StageLink
from plasmid.domain.workflow_spec import Interface

Stage = dict[str, Any]

ID_PATTERN: Final = "^(stage-|[a-zA-Z_])[0-9a-zA-Z_]*$"
ALL: Final = "*"
STAGES_MAX: Final = 1000
# It stands before the name of each field in what a workflow takes and gives.
ID_CHARACTERS_MAX: Final = 255
_ID: Final = re.compile(ID_PATTERN.removeprefix("^").removesuffix("$"), re.ASCII)
_FORM: Final = (
    'a link as {"$dnanexus_link": {"stage": ID, "outputField": NAME}} or {"$dnanexus_link":'
    ' {"workflowInputField": NAME}}'
)
# What a link stands for is not known yet; a reference may stand anywhere a value may.
_ANYTHING: Final = links.as_json(links.JobReference(f"job-{'0' * 24}", "anything"))


def check_id(stage_id: object, where: str) -> str:
    """Return the id that a new stage is to have; raises InvalidInput."""
    if not isinstance(stage_id, str) or not _ID.fullmatch(stage_id):
        raise keys.refusal("id", where, f"a string that matches {ID_PATTERN}, got {stage_id!r}")
    if len(stage_id) > ID_CHARACTERS_MAX:
        raise keys.refusal("id", where, f"at most {ID_CHARACTERS_MAX} characters long")
    return stage_id


def require_room(count: int) -> None:
    """Raise InvalidInput if a workflow would have more stages than one can have."""
    if count > STAGES_MAX:
        raise errors.InvalidInput(
            f"A workflow has at most {STAGES_MAX} stages, got {count}: let stages run workflows"
        )


def read(body: dict[str, Any], stage_id: str, where: str) -> Stage:
    """Return a new stage as a body gives it; what it binds is not checked yet.

    Raises InvalidInput that names the key by its path.
    """
    executable = keys.required_string(body, "executable", where)
    plain: Stage = {
        "id": stage_id,
        "name": None,
        "executable": executable,
        "folder": None,
        "input": {},
        "executionPolicy": {},
        "systemRequirements": {},
    }
    return changed(plain, body, where)


def changed(stage: Stage, changes: dict[str, Any], where: str) -> Stage:
    """Return a stage with some of it changed; null unsets. Raises InvalidInput."""
    new = dict(stage)
    if "name" in changes:
        new["name"] = keys.string(changes, "name", where)
    if "folder" in changes:
        new["folder"] = _folder(changes, where)
    if "executionPolicy" in changes:
        policy, at = changes["executionPolicy"], f"{where}.executionPolicy"
        new["executionPolicy"] = requirements.check_execution_policy(policy, where=at)
    if "systemRequirements" in changes:
        wanted, at = changes["systemRequirements"], f"{where}.systemRequirements"
        new["systemRequirements"] = requirements.check_system_requirements(wanted, where=at)
    bound = {**stage["input"], **(keys.hash_of(changes, "input", where) or {})}
    new["input"] = {name: value for name, value in bound.items() if value is not None}
    return new


def _folder(changes: dict[str, Any], where: str) -> str | None:
    """Return a stage's folder in normal form: from the root, or below the analysis' folder."""
    given = keys.string(changes, "folder", where)
    if given is None:
        return None
    if given.startswith("/"):
        return folders.normalise(given, "folder", where)
    below = folders.normalise(f"/{given}", "folder", where).removeprefix("/")
    return below or None


def check_bound(values: Mapping[str, Any], found: Interface | None, where: str) -> None:
    """Raise InvalidInput if an executable does not take one of some values in a field of its own.

    `found` is what the executable takes; None if the caller cannot see it, then all will do.
    """
    given = {name: value for name, value in values.items() if value is not None}
    for name, value in given.items():
        wrong = stage_links.broken(value)
        if wrong is not None:
            raise keys.refusal(name, where, f"{_FORM}, got {wrong}")
    if found is None or found.inputs is None:
        return
    names = found.input_names
    for name in given:
        if name not in names:
            known = f"which has {', '.join(names)}" if names else "which has no field"
            raise keys.refusal(name, where, f"a field of the executable's inputSpec, {known}")
    plain = stage_links.replaced(given, lambda _: _ANYTHING)
    spec = [field for field in found.inputs if field["name"] in given]
    io_spec.check_values(spec, plain, where=where)


def check_sources(
    value: object, known: Mapping[str, Interface | None], key: str, where: str
) -> None:
    """Raise InvalidInput if a value links to a stage that is not `known`, or to no field of it.

    A stage whose executable says nothing, or cannot be seen, may have any field.
    """
    for link in stage_links.found(value):
        if not isinstance(link, StageLink):
            continue
        if link.stage not in known:
            raise keys.refusal(
                key, where, f'a link to a stage of the workflow, which has no "{link.stage}"'
            )
        if not has_field(known[link.stage], link):
            side = "output" if link.is_output else "input"
            raise keys.refusal(
                key, where, f'a link to a field of {link.stage}, which has no {side} "{link.field}"'
            )


def has_field(found: Interface | None, link: StageLink) -> bool:
    """Say whether a stage may have the field that a link names."""
    if found is None or (found.outputs if link.is_output else found.inputs) is None:
        return True
    return link.field in (found.output_names if link.is_output else found.input_names)


def get(stages: list[Stage], stage_id: object) -> Stage:
    """Return the stage of an id; raises InvalidInput, and ResourceNotFound if there is none."""
    if not isinstance(stage_id, str):
        raise keys.refusal("stage", "input", "a string")
    for stage in stages:
        if stage["id"] == stage_id:
            return stage
    known = ", ".join(stage["id"] for stage in stages) or "none"
    raise errors.ResourceNotFound(
        f"The stage {stage_id} could not be found in the workflow; its stages are {known}"
    )


def without_links(stages: list[Stage], is_lost: Callable[[StageLink], bool]) -> list[Stage]:
    """Return stages with no field bound to what is lost."""

    def is_kept(value: object) -> bool:
        found = stage_links.found(value)
        return not any(isinstance(link, StageLink) and is_lost(link) for link in found)

    return [
        {
            **stage,
            "input": {name: value for name, value in stage["input"].items() if is_kept(value)},
        }
        for stage in stages
    ]


def check_ignored(given: object, stages: list[Stage]) -> list[str] | None:
    """Return the stages that are never to reuse results, or `["*"]`; raises InvalidInput."""
    names = keys.strings({"ignoreReuse": given}, "ignoreReuse")
    known = [stage["id"] for stage in stages]
    for name in names or []:
        if name not in known and names != [ALL]:
            raise keys.refusal(
                "ignoreReuse", "input", f'["*"] or an array of IDs of stages, got "{name}"'
            )
    return names
