"""Read the keys of an input object; what is wrong is said in the API's words (contract A.7).

`where` names the object that is read: `input` for the body of a call, else its path in the body
(`inputSpec[0]`, `runSpec`). A key that is null counts as absent.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from plasmid.domain import errors

DEPTH_MAX: Final = 200
NONEMPTY: Final = "an array of nonempty strings"


def refusal(key: str, where: str, expected: str) -> errors.InvalidInput:
    """Return the error that says that a key is not what was expected."""
    return errors.InvalidInput(f'Expected key "{key}" of {where} to be {expected}')


def hash_itself(value: object, where: str = "input") -> dict[str, Any]:
    """Return a value that has to be a JSON object."""
    if isinstance(value, dict):
        return value
    raise errors.InvalidInput(f"{where} is not a hash")


def require(body: dict[str, Any], key: str, where: str = "input") -> Any:
    """Return the value of a key that has to be there."""
    if body.get(key) is None:
        raise errors.InvalidInput(f'Expected {where} to have property "{key}"')
    return body[key]


def string(body: dict[str, Any], key: str, where: str = "input") -> str | None:
    """Return a key's string, or None if it is absent."""
    value = body.get(key)
    if value is None or isinstance(value, str):
        return value
    raise refusal(key, where, "a string")


def required_string(body: dict[str, Any], key: str, where: str = "input") -> str:
    """Return a key's string, which may be empty but must be there."""
    require(body, key, where)
    return string(body, key, where) or ""


def boolean(body: dict[str, Any], key: str, where: str = "input", *, default: bool = False) -> bool:
    """Return a key's boolean."""
    value = body.get(key)
    if value is None:
        return default
    if isinstance(value, bool):
        return value
    raise refusal(key, where, "a boolean")


def maybe_boolean(body: dict[str, Any], key: str, where: str = "input") -> bool | None:
    """Return a key's boolean, or None if it is absent."""
    return None if body.get(key) is None else boolean(body, key, where)


def is_integer(value: object) -> bool:
    """Say whether a JSON value is an integer; 32.0 is one, true is not."""
    if isinstance(value, float):
        return value.is_integer()
    return isinstance(value, int) and not isinstance(value, bool)


def integer(
    body: dict[str, Any],
    key: str,
    where: str = "input",
    *,
    minimum: int | None = None,
    maximum: int | None = None,
) -> int | None:
    """Return a key's integer within its range (ends included), or None if it is absent."""
    value = body.get(key)
    if value is None:
        return None
    if not is_integer(value):
        raise refusal(key, where, "an integer")
    too_small = minimum is not None and value < minimum
    too_large = maximum is not None and value > maximum
    if too_small and maximum is None:
        raise refusal(key, where, f"at least {minimum}")
    if too_large and minimum is None:
        raise refusal(key, where, f"at most {maximum}")
    if too_small or too_large:
        raise refusal(key, where, f"in range [{minimum}, {maximum}]")
    return int(value)


def positive(body: dict[str, Any], key: str, where: str = "input") -> float | None:
    """Return a key's number, which is more than 0, or None if it is absent."""
    value = body.get(key)
    if value is None:
        return None
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0:
        return value
    raise refusal(key, where, "a number greater than 0")


def array(body: dict[str, Any], key: str, where: str = "input") -> list[Any] | None:
    """Return a key's array, or None if it is absent."""
    value = body.get(key)
    if value is None or isinstance(value, list):
        return value
    raise refusal(key, where, "an array")


def strings(body: dict[str, Any], key: str, where: str = "input") -> list[str] | None:
    """Return a key's array of nonempty strings, or None if it is absent."""
    value = body.get(key)
    if value is None:
        return None
    if isinstance(value, list) and all(isinstance(item, str) and item for item in value):
        return value
    raise refusal(key, where, NONEMPTY)


def hashes(body: dict[str, Any], key: str, where: str = "input") -> list[dict[str, Any]]:
    """Return a key's array of JSON objects, empty if it is absent."""
    value = body.get(key)
    if value is None:
        return []
    if isinstance(value, list) and all(isinstance(item, dict) for item in value):
        return value
    raise refusal(key, where, "an array of hashes")


def hash_of(body: dict[str, Any], key: str, where: str = "input") -> dict[str, Any] | None:
    """Return a key's JSON object, or None if it is absent."""
    value = body.get(key)
    if value is None or isinstance(value, dict):
        return value
    raise refusal(key, where, "a hash")


def one_of(
    body: dict[str, Any], key: str, choices: Iterable[str], where: str = "input"
) -> str | None:
    """Return a key's string, which is one of the choices, or None if it is absent."""
    value = string(body, key, where)
    if value is None or value in (known := list(choices)):
        return value
    raise refusal(key, where, listed(known))


def listed(choices: Iterable[object]) -> str:
    """Return choices as an error message names them."""
    return "one of " + ", ".join(json.dumps(choice, ensure_ascii=False) for choice in choices)


def check_depth(value: object, where: str = "input") -> None:
    """Refuse JSON that is nested so deep that walking it could exhaust the stack."""
    level = [value]
    for _ in range(DEPTH_MAX):
        level = [
            inner
            for outer in level
            if isinstance(outer, (dict, list))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return
    raise errors.InvalidInput(f"{where} is nested deeper than {DEPTH_MAX} levels")
