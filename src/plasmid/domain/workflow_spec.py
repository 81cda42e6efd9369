"""What a workflow takes and gives, derived from what its stages run (contract E.6)."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from plasmid.domain import stage_links

Spec = list[dict[str, Any]]
SOURCE: Final = "outputSource"
# What more fields than this would come of is not derived: stages can run workflows of workflows.
FIELDS_MAX: Final = 50_000


class Interface(msgspec.Struct, frozen=True, dict=True):
    """What an executable takes and gives; None where it says nothing and anything will do."""

    inputs: Spec | None
    outputs: Spec | None

    @functools.cached_property
    def input_names(self) -> dict[str, None]:
        """The names of the input fields in order, none if the executable says nothing."""
        return dict.fromkeys(field["name"] for field in self.inputs or [])

    @functools.cached_property
    def output_names(self) -> dict[str, None]:
        """The names of the output fields in order, none if the executable says nothing."""
        return dict.fromkeys(field["name"] for field in self.outputs or [])


def of_executable(body: Mapping[str, Any]) -> Interface:
    """Return what an applet or an app takes and gives, as its own part says."""
    return Interface(body.get("inputSpec"), body.get("outputSpec"))


def of_workflow(
    body: Mapping[str, Any], interfaces: Mapping[str, Interface | None]
) -> Interface | None:
    """Return what a workflow takes and gives; None if a stage is not accessible, or it is too much.

    `interfaces` are those of the stages' executables, by the id of the stage (absent or None where
    it is not accessible). A workflow that names its own `inputs` takes those, else every field of
    every stage that is not bound to another, as `<stage>.<field>`; outputs alike.
    """
    stages = body.get("stages") or []
    known = [(stage, interfaces.get(stage["id"])) for stage in stages]
    accessible = [(stage, found) for stage, found in known if found is not None]
    inputs, outputs = body.get("inputs"), body.get("outputs")
    fields = 0
    for _, found in accessible:
        fields += len(found.inputs or []) if inputs is None else 0
        fields += len(found.outputs or []) if outputs is None else 0
    if len(accessible) < len(known) or fields > FIELDS_MAX:
        return None
    if inputs is None:
        inputs = [field for stage, found in accessible for field in _inputs(stage, found)]
    if outputs is None:
        outputs = [field for stage, found in accessible for field in _outputs(stage, found)]
    else:
        outputs = [
            {key: value for key, value in field.items() if key != SOURCE} for field in outputs
        ]
    return Interface(inputs, outputs)


def _inputs(stage: Mapping[str, Any], found: Interface) -> Spec:
    bound = stage.get("input") or {}
    fields = []
    for field in found.inputs or []:
        value = bound.get(field["name"])
        if value is not None and stage_links.found(value):
            continue
        named = _named(stage["id"], field)
        if value is not None:
            named["default"] = value
        fields.append(named)
    return fields


def _outputs(stage: Mapping[str, Any], found: Interface) -> Spec:
    return [_named(stage["id"], field) for field in found.outputs or []]


def _named(stage: str, field: dict[str, Any]) -> dict[str, Any]:
    return {**field, "name": f"{stage}.{field['name']}", "group": stage}
