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

STATES_MAX: Final = 1000
REMEMBERED_MAX: Final = 10_000
ACCEPT: Final = -1

PatternError = grammar.PatternError
Edges = frozenset[int]
Around = tuple[bool, bool, bool]


class _State(msgspec.Struct):
    """A step of the machine: takes a character, checks the place, or is free."""

    targets: list[int]
    takes: grammar.Taken | None = None
    checks: str | None = None


class Expression:
    """A compiled expression; may be shared and used any number of times."""

    def __init__(self, tree: grammar.Node) -> None:
        self._states: list[_State] = []
        self._built = 0
        self._start = self._build(tree, ACCEPT)
        self._closed: dict[tuple[Edges, Around], tuple[Edges, bool]] = {}
        self._steps: dict[tuple[Edges, str], Edges] = {}

    def search(self, text: str) -> bool:
        """Say whether the expression is found anywhere in a text."""
        if len(self._closed) + len(self._steps) > REMEMBERED_MAX:
            self._closed.clear()
            self._steps.clear()
        reached: Edges = frozenset()
        for position in range(len(text) + 1):
            around = _around(text, position)
            waiting, is_found = self._close(reached | {self._start}, around)
            if is_found:
                return True
            if position < len(text):
                reached = self._step(waiting, text[position])
        return False

    def _close(self, reached: Edges, around: Around) -> tuple[Edges, bool]:
        """Follow free steps; return the states that wait for a character, and if it is found."""
        remembered = self._closed.get((reached, around))
        if remembered is not None:
            return remembered
        seen, waiting = set(reached), list(reached)
        while waiting:
            number = waiting.pop()
            if number == ACCEPT:
                continue
            state = self._states[number]
            if state.takes is None and (state.checks is None or _holds(state.checks, around)):
                waiting.extend(set(state.targets) - seen)
                seen.update(state.targets)
        takers = frozenset(
            number for number in seen if number != ACCEPT and self._states[number].takes is not None
        )
        self._closed[reached, around] = found = (takers, ACCEPT in seen)
        return found

    def _step(self, waiting: Edges, letter: str) -> Edges:
        remembered = self._steps.get((waiting, letter))
        if remembered is None:
            states = (self._states[number] for number in waiting)
            taken = (state.targets[0] for state in states if state.takes and state.takes(letter))
            self._steps[waiting, letter] = remembered = frozenset(taken)
        return remembered

    def _add(self, state: _State) -> int:
        self._states.append(state)
        return len(self._states) - 1

    def _build(self, node: grammar.Node, after: int) -> int:
        """Add the states of a node, which go on to `after`; return the first of them."""
        self._built += 1
        if self._built > STATES_MAX:
            raise PatternError(f"it is too large, with its repeats over {STATES_MAX} steps")
        if isinstance(node, grammar.Take):
            return self._add(_State([after], takes=node.takes))
        if isinstance(node, grammar.Check):
            return self._add(_State([after], checks=node.place))
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


def _around(text: str, position: int) -> Around:
    """Return whether a place is the start, the end (or before a last line feed), a word's edge."""
    before = position > 0 and grammar.is_word(text[position - 1])
    after = position < len(text) and grammar.is_word(text[position])
    is_end = position == len(text) or (position == len(text) - 1 and text[position] == "\n")
    return position == 0, is_end, before != after


def _holds(place: str, around: Around) -> bool:
    is_start, is_end, is_edge = around
    return {"start": is_start, "end": is_end, "edge": is_edge, "inside": not is_edge}[place]


@lru_cache(maxsize=64)
def compile_expression(text: str, *, ignore_case: bool = False) -> Expression:
    """Return the expression that a text means; raises PatternError that says where it is wrong."""
    return Expression(grammar.parse(text, ignore_case=ignore_case))
