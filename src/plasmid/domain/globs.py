"""Patterns for names: exact, glob and regular expression (contract B.2).

A glob knows `*` (any text), `?` (one character) and a backslash that takes the next character as
it is; it has no brackets. Both kinds of pattern are matched in time linear in the name
(`regexps`, decision 0021), so no pattern that a caller sends can hang the server.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, Literal

import msgspec

from plasmid.domain import errors, keys, regexps

LENGTH_MAX: Final = 1000
ANY_TEXT: Final = object()
ANY_CHARACTER: Final = object()

_LAST: Final = 0x10FFFF
_FIRST_OF_PAIRS: Final = 0xD800
_AFTER_PAIRS: Final = 0xE000
_SPECIAL_IN_LIKE: Final = "%_\\"


class NamePattern(msgspec.Struct, frozen=True):
    """What a name has to be like."""

    mode: Literal["exact", "glob", "regexp"]
    text: str
    ignore_case: bool = False


def read(value: object, key: str = "name", where: str = "input") -> NamePattern | None:
    """Read `name` of a find: a string, `{"glob": s}` or `{"regexp": s, "flags": "i"}`."""
    if value is None:
        return None
    if isinstance(value, str):
        return NamePattern("exact", value)
    if not isinstance(value, dict) or len(value.keys() & {"glob", "regexp"}) != 1:
        raise keys.refusal(key, where, 'a string, {"glob": ...} or {"regexp": ...}')
    read_kind = _read_regexp if "regexp" in value else _read_glob
    pattern = read_kind(value, f"{where}.{key}")
    if len(pattern.text) > LENGTH_MAX:
        raise keys.refusal(key, where, f"a pattern of at most {LENGTH_MAX} characters")
    return pattern


def _read_glob(value: dict[str, Any], where: str) -> NamePattern:
    return NamePattern("glob", keys.required_string(value, "glob", where))


def _read_regexp(value: dict[str, Any], where: str) -> NamePattern:
    text = keys.required_string(value, "regexp", where)
    flags = keys.string(value, "flags", where) or ""
    if flags not in ("", "i"):
        raise keys.refusal("flags", where, '"i" or absent')
    if len(text) <= LENGTH_MAX:
        _compiled(text, ignore_case=flags == "i", where=where)
    return NamePattern("regexp", text, flags == "i")


def _compiled(text: str, *, ignore_case: bool, where: str = "name") -> regexps.Expression:
    try:
        return regexps.compile_expression(text, ignore_case=ignore_case)
    except regexps.PatternError as error:
        message = f'Expected key "regexp" of {where} to be a regular expression: {error}'
        raise errors.InvalidInput(message) from error


def matcher(pattern: NamePattern) -> Callable[[str], bool]:
    """Return the function that says whether a name is like the pattern."""
    if pattern.mode == "exact":
        return pattern.text.__eq__
    if pattern.mode == "regexp":
        return _compiled(pattern.text, ignore_case=pattern.ignore_case).search
    return _compiled(_expression(pattern.text), ignore_case=False).search


def _expression(glob: str) -> str:
    """Return the regular expression that finds just the names that a glob matches."""
    pieces = {ANY_TEXT: ".*", ANY_CHARACTER: "."}
    parts = (pieces.get(token) or re.escape(token) for token in _tokens(glob))
    return rf"(?s)\A{''.join(parts)}\z"


def _tokens(glob: str) -> list[Any]:
    """Return a glob as characters and the two wildcards; `**` is one `*`."""
    tokens: list[Any] = []
    letters = iter(glob)
    for letter in letters:
        if letter == "\\":
            tokens.append(next(letters, "\\"))
        elif letter == "?":
            tokens.append(ANY_CHARACTER)
        elif letter != "*":
            tokens.append(letter)
        elif not tokens or tokens[-1] is not ANY_TEXT:
            tokens.append(ANY_TEXT)
    return tokens


def like(glob: str) -> str:
    """Return the glob as an operand of LIKE with a backslash as ESCAPE: exact in PostgreSQL.

    In SQLite, whose LIKE ignores the case of ASCII letters, it finds at least what the glob does.
    """
    pieces = {ANY_TEXT: "%", ANY_CHARACTER: "_"}
    return "".join(
        pieces.get(token) or (f"\\{token}" if token in _SPECIAL_IN_LIKE else token)
        for token in _tokens(glob)
    )


def literal(glob: str) -> str | None:
    """Return the one name that a glob without wildcards means, or None if it has any.

    The client sends literal paths as escaped globs; with this they can use an index.
    """
    tokens = _tokens(glob)
    is_plain = all(isinstance(token, str) for token in tokens)
    return "".join(tokens) if is_plain else None


def prefix_range(glob: str) -> tuple[str, str | None]:
    """Return (low, high): low <= name < high for every name that the glob matches.

    The order is that of code points; without a literal start low is empty, and high None where
    there is none.
    """
    start = ""
    for token in _tokens(glob):
        if not isinstance(token, str):
            break
        start += token
    above = start
    while above and ord(above[-1]) >= _LAST:
        above = above[:-1]
    if not above:
        return start, None
    following = ord(above[-1]) + 1
    # half of a pair is no character
    return start, above[:-1] + chr(_AFTER_PAIRS if following == _FIRST_OF_PAIRS else following)
