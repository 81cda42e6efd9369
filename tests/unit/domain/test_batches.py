"""Batches as values: what files are joined, how columns become rows (contract B.8)."""

from __future__ import annotations

from typing import Any

import pytest

from plasmid.domain import batches, errors

PAIRS = {"pair1": "SRR1(.*)_1.gz", "pair2": "SRR2(.*)_2.gz"}
NAMES = ("SRR123_1.gz", "SRR1_1.gz", "SRR1_1.gz", "SRR2223_2.gz", "SRR223_2.gz", "notes.txt")


def grouped(inputs: dict[str, str], *names: str) -> list[tuple[str, dict[str, Any], str | None]]:
    files = [(f"file {number}", name) for number, name in enumerate(names)]
    expressions = batches.read_expressions(inputs)
    return [
        (
            batch.pattern,
            {name: matches.ids for name, matches in batch.inputs.items()},
            batches.error_of(batch, expressions),
        )
        for batch in batches.grouped(files, expressions)
    ]


def test_what_cannot_run_comes_last_and_what_is_ambiguous_at_the_very_end() -> None:
    assert grouped(PAIRS, *NAMES) == [
        ("23", {"pair1": ["file 0"], "pair2": ["file 4"]}, None),
        ("223", {"pair2": ["file 3"]}, "no file for pair1"),
        ("", {"pair1": ["file 1", "file 2"]}, "no file for pair2; several files for pair1"),
    ]


def test_only_the_first_group_names_a_batch() -> None:
    found = grouped({"reads": "RP(.*)_R1_(.*).fastq.gz"}, "RP10B_S1_R1_001.fastq.gz")
    assert found == [("10B_S1", {"reads": ["file 0"]}, None)]


def test_a_group_that_takes_no_part_names_the_empty_batch() -> None:
    assert grouped({"reads": "a(b)?c"}, "ac") == [("", {"reads": ["file 0"]}, None)]


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ([], "inputs is not a hash"),
        ({}, 'Expected key "inputs" of input to name an input'),
        ({"pair1": 5}, 'Expected key "pair1" of inputs to be a string'),
        ({"pair1": "a(b"}, 'Expected key "pair1" of inputs to be a regular expression: missing'),
        ({"pair1": r"(a)\1"}, 'Expected key "pair1" of inputs to be a regular expression: inval'),
        ({"pair1": "a.*"}, 'Expected key "pair1" of inputs to be a regular expression with a gr'),
    ],
)
def test_what_is_no_expression_of_a_batch_is_refused(inputs: Any, said: str) -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        batches.read_expressions(inputs)
    assert caught.value.message.startswith(said)


def test_an_explosive_expression_is_harmless() -> None:
    assert grouped({"reads": "((a+)+)+$"}, "a" * 5000 + "b") == []


def test_columns_become_rows_whose_values_go_before_the_common_ones() -> None:
    columns = batches.read_columns(
        {"batchInput": {"n": [1, None], "s": ["a", "b"]}, "commonInput": {"s": "x", "t": True}}
    )
    assert columns.rows() == [{"s": "a", "t": True, "n": 1}, {"s": "b", "t": True, "n": None}]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, 'Expected input to have property "batchInput"'),
        ({"batchInput": []}, 'Expected key "batchInput" of input to be a hash'),
        ({"batchInput": {}}, 'Expected key "batchInput" of input to have a field'),
        ({"batchInput": {"n": 1}}, 'Expected key "n" of batchInput to be an array'),
        ({"batchInput": {"n": None}}, 'Expected batchInput to have property "n"'),
        ({"batchInput": {"n": []}}, 'Expected key "n" of batchInput to be an array that is not em'),
        (
            {"batchInput": {"n": [1, 2], "s": ["a"]}},
            'Expected key "s" of batchInput to be an array of 2 values, as n has, got 1',
        ),
        (
            {"batchInput": {"n": [1]}, "commonInput": []},
            'Expected key "commonInput" of input to be a hash',
        ),
    ],
)
def test_columns_that_are_none_are_refused(body: Any, said: str) -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        batches.read_columns(body)
    assert caught.value.message.startswith(said)
