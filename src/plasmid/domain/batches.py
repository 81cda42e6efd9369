"""Batches: many inputs of one executable, made from names of files or given as columns (B.8)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from plasmid.domain import errors, keys, regexps

# What one call may ask for, so that no call holds the others up: each file is held against each
# expression, and what all rows have in common is in the answer as often as there are rows.
EXPRESSIONS_MAX: Final = 100
EXPRESSION_CHARACTERS_MAX: Final = 1000
ROWS_MAX: Final = 10_000
CELLS_MAX: Final = 2_000_000
ANSWER_BYTES_MAX: Final = 64 << 20


class Matches(msgspec.Struct):
    """The files that one input's expression finds for one batch; `name` is that of the first."""

    name: str
    ids: list[str]


class Batch(msgspec.Struct, frozen=True):
    """The inputs whose expressions find the same text in their first group."""

    pattern: str
    inputs: dict[str, Matches]


class Columns(msgspec.Struct, frozen=True):
    """Values by field, all of one length, and what every row has besides."""

    of_rows: dict[str, list[Any]]
    common: dict[str, Any]
    length: int

    def rows(self) -> list[dict[str, Any]]:
        """Return the input of each row; a row's own value goes before the common one."""
        return [
            self.common | {name: values[index] for name, values in self.of_rows.items()}
            for index in range(self.length)
        ]


def read_expressions(inputs: object) -> dict[str, regexps.Expression]:
    """Return the expression of each input; raises InvalidInput that names the input."""
    given = keys.hash_itself(inputs, "inputs")
    if not given:
        raise errors.InvalidInput('Expected key "inputs" of input to name an input')
    if len(given) > EXPRESSIONS_MAX:
        raise errors.InvalidInput(
            f'Expected key "inputs" of input to name at most {EXPRESSIONS_MAX} inputs'
        )
    found = {}
    for name in given:
        text = keys.required_string(given, name, "inputs")
        if len(text) > EXPRESSION_CHARACTERS_MAX:
            wanted = f"a regular expression of at most {EXPRESSION_CHARACTERS_MAX} characters"
            raise keys.refusal(name, "inputs", wanted)
        try:
            found[name] = regexps.compile_expression(text)
        except regexps.PatternError as error:
            raise keys.refusal(name, "inputs", f"a regular expression: {error}") from error
        if not found[name].has_group:
            raise keys.refusal(
                name, "inputs", "a regular expression with a group in parentheses, which names"
                f" the batch, got {text!r}"
            )  # fmt: skip
    return found


def grouped(
    files: Iterable[tuple[str, str]], expressions: Mapping[str, regexps.Expression]
) -> list[Batch]:
    """Return the batches of files (id, name), by pattern; those that cannot run come last.

    Among these the ones that lack an input come before the ones with several files for one.
    """
    found: dict[str, dict[str, Matches]] = {}
    for file_id, name in files:
        for input_name, expression in expressions.items():
            pattern = expression.first_group(name)
            if pattern is None:
                continue
            inputs = found.setdefault(pattern, {})
            inputs.setdefault(input_name, Matches(name, [])).ids.append(file_id)
    batches = [Batch(pattern, found[pattern]) for pattern in sorted(found)]
    return sorted(batches, key=lambda batch: _kind(batch, expressions))


def _kind(batch: Batch, wanted: Mapping[str, Any]) -> int:
    if any(len(matches.ids) > 1 for matches in batch.inputs.values()):
        return 2
    return 1 if set(batch.inputs) != set(wanted) else 0


def error_of(batch: Batch, wanted: Iterable[str]) -> str | None:
    """Return why a batch cannot run, or None."""
    missing = sorted(set(wanted) - set(batch.inputs))
    several = sorted(name for name, matches in batch.inputs.items() if len(matches.ids) > 1)
    said = []
    if missing:
        said.append(f"no file for {', '.join(missing)}")
    if several:
        said.append(f"several files for {', '.join(several)}")
    return "; ".join(said) or None


def read_columns(body: dict[str, Any]) -> Columns:
    """Read `batchInput` and `commonInput`; raises InvalidInput that names the field."""
    keys.check_depth(body)
    keys.require(body, "batchInput")
    columns = keys.hash_of(body, "batchInput") or {}
    common = keys.hash_of(body, "commonInput") or {}
    lengths: dict[str, int] = {}
    for name in columns:
        keys.require(columns, name, "batchInput")
        lengths[name] = len(keys.array(columns, name, "batchInput") or [])
    if not lengths:
        raise errors.InvalidInput('Expected key "batchInput" of input to have a field')
    _require_one_length(lengths)
    length = next(iter(lengths.values()))
    if length == 0:
        raise keys.refusal(next(iter(lengths)), "batchInput", "an array that is not empty")
    if length > ROWS_MAX:
        wanted = f"an array of at most {ROWS_MAX} values, one for each run; make several batches"
        raise keys.refusal(next(iter(lengths)), "batchInput", wanted)
    if length * len(msgspec.json.encode(common)) > ANSWER_BYTES_MAX:
        raise errors.InvalidInput(
            f'Expected key "commonInput" of input to be less than {ANSWER_BYTES_MAX} bytes for all'
            f" {length} rows together; make several batches"
        )
    return Columns(columns, common, length)


def require_few_cells(columns: Columns, fields: int) -> None:
    """Raise InvalidInput if more fields of inputs would have to be checked than one call may."""
    if fields and columns.length * fields > CELLS_MAX:
        raise errors.InvalidInput(
            f"Expected a batch of at most {CELLS_MAX // fields} rows of {fields} fields each, got"
            f" {columns.length}; make several batches"
        )


def _require_one_length(lengths: Mapping[str, int]) -> None:
    first, length = next(iter(lengths.items()))
    for name, other in lengths.items():
        if other != length:
            raise keys.refusal(
                name, "batchInput", f"an array of {length} values, as {first} has, got {other}"
            )


def require_length(values: Sequence[Any], columns: Columns, key: str) -> None:
    """Raise InvalidInput unless a list is empty or has an element for each row."""
    if values and len(values) != columns.length:
        raise keys.refusal(key, "input", f"empty or an array of {columns.length} values")
