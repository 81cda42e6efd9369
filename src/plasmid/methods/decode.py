"""Turn a call's body into the method's input, with the texts of the API (contract A.7)."""

from __future__ import annotations

import asyncio
import re
from functools import cache
from typing import Any, Final

import msgspec

from plasmid.domain import errors

VALUES_MAX: Final = 250_000
OUT_OF_RANGE: Final = "A number of the input is out of range"

# So much is looked at in one go: between two slices others have their turn.
SLICE_BYTES: Final = 256 << 10

# What stands for a string may end with the slice, and neither ever goes back: linear in whatever
# comes.
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+(?P<end>")?|[,\[{]', re.DOTALL)
_REST = re.compile(rb'(?:[^"\\]++|\\.)*+(?P<end>")?', re.DOTALL)
_QUOTE: Final = ord('"')
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


async def require_few_values(body: bytes) -> None:
    """Raise InvalidInput for JSON of so many values that work on each would hold up all others."""
    if len(body) <= VALUES_MAX or await _marks(body) <= VALUES_MAX:
        return
    if await _has_too_many(body):
        raise errors.InvalidInput(
            f"The request body holds more than {VALUES_MAX} values; make several calls of it"
        )


async def _marks(body: bytes) -> int:
    """Count what stands before values, also where it stands in strings."""
    marks = 0
    for start in range(0, len(body), SLICE_BYTES):
        marks += sum(body.count(mark, start, start + SLICE_BYTES) for mark in (b",", b"[", b"{"))
        await asyncio.sleep(0)
    return marks


async def _has_too_many(body: bytes) -> bool:
    """Say whether there are too many values; each has a mark before it, and at most two strings."""
    marks = count = start = 0
    in_string = False
    while start < len(body):
        await asyncio.sleep(0)
        end = start + SLICE_BYTES
        if in_string:
            rest = _REST.match(body, start, end)
            if rest is None or rest.end() == start:
                return False  # half an escape is all that is left
            start, in_string = rest.end(), rest["end"] is None
            continue
        for token in _TOKEN.finditer(body, start, end):
            start = token.end()
            is_string = body[token.start()] == _QUOTE
            in_string = is_string and token["end"] is None
            marks += not is_string
            count += 1
            if marks > VALUES_MAX or count > 3 * VALUES_MAX:
                return True
            if in_string:
                break  # the slice ends in it
        start = start if in_string else end
    return False


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
    if message == "Number out of range":
        return OUT_OF_RANGE
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
