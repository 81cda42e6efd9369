"""Conditions on tags, types and properties as SQL: they are kept as JSON text.

JSON text holds a string, quotes included, only where it is an element (or a key, with its colon):
quotes within a string are escaped. So the text is looked for as it would have been written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from plasmid.domain import conditions
from plasmid.domain.conditions import Condition, Either, Every, Property, Term, Word

# With more than these a statement becomes too large; the caller looks at the results itself.
TERMS_MAX: Final = 50

_Clause = sa.ColumnElement[bool]


def words(column: sa.ColumnElement[Any], condition: Condition | None) -> list[_Clause]:
    """Return what a condition on tags or types asks of a column of them."""

    def clause(term: Term) -> _Clause:
        return _holds(column, _json(term.text if isinstance(term, Word) else ""))

    return _clauses(condition, clause)


def properties(column: sa.ColumnElement[Any], condition: Condition | None) -> list[_Clause]:
    """Return what a condition on properties asks of a column of them."""

    def clause(term: Term) -> _Clause:
        if not isinstance(term, Property):
            return sa.false()
        key = _json(term.key) + ":"
        if isinstance(term.value, bool):
            found = _holds(column, key)
            return found if term.value else sa.not_(found)
        return _holds(column, key + _json(term.value))

    return _clauses(condition, clause)


def fails_without(condition: Condition | None) -> bool:
    """Say whether a condition fails for what has no tags, or no properties, at all."""
    return condition is not None and not conditions.evaluate(condition, _of_nothing)


def _of_nothing(term: Term) -> bool:
    return isinstance(term, Property) and term.value is False


def _clauses(condition: Condition | None, of_term: Callable[[Term], _Clause]) -> list[_Clause]:
    if condition is None or sum(1 for _ in conditions.terms(condition)) > TERMS_MAX:
        return []
    return [_clause(condition, of_term)]


def _clause(condition: Condition, of_term: Callable[[Term], _Clause]) -> _Clause:
    if isinstance(condition, Every):
        return sa.and_(sa.true(), *(_clause(part, of_term) for part in condition.parts))
    if isinstance(condition, Either):
        return sa.or_(sa.false(), *(_clause(part, of_term) for part in condition.parts))
    return of_term(condition)


def _holds(column: sa.ColumnElement[Any], text: str) -> _Clause:
    return sa.func.instr(column, text) > 0


def _json(text: str) -> str:
    return msgspec.json.encode(text).decode()
