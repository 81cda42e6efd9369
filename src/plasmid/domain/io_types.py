"""What types a specification wants of the data objects that are linked (`type`, contract E.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from plasmid.domain import conditions, keys, links


def linked_ids(spec: list[dict[str, Any]] | None, values: dict[str, Any]) -> list[str]:
    """Return the ids of the objects whose types `check` has to know."""
    fields = [field for field in spec or [] if field.get("type") is not None]
    found = (links.object_ids(values.get(field["name"])) for field in fields)
    return list(dict.fromkeys(object_id for object_ids in found for object_id in object_ids))


def check(
    spec: list[dict[str, Any]] | None,
    values: dict[str, Any],
    types: Mapping[str, Sequence[str]],
    *,
    where: str = "input",
) -> None:
    """Raise InvalidInput that names the field of an object which is not of the type it has to be.

    `types` are those of each object by id; an object that it lacks is not looked at.
    """
    for field in spec or []:
        wanted = conditions.read_words(field.get("type"), "type", f"{where}Spec")
        if wanted is None:
            continue
        for object_id in links.object_ids(values.get(field["name"])):
            own = types.get(object_id)
            if own is not None and not conditions.evaluate(wanted, conditions.among(list(own))):
                has = f"has the types {', '.join(own)}" if own else "has no type"
                expected = f"of type {words(field['type'])}, but {object_id} {has}"
                raise keys.refusal(field["name"], where, expected)


def words(wanted: Any) -> str:
    """Return a `type` of a field as an error message says it."""
    if isinstance(wanted, str):
        return wanted
    operator, parts = next(iter(wanted.items()))
    joined = (" or " if operator == "$or" else " and ").join(words(part) for part in parts)
    return f"({joined})"
