"""How a secret value may look in text: as it is, and as the usual encodings write it."""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote, quote_plus

# What is shorter is in every other word.
CHARACTERS_MIN: Final = 4
BYTES_MAX: Final = 4096


def refusal(value: str) -> str | None:
    """Return why a value cannot be masked; None if it can."""
    if len(value) < CHARACTERS_MIN:
        return f"it has fewer than {CHARACTERS_MIN} characters"
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        return "it is no text in UTF-8"
    if size > BYTES_MAX:
        return f"it has more than {BYTES_MAX} bytes"
    return None


def of(value: str) -> set[bytes]:
    """Return the forms of a value; none has a line break, and none is shorter than four bytes.

    Plain, base64 at each of its three shifts (both alphabets), URL-encoded, JSON-escaped, quoted
    for a shell, hexadecimal and reversed. Of a value of several lines each line counts by itself,
    too. Empty if the value cannot be masked.
    """
    if refusal(value) is not None:
        return set()
    found = set(_of_whole(value))
    for line in value.splitlines():
        if len(line) >= CHARACTERS_MIN:
            found |= set(_of_whole(line))
    return {form for form in found if len(form) >= CHARACTERS_MIN and b"\n" not in form}


def _of_whole(value: str) -> Iterator[bytes]:
    data = value.encode("utf-8", "replace")
    yield data
    yield data[::-1]
    yield value[::-1].encode("utf-8", "replace")
    yield data.hex().encode()
    yield data.hex().upper().encode()
    for shift in range(3):
        core = _base64_core(data, shift)
        yield core
        yield core.translate(bytes.maketrans(b"+/", b"-_"))
    for text in {*_in_urls(data), *_in_json(value), shlex.quote(value).strip("'")}:
        yield text.encode("utf-8", "replace")


def _base64_core(data: bytes, shift: int) -> bytes:
    """Return the base64 characters that only the data makes, wherever in a text it stands."""
    encoded = base64.b64encode(b"\0" * shift + data)
    first = -(-8 * shift // 6)
    return encoded[first : 8 * (shift + len(data)) // 6]


def _in_urls(data: bytes) -> Iterator[str]:
    for text in (quote(data, safe=""), quote(data), quote_plus(data), quote(data, safe="!~*'()")):
        yield text
        yield _lower_escapes(text)


def _lower_escapes(text: str) -> str:
    first, *rest = text.split("%")
    return "".join([first, *(f"%{part[:2].lower()}{part[2:]}" for part in rest)])


def _in_json(value: str) -> Iterator[str]:
    for ascii_only in (True, False):
        once = json.dumps(value, ensure_ascii=ascii_only)[1:-1]
        yield once
        yield once.replace("/", "\\/")
        yield json.dumps(once, ensure_ascii=ascii_only)[1:-1]
