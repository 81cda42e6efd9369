r"""Regular expressions whose matching takes time linear in the text, whatever the expression.

Python's own engine backtracks: `(a+)+$` from one caller would hang the server for everybody. This
one follows all paths at once (Thompson's construction) and remembers the steps it has taken. It
only says whether an expression is found in a text, so greedy and lazy are the same to it.

Known: literals, `.`, classes in brackets, `\d \w \s` and their opposites, `^ $ \A \Z \z \b \B`,
groups, `|`, `* + ? {m,n}`, `(?i)` in front. Refused, by name: back-references, look-around,
possessive repeats, POSIX classes. The grammar is `regexps_grammar`.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

import msgspec

from plasmid.domain import regexps_grammar as grammar

# Enough for every expression without repeats that `globs` lets in.
STATES_MAX: Final = 2000
REMEMBERED_MAX: Final = 10_000
ACCEPT: Final = -1

PatternError = grammar.PatternError
States = frozenset[int]

# What is true of a place in a text, as bits of one number.
_PLACES: Final = {"start": 1, "end": 2, "very end": 4, "edge": 8, "inside": 16}


class _State(msgspec.Struct):
    """A step of the machine: takes a character, checks the place, or is free."""

    targets: list[int]
    takes: grammar.Taken | None = None
    checks: int = 0


class Expression:
    """A compiled expression; may be shared and used any number of times."""

    def __init__(self, tree: grammar.Node) -> None:
        self._states: list[_State] = []
        self._built = 0
        self._start = self._build(tree, ACCEPT)
        self._checks = {state.checks for state in self._states} - {0}
        self._is_about_words = bool(self._checks & {_PLACES["edge"], _PLACES["inside"]})
        self._steps: dict[tuple[States, int, str], States | None] = {}

    def search(self, text: str) -> bool:
        """Say whether the expression is found anywhere in a text."""
        if len(self._steps) > REMEMBERED_MAX:
            self._steps.clear()
        reached: States = frozenset()
        steps, place = self._steps, 0
        # The empty letter stands for the end of the text.
        for position, letter in enumerate([*text, ""]):
            if self._checks:
                place = _end(text, position) | (
                    _edge(text, position) if self._is_about_words else 0
                )
            step = reached, place, letter
            after = steps[step] if step in steps else self._step(*step)
            if after is None:
                return True
            reached = after
        return False

    def _step(self, reached: States, place: int, letter: str) -> States | None:
        """Return the states after a letter, or None if the expression is found before it."""
        taken: set[int] = set()
        seen = {*reached, self._start}
        waiting = list(seen)
        while waiting and ACCEPT not in seen:
            state = self._states[waiting.pop()]
            if state.takes is not None:
                if letter and state.takes(letter):
                    taken.update(state.targets)
            elif not state.checks or state.checks & place:
                waiting.extend(set(state.targets) - seen)
                seen.update(state.targets)
        after = None if ACCEPT in seen else frozenset(taken)
        self._steps[reached, place, letter] = after
        return after

    def _add(self, state: _State) -> int:
        self._states.append(state)
        return len(self._states) - 1

    def _build(self, node: grammar.Node, after: int) -> int:
        """Add the states of a node, which go on to `after`; return the first of them."""
        self._built += 1
        if self._built > STATES_MAX:
            message = f"it is too large, with its repeats over {STATES_MAX} steps"
            raise PatternError(message)
        if isinstance(node, grammar.Take):
            return self._add(_State([after], takes=node.takes))
        if isinstance(node, grammar.Check):
            return self._add(_State([after], checks=_PLACES[node.place]))
        if isinstance(node, grammar.Choice):
            return self._add(_State([self._build(option, after) for option in node.options]))
        if isinstance(node, grammar.Repeat):
            return self._build_repeat(node, after)
        return self._build_all(node.parts, after)

    def _build_all(self, parts: Iterable[grammar.Node], after: int) -> int:
        for part in reversed(list(parts)):
            after = self._build(part, after)
        return after

    def _build_repeat(self, node: grammar.Repeat, after: int) -> int:
        if node.most is None:
            loop = self._add(_State([after]))
            self._states[loop].targets.append(self._build(node.part, loop))
            after = loop
        for _ in range((node.most or node.least) - node.least):
            after = self._add(_State([self._build(node.part, after), after]))
        return self._build_all([node.part] * node.least, after)


def _end(text: str, position: int) -> int:
    place = 0 if position else _PLACES["start"]
    if position == len(text):
        place |= _PLACES["end"] | _PLACES["very end"]
    elif position == len(text) - 1 and text[position] == "\n":
        place |= _PLACES["end"]
    return place


def _edge(text: str, position: int) -> int:
    before = position > 0 and grammar.is_word(text[position - 1])
    after = position < len(text) and grammar.is_word(text[position])
    return _PLACES["inside"] if before == after else _PLACES["edge"]


@lru_cache(maxsize=64)
def compile_expression(text: str, *, ignore_case: bool = False) -> Expression:
    """Return the expression that a text means; raises PatternError that says where it is wrong."""
    return Expression(grammar.parse(text, ignore_case=ignore_case))
