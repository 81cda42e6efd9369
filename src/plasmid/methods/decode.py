"""Turn a call's body into the method's input, with the texts of the API (contract A.7)."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import msgspec

from plasmid.domain import errors

_EXPECTED = re.compile(r"Expected `(?P<wanted>[^`]*)`(?:, got `(?P<got>[^`]*)`)?(?P<rest>[^`]*)")
_MISSING = re.compile(r"Object missing required field `(?P<name>[^`]*)`")
_PATH = re.compile(r" - at `(?P<path>[^`]*)`$")
_WORDS = {
    "str": "a string",
    "int": "an integer",
    "float": "a number",
    "bool": "a boolean",
    "array": "an array",
    "object": "a hash",
    "null": "null",
}


@cache
def _decoder(struct: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(struct)


def decode(body: bytes, struct: Any) -> Any:
    """Return the body as the method's input; raises MalformedJSON or InvalidInput."""
    try:
        return _decoder(struct).decode(body)
    except msgspec.ValidationError as error:
        raise errors.InvalidInput(_text(str(error))) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise errors.MalformedJSON(f"The request body is not valid JSON: {error}") from error
    except RecursionError as error:
        raise errors.MalformedJSON("The request body is nested too deep") from error


def convert(value: Any, struct: Any) -> Any:
    """Return a decoded JSON value as a Struct; raises InvalidInput."""
    try:
        return msgspec.convert(value, struct)
    except msgspec.ValidationError as error:
        raise errors.InvalidInput(_text(str(error))) from error


def _text(message: str) -> str:
    found = _PATH.search(message)
    path = found.group("path") if found else "$"
    message = _PATH.sub("", message)
    key = path[2:] if path.startswith("$.") else path[1:]
    missing = _MISSING.search(message)
    if missing:
        where = f'key "{key}" of input' if key else "input"
        return f'Expected {where} to have property "{missing.group("name")}"'
    expected = _EXPECTED.search(message)
    if not expected:
        return f'Expected key "{key}" of input to be valid: {message}'
    if not key:
        return "input is not a hash"
    wanted = " or ".join(
        _WORDS.get(word.strip(), word.strip()) for word in expected.group("wanted").split("|")
    )
    rest = expected.group("rest").rstrip()
    return f'Expected key "{key}" of input to be {wanted}{rest}'
