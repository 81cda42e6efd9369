"""Defaults that are read from the metadata of another input's object (contract E.1).

`{"$dnanexus_link": {"input": NAME, "metadata": KEY}}` as a field's default stands for, say, the
name of the file that another input links; with `index` for that of one element of an array.
"""

from __future__ import annotations

from typing import Any

import msgspec

from plasmid.domain import links


class MetadataDefault(msgspec.Struct, frozen=True):
    """Which input's object is looked at, which element if it is an array, and what of it."""

    input: str
    metadata: str
    index: int | None = None


def of(default: object) -> MetadataDefault | None:
    """Return what a field's default says of another input, or None if it is a plain value."""
    target = default.get(links.LINK) if isinstance(default, dict) else None
    if not isinstance(target, dict):
        return None
    source, metadata, index = target.get("input"), target.get("metadata"), target.get("index")
    if not isinstance(source, str) or not isinstance(metadata, str):
        return None
    is_index = isinstance(index, int) and not isinstance(index, bool) and index >= 0
    return MetadataDefault(source, metadata, index) if index is None or is_index else None


def applying(
    spec: list[dict[str, Any]] | None, given: dict[str, Any], values: dict[str, Any]
) -> dict[str, MetadataDefault]:
    """Return the fields whose value is such a default: not `given`, and put in among `values`."""
    found = {
        field["name"]: of(field.get("default"))
        for field in spec or []
        if given.get(field["name"]) is None and field["name"] in values
    }
    return {name: default for name, default in found.items() if default is not None}


def linked(default: MetadataDefault, values: dict[str, Any]) -> list[Any]:
    """Return the links to the objects whose metadata the default is; [] if there is none."""
    value = values.get(default.input)
    elements = value if isinstance(value, list) else [value]
    if default.index is not None:
        elements = elements[default.index : default.index + 1]
    return [element for element in elements if links.is_link(element)]


def without(spec: list[dict[str, Any]] | None) -> list[dict[str, Any]] | None:
    """Return a specification without such defaults: what they are has been put in."""
    if spec is None:
        return None
    return [
        field if of(field.get("default")) is None else {**field, "default": None} for field in spec
    ]
