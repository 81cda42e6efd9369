"""The grammar of `regexps`: from the text of an expression to its tree."""

from __future__ import annotations

import string
from collections.abc import Callable
from typing import Final, NoReturn, TypeAlias

import msgspec

DEPTH_MAX: Final = 50
REPEATS_MAX: Final = 1000

Taken = Callable[[str], bool]


class PatternError(ValueError):
    """The text is not an expression, or not one that is offered."""


class Take(msgspec.Struct, frozen=True):
    """One character of some kind."""

    takes: Taken


class Check(msgspec.Struct, frozen=True):
    """A place in the text.

    `start`; `end`, which is also before a last line feed; the `very end`; the `edge` of a word;
    `inside`, which is no edge.
    """

    place: str


class Sequence(msgspec.Struct, frozen=True):
    """Parts one after the other."""

    parts: tuple[Node, ...]


class Choice(msgspec.Struct, frozen=True):
    """One of some options."""

    options: tuple[Node, ...]


class Repeat(msgspec.Struct, frozen=True):
    """A part, at least and at most so many times; None is without limit."""

    part: Node
    least: int
    most: int | None


Node: TypeAlias = Take | Check | Sequence | Choice | Repeat


def is_word(letter: str) -> bool:
    """Say whether a character is a letter, a digit or the underscore."""
    return letter.isalnum() or letter == "_"


_KINDS: Final[dict[str, Taken]] = {
    "d": str.isdecimal,
    "w": is_word,
    "s": str.isspace,
    "D": lambda letter: not letter.isdecimal(),
    "W": lambda letter: not is_word(letter),
    "S": lambda letter: not letter.isspace(),
}
_PLACES: Final = {"A": "start", "Z": "end", "z": "very end", "b": "edge", "B": "inside"}
_CONTROLS: Final = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v", "a": "\a", "e": "\x1b"}
_HEX_DIGITS: Final = {"x": 2, "u": 4}


def parse(text: str, *, ignore_case: bool = False) -> Node:
    """Return the tree of an expression; raises PatternError that says what is wrong and where."""
    if text.startswith("(?i)"):
        return _Parser(text, 4, ignore_case=True).whole()
    return _Parser(text, 0, ignore_case=ignore_case).whole()


