"""Compare what a server answers with what a case expects.

    200                          answered, whatever it is
    200 {id: $record}            with at least these keys; {} inside are compared whole
    200 == {id: $record}         with these and no others
    200 names a b c              results[].describe.name are these, in any order
    200 in order a b c           the same, in this order
    206 body ell                 the body is this text
    200 header allow: POST       a header is this
    422 InvalidState             refused with this type
    422 InvalidState ~ not open  and these words in the message, whatever their case
    422 InvalidState = It is.    and exactly this message

In values, `<int>`, `<number>`, `<str>`, `<bool>`, `<list>`, `<map>` and `<any>` are any of that
kind, `<absent>` is no such key, `<file id>` an id of that class, `<len 3>` a list or text of that
length, `<has x>` one that has it, `<not x>` anything else, `<~ REGEX>` a text that matches,
`<keys a b>` a map with exactly these keys, `<with {...}>` a map with at least these.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import yaml  # type: ignore[import-untyped]

_ID = "[0-9A-Za-z]{24}"
_KINDS: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "number": (int, float),
    "str": (str,),
    "bool": (bool,),
    "list": (list,),
    "map": (dict,),
}


def flow(text: str) -> Any:
    """Return a value in YAML's flow style."""
    return yaml.load(text, yaml.CSafeLoader)  # a safe loader


def differs(expected: Any, found: Any, path: str = "answer") -> str | None:
    """Return how a value differs from the expected one, or None."""
    if isinstance(expected, str) and expected.startswith("<") and expected.endswith(">"):
        return None if _is(expected[1:-1], found) else f"{path}: {found!r} is not {expected}"
    if isinstance(expected, dict) and isinstance(found, dict):
        return contains(expected, found, path, is_whole=True)
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        pairs = enumerate(zip(expected, found, strict=True))
        found_out = (differs(one, other, f"{path}[{index}]") for index, (one, other) in pairs)
        return next((text for text in found_out if text), None)
    if isinstance(expected, bool) is isinstance(found, bool) and expected == found:
        return None
    return f"{path}: {found!r} is not {expected!r}"


def contains(
    expected: dict[str, Any], found: dict[str, Any], path: str = "answer", *, is_whole: bool = False
) -> str | None:
    """Return which key is not as expected, or None; keys that nobody asked for are let pass."""
    for key, value in expected.items():
        if value == "<absent>":
            if key in found:
                return f"{path}: {key} is there: {found[key]!r}"
        elif key not in found:
            return f"{path}: no {key} in {sorted(found)}"
        elif text := differs(value, found[key], f"{path}.{key}"):
            return text
    more = sorted(set(found) - set(expected)) if is_whole else []
    return f"{path}: has {more} as well" if more else None


def _is(what: str, found: Any) -> bool:
    kind, _, rest = what.partition(" ")
    if what in _KINDS:
        return isinstance(found, _KINDS[what]) and isinstance(found, bool) == (what == "bool")
    if kind in _CHECKS:
        return _CHECKS[kind](rest, found)
    if rest == "id":
        return isinstance(found, str) and re.fullmatch(f"{kind}-{_ID}", found) is not None
    raise ValueError(f"<{what}> is no expectation")


def _has(rest: str, found: Any) -> bool:
    return isinstance(found, (list, dict, str)) and flow(rest) in found


def _matches(rest: str, found: Any) -> bool:
    return isinstance(found, str) and re.search(rest, found) is not None


def _has_keys(rest: str, found: Any) -> bool:
    return isinstance(found, dict) and sorted(found) == sorted(rest.split())


def _is_with(rest: str, found: Any) -> bool:
    return isinstance(found, dict) and contains(flow(rest), found) is None


_CHECKS: dict[str, Callable[[str, Any], bool]] = {
    "any": lambda rest, found: True,  # noqa: ARG005
    "len": lambda rest, found: isinstance(found, (list, dict, str)) and len(found) == int(rest),
    "not": lambda rest, found: bool(found != flow(rest)),
    "has": _has,
    "~": _matches,
    "keys": _has_keys,
    "with": _is_with,
}
