"""The words in which a method's body and answer are described: JSON Schema, one sentence each.

Nothing here checks a call: methods do that themselves, and a test holds the descriptions to what
they really read. A key that may be absent may be null, too, which counts as absent.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

import msgspec

from plasmid.domain import ids

RANDOM_PART: Final = f"[0-9A-Za-z]{{{ids.ID_LENGTH}}}"
HANDLE_PART: Final = "[A-Za-z0-9_.]+"
NAME_PART: Final = r"[A-Za-z0-9_.\-]+"
_OF_HANDLES: Final = ("user", "org")
_OF_NAMES: Final = ("app", "globalworkflow")


class Value(msgspec.Struct, frozen=True):
    """What a value is: a JSON Schema, and whether the key has to be there."""

    schema: dict[str, Any]
    is_required: bool = False

    @property
    def says(self) -> str:
        """The sentence that describes it."""
        return str(self.schema.get("description", ""))


Keys = Mapping[str, Value]


class Told(msgspec.Struct, frozen=True):
    """What is told of a route: the keys that it takes, or all of its body; and what it gives."""

    takes: Keys
    gives: Value
    body: Value | None = None


def id_part(class_name: str) -> str:
    """Return the pattern of what follows `class-` in an id."""
    if class_name in _OF_HANDLES:
        return HANDLE_PART
    return NAME_PART if class_name in _OF_NAMES else RANDOM_PART


def _value(says: str, kind: str, *, required: bool = False, **schema: Any) -> Value:
    named: Any = kind if required else [kind, "null"]
    given = {key: value for key, value in schema.items() if value is not None}
    return Value({"type": named, **given, "description": says}, required)


def text(
    says: str,
    *,
    required: bool = False,
    nonempty: bool = False,
    longest: int | None = None,
    pattern: str | None = None,
) -> Value:
    """Return a string."""
    least = 1 if nonempty else None
    return _value(
        says, "string", required=required, minLength=least, maxLength=longest, pattern=pattern
    )


def boolean(says: str, *, required: bool = False) -> Value:
    """Return true or false."""
    return _value(says, "boolean", required=required)


def integer(
    says: str, *, required: bool = False, least: int | None = None, most: int | None = None
) -> Value:
    """Return a whole number within a range, its ends included."""
    return _value(says, "integer", required=required, minimum=least, maximum=most)


def time(says: str, *, required: bool = False) -> Value:
    """Return a moment: milliseconds since the epoch."""
    return integer(f"{says}, in milliseconds since the epoch", required=required)


def number(says: str, *, required: bool = False, above: float | None = None) -> Value:
    """Return a number."""
    return _value(says, "number", required=required, exclusiveMinimum=above)


def an_id(says: str, *classes: str, required: bool = False) -> Value:
    """Return an id of one of some classes."""
    parts = [f"{name}-{id_part(name)}" for name in classes]
    return text(says, required=required, pattern=f"^({'|'.join(parts)})$")


def choice(says: str, *options: str, required: bool = False) -> Value:
    """Return one of some words."""
    every: list[str | None] = [*options, *(() if required else (None,))]
    return _value(says, "string", required=required, enum=every)


def array(
    says: str, items: Value, *, required: bool = False, least: int | None = None,
    most: int | None = None,
) -> Value:  # fmt: skip
    """Return an array."""
    return _value(
        says, "array", required=required, items=items.schema, minItems=least, maxItems=most
    )


def words(says: str, *, required: bool = False) -> Value:
    """Return an array of nonempty strings."""
    return array(says, Value({"type": "string", "minLength": 1}), required=required)


def hash_of(says: str, keys: Keys, *, required: bool = False) -> Value:
    """Return an object with known keys; others do not matter."""
    plain = _value(says, "object", required=required)
    return Value({**plain.schema, **object_schema(keys)}, required)


def object_schema(keys: Keys) -> dict[str, Any]:
    """Return the part of a schema that says which keys an object has."""
    needed = [name for name, value in keys.items() if value.is_required]
    schema: dict[str, Any] = {"properties": {name: value.schema for name, value in keys.items()}}
    return {**schema, "required": needed} if needed else schema


def map_of(says: str, values: Value, *, required: bool = False) -> Value:
    """Return an object whose keys are the caller's, all with values of one kind."""
    return _value(says, "object", required=required, additionalProperties=values.schema)


def free(says: str, *, required: bool = False) -> Value:
    """Return an object that may hold anything."""
    return _value(says, "object", required=required)


def anything(says: str, *, required: bool = False) -> Value:
    """Return a value of any kind."""
    return Value({"description": says}, required)


def either(says: str, *values: Value, required: bool = False) -> Value:
    """Return a value of one of some kinds."""
    return Value({"anyOf": [value.schema for value in values], "description": says}, required)


def shared(name: str, says: str, *, required: bool = False) -> Value:
    """Return a value whose schema stands once for all, among the document's components."""
    return Value({"$ref": f"#/components/schemas/{name}", "description": says}, required)


def without(keys: Keys, left_out: Collection[str]) -> dict[str, Value]:
    """Return keys without some of them."""
    return {name: value for name, value in keys.items() if name not in left_out}
