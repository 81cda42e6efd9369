"""Conditions on tags, types and properties: nested `$and` and `$or` over terms (contract B.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias

import msgspec

from plasmid.domain import errors, keys, properties

DEPTH_MAX: Final = 20
TERMS_MAX: Final = 1000


class Word(msgspec.Struct, frozen=True, tag="word"):
    """The object has this tag, or is of this type."""

    text: str


class Property(msgspec.Struct, frozen=True, tag="property"):
    """The object's property has this value; True: it has any; False: it is not there."""

    key: str
    value: str | bool


class Every(msgspec.Struct, frozen=True, tag="every"):
    """All parts hold; with no parts it holds."""

    parts: tuple[Condition, ...]


class Either(msgspec.Struct, frozen=True, tag="either"):
    """At least one part holds; with no parts it does not hold."""

    parts: tuple[Condition, ...]


Term: TypeAlias = Word | Property
Condition: TypeAlias = Word | Property | Every | Either

_OPERATORS: Final[dict[str, type[Every | Either]]] = {"$and": Every, "$or": Either}
_NESTED: Final = '{"$and": [...]} or {"$or": [...]}'


def evaluate(condition: Condition, predicate: Callable[[Term], bool]) -> bool:
    """Say whether a condition holds, where the predicate says it of each term."""
    if isinstance(condition, Every):
        return all(evaluate(part, predicate) for part in condition.parts)
    if isinstance(condition, Either):
        return any(evaluate(part, predicate) for part in condition.parts)
    return predicate(condition)


def terms(condition: Condition) -> Iterator[Term]:
    """Give all terms of a condition."""
    if isinstance(condition, (Every, Either)):
        for part in condition.parts:
            yield from terms(part)
    else:
        yield condition


def among(words: list[str]) -> Callable[[Term], bool]:
    """Return the predicate for the words (tags or types) that an object has."""
    return lambda term: isinstance(term, Word) and term.text in words


def within(present: dict[str, str]) -> Callable[[Term], bool]:
    """Return the predicate for the properties that an object has."""

    def holds(term: Term) -> bool:
        if not isinstance(term, Property):
            return False
        if isinstance(term.value, bool):
            return (term.key in present) is term.value
        return present.get(term.key) == term.value

    return holds


def both(first: Condition | None, second: Condition | None) -> Condition | None:
    """Return the condition that both hold; None holds always."""
    if first is None or second is None:
        return first or second
    return Every((first, second))


def read_words(value: object, key: str, where: str = "input") -> Condition | None:
    """Read a condition on tags or types: a string, or strings under `$and` and `$or`."""
    return None if value is None else _limited(_words(value, key, where, 0), key, where)


def _words(value: object, key: str, where: str, depth: int) -> Condition:
    if isinstance(value, str) and value:
        return Word(value)
    operator = _operator(value)
    if operator is None:
        raise keys.refusal(key, where, f"a nonempty string, {_NESTED}")
    _check_depth(depth, key, where)
    name, parts = operator
    return _OPERATORS[name](tuple(_words(part, key, where, depth + 1) for part in parts))


def read_properties(
    value: object, key: str = "properties", where: str = "input"
) -> Condition | None:
    """Read a condition on properties: `{key: value}` (all hold), nested in `$and` and `$or`.

    A value is a string, true (the key is there) or false (it is not).
    """
    return None if value is None else _limited(_properties(value, key, where, 0), key, where)


def _properties(value: object, key: str, where: str, depth: int) -> Condition:
    if not isinstance(value, dict):
        raise keys.refusal(key, where, f"a hash of properties, {_NESTED}")
    _check_depth(depth, key, where)
    operator = _operator(value)
    if operator is not None:
        name, parts = operator
        return _OPERATORS[name](tuple(_properties(part, key, where, depth + 1) for part in parts))
    properties.check_property_keys(value, key, where)
    for name, text in value.items():
        if not isinstance(text, (str, bool)):
            raise keys.refusal(name, f"{where}.{key}", "a string or a boolean")
    return Every(tuple(Property(name, text) for name, text in value.items()))


def _operator(value: object) -> tuple[str, list[Any]] | None:
    """Return the operator and its parts; a property may itself be called `$and`."""
    if not isinstance(value, dict) or len(value) != 1:
        return None
    name, parts = next(iter(value.items()))
    return (name, parts) if name in _OPERATORS and isinstance(parts, list) else None


def _check_depth(depth: int, key: str, where: str) -> None:
    if depth >= DEPTH_MAX:
        raise keys.refusal(key, where, f"nested at most {DEPTH_MAX} levels deep")


def _limited(condition: Condition, key: str, where: str) -> Condition:
    if sum(1 for _ in terms(condition)) > TERMS_MAX:
        message = f'Expected key "{key}" of {where} to hold at most {TERMS_MAX} conditions'
        raise errors.InvalidInput(message)
    return condition
