"""Names, tags, properties, types, details: check them, change them (contract D.1.5)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from plasmid.domain import errors, keys

_TYPE = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]*", re.ASCII)


def check_name(value: object, key: str = "name", where: str = "input") -> str:
    """Return a name: any string but the empty one; no file could have a name with NUL in it."""
    if isinstance(value, str) and "\0" in value:
        raise keys.refusal(key, where, "a string without NUL characters")
    if isinstance(value, str) and value:
        return value
    raise keys.refusal(key, where, "a nonempty string")


def check_tags(value: object, key: str = "tags", where: str = "input") -> list[str]:
    """Return tags, once each, in the order given."""
    return list(dict.fromkeys(keys.strings({key: value}, key, where) or []))


def given_tags(body: dict[str, Any]) -> list[str]:
    """Return the tags that a call adds or takes away; the body has to name them."""
    return check_tags(keys.require(body, "tags"))


def check_types(value: object, key: str = "types", where: str = "input") -> list[str]:
    """Return type names, once each, in the order given; they are ASCII identifiers."""
    if value is None:
        return []
    if isinstance(value, list) and all(_is_type(item) for item in value):
        return list(dict.fromkeys(value))
    raise keys.refusal(key, where, "an array of valid strings for a type name")


def _is_type(value: object) -> bool:
    return isinstance(value, str) and _TYPE.fullmatch(value) is not None


def check_properties(
    value: object, key: str = "properties", where: str = "input"
) -> dict[str, str]:
    """Return the properties of a new object: nonempty keys, any strings as values."""
    found = check_property_changes(value, key, where)
    for name, text in found.items():
        if text is None:
            raise keys.refusal(name, f"{where}.{key}", "a string")
    return {name: text for name, text in found.items() if text is not None}


def check_property_changes(
    value: object, key: str = "properties", where: str = "input"
) -> dict[str, str | None]:
    """Return changes of properties: a string sets one, null removes it."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise keys.refusal(key, where, "a hash")
    check_property_keys(value, key, where)
    for name, text in value.items():
        if text is not None and not isinstance(text, str):
            raise keys.refusal(name, f"{where}.{key}", "a string")
    return value


def check_property_keys(
    names: Iterable[str], key: str = "properties", where: str = "input"
) -> None:
    """Refuse the empty key of a property."""
    if "" in names:
        raise keys.refusal(key, where, "a hash whose keys are nonempty strings")


def check_details(value: object, where: str = "details") -> Any:
    """Return details: an object or an array, not nested too deep."""
    if not isinstance(value, (dict, list)):
        raise errors.InvalidInput(f"Expected {where} to be a hash or an array")
    keys.check_depth(value, where)
    return value


def with_added(present: list[str], added: Iterable[str]) -> list[str]:
    """Return tags or types with others added, each once, in the order of their coming."""
    return list(dict.fromkeys([*present, *added]))


def without(present: list[str], removed: Iterable[str]) -> list[str]:
    """Return tags or types without some; those that are not there do not matter."""
    gone = set(removed)
    return [item for item in present if item not in gone]


def with_changes(present: dict[str, str], changes: dict[str, str | None]) -> dict[str, str]:
    """Return properties after changes, in which null removes a key."""
    merged = {**present, **changes}
    return {key: text for key, text in merged.items() if text is not None}