class _Parser:
    """Reads an expression from left to right."""

    def __init__(self, text: str, at: int, *, ignore_case: bool) -> None:
        self._text = text
        self._at = at
        self._ignore_case = ignore_case
        self._depth = 0

    def whole(self) -> Node:
        node = self._choice()
        if self._at < len(self._text):
            self._wrong("a parenthesis is closed that was not opened")
        return node

    def _wrong(self, what: str) -> NoReturn:
        raise PatternError(f"{what} (at character {self._at + 1})")

    def _next(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self) -> str:
        letter = self._next()
        self._at += 1
        return letter

    def _accept(self, expected: str) -> bool:
        if not self._text.startswith(expected, self._at):
            return False
        self._at += len(expected)
        return True

    def _choice(self) -> Node:
        options = [self._sequence()]
        while self._accept("|"):
            options.append(self._sequence())
        return options[0] if len(options) == 1 else Choice(tuple(options))

    def _sequence(self) -> Node:
        parts: list[Node] = []
        while self._next() not in ("", "|", ")"):
            part = self._atom()
            parts.append(self._repeated(part))
        return parts[0] if len(parts) == 1 else Sequence(tuple(parts))

    def _repeated(self, part: Node) -> Node:
        while (bounds := self._bounds()) is not None:
            part = Repeat(part, *bounds)
            if not self._accept("?") and self._next() == "+":
                self._wrong("possessive repeats are not offered")
            if self._next() in ("*", "+", "?"):
                self._wrong("there is nothing to repeat")
        return part

    def _bounds(self) -> tuple[int, int | None] | None:
        for sign, bounds in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self._accept(sign):
                return bounds
        end = self._text.find("}", self._at)
        least, comma, most = self._text[self._at + 1 : end].partition(",")
        is_count = self._next() == "{" and end > 0 and _is_number(least)
        if not is_count or (most and not _is_number(most)):
            return None
        self._at = end + 1
        return self._counted(least, most or (None if comma else least))

    def _counted(self, least: str, most: str | None) -> tuple[int, int | None]:
        low, high = int(least), None if most is None else int(most)
        if max(low, high or 0) > REPEATS_MAX:
            self._wrong(f"a repeat may count to {REPEATS_MAX} at most")
        if high is not None and high < low:
            self._wrong("a repeat has its bounds in the wrong order")
        return low, high

    def _atom(self) -> Node:
        letter = self._take()
        if letter == "(":
            return self._group()
        if letter == "[":
            return Take(self._folded(self._set()))
        if letter == "\\":
            return self._escape()
        if letter == ".":
            return Take(lambda letter: letter != "\n")
        if letter in "^$":
            return Check("start" if letter == "^" else "end")
        if letter in "*+?":
            self._at -= 1
            self._wrong("there is nothing to repeat")
        return self._literal(letter)

    def _literal(self, letter: str) -> Node:
        return Take(self._folded(letter.__eq__))

    def _folded(self, takes: Taken) -> Taken:
        """Return the kind that also takes the other case of its letters, if case is ignored."""
        if not self._ignore_case:
            return takes
        return lambda letter: takes(letter) or takes(letter.lower()) or takes(letter.upper())

    def _group(self) -> Node:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            self._wrong(f"groups may be nested {DEPTH_MAX} deep at most")
        if self._accept("?") and not self._accept(":"):
            self._group_name()
        node = self._choice()
        if not self._accept(")"):
            self._wrong("a parenthesis is not closed")
        self._depth -= 1
        return node

    def _group_name(self) -> None:
        """Pass over `P<name>` or `<name>`; nothing asks for groups by name."""
        self._accept("P")
        end = self._text.find(">", self._at)
        if not self._accept("<") or not self._text[self._at : end].isidentifier():
            self._wrong("look-around and inline flags are not offered")
        self._at = end + 1

    def _escape(self) -> Node:
        letter = self._next()
        if letter in _PLACES:
            self._at += 1
            return Check(_PLACES[letter])
        if letter in _KINDS:
            self._at += 1
            return Take(_KINDS[letter])
        if letter.isdecimal() and letter != "0":
            self._wrong("back-references are not offered")
        return self._literal(self._escaped_letter())

    def _escaped_letter(self) -> str:
        letter = self._take()
        if letter in _CONTROLS:
            return _CONTROLS[letter]
        if letter in _HEX_DIGITS:
            return self._hexadecimal(_HEX_DIGITS[letter])
        if letter == "0":
            return "\0"
        if not letter or letter.isalnum():
            self._wrong(f"\\{letter} has no meaning")
        return letter

    def _hexadecimal(self, length: int) -> str:
        digits = self._text[self._at : self._at + length]
        if len(digits) < length or not set(digits) <= set(string.hexdigits):
            self._wrong(f"{length} hexadecimal digits are needed")
        self._at += length
        return chr(int(digits, 16))

    def _set(self) -> Taken:
        """Read the rest of `[...]`."""
        is_opposite = self._accept("^")
        kinds: list[Taken] = []
        while not kinds or self._next() != "]":
            if not self._next():
                self._wrong("a bracket is not closed")
            kinds.append(self._member())
        self._at += 1
        if is_opposite:
            return self._opposite(kinds)
        return lambda letter: any(takes(letter) for takes in kinds)

    def _opposite(self, kinds: list[Taken]) -> Taken:
        # With case ignored, [^a] takes neither "a" nor "A".
        folded = [self._folded(takes) for takes in kinds]
        return lambda letter: not any(takes(letter) for takes in folded)

    def _member(self) -> Taken:
        if self._text.startswith(("[:", "[.", "[="), self._at):
            self._wrong("POSIX classes are not offered")
        if self._next() == "\\" and self._text[self._at + 1 : self._at + 2] in _KINDS:
            self._at += 2
            return _KINDS[self._text[self._at - 1]]
        low = self._set_letter()
        if self._next() != "-" or self._text[self._at + 1 : self._at + 2] in ("", "]"):
            return low.__eq__
        self._at += 1
        high = self._set_letter()
        if high < low:
            self._wrong("a range has its ends in the wrong order")
        return lambda letter: low <= letter <= high

    def _set_letter(self) -> str:
        if not self._accept("\\"):
            return self._take()
        return "\b" if self._accept("b") else self._escaped_letter()


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()
