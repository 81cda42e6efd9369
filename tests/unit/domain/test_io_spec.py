"""Specifications of inputs and outputs, and values checked against them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plasmid.domain import errors, failures, io_spec, keys

FILE = {"$dnanexus_link": "file-" + "B" * 24}
FILE_TOO = {"$dnanexus_link": {"project": "project-" + "P" * 24, "id": "file-" + "B" * 24}}
OTHER_FILE = {"$dnanexus_link": "file-" + "F" * 24}
RECORD = {"$dnanexus_link": "record-" + "B" * 24}
REFERENCE = {"$dnanexus_link": {"job": "job-" + "J" * 24, "field": "out"}}
LEGACY = {"job": "job-" + "J" * 24, "field": "out"}
FROM_METADATA = {"$dnanexus_link": {"input": "reads", "metadata": "name"}}

Spec = list[dict[str, Any]]


def field(class_name: str, **more: Any) -> dict[str, Any]:
    return {"name": "x", "class": class_name, **more}


@pytest.mark.parametrize(
    "one",
    [
        field("int", default=3, choices=[1, 2, 3]),
        field("float", default=1, choices=[1, 2.5]),
        field("string", default="", help="h", label="l", group="g"),
        field("boolean", default=False, optional=True),
        field("hash", default={"a": [1]}),
        field("file", default=FILE, patterns=["*.bam"], suggestions=[FILE, {"name": "n"}]),
        field("file", patterns={"name": ["*.bam"], "class": "file", "tag": ["t"]}),
        field("file", choices=[FILE, {"name": "n", "value": OTHER_FILE}], default=FILE_TOO),
        field("file", choices=[{"name": "n", "project": "project-x", "path": "/a"}]),
        field("record", type={"$or": ["A", {"$and": ["B", "C"]}]}),
        field("applet"),
        field("workflow"),
        field("database"),
        field("array:file", default=[FILE, OTHER_FILE]),
        field("array:string", choices=["a", "b"], default=["b"]),
        field("array:int", default=[]),
        field("string", choices=[{"name": "first", "value": "a"}, "b"], default="a"),
        field("string", default=FROM_METADATA),
        field("string", default=None, optional=None),
        field("string", helP="a typo is not ours to refuse"),
    ],
)
def test_a_right_field_is_accepted(one: dict[str, Any]) -> None:
    assert io_spec.check_spec([one], where="inputSpec") == [one]


def test_an_absent_spec_is_right() -> None:
    assert io_spec.check_spec(None, where="inputSpec") is None
    assert io_spec.check_spec([], where="inputSpec") == []


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({}, 'Expected key "inputSpec" of input to be an array of hashes'),
        (["x"], "inputSpec[0] is not a hash"),
        ([{"class": "int"}], 'Expected inputSpec[0] to have property "name"'),
        ([{"name": "x"}], 'Expected inputSpec[0] to have property "class"'),
        (
            [{"name": "34", "class": "int"}],
            (
                'Expected key "name" of inputSpec[0] to be a string that matches '
                "^[a-zA-Z_][0-9a-zA-Z_]*$, got '34'"
            ),
        ),
        ([{"name": "a-b", "class": "int"}], 'key "name" of inputSpec[0]'),
        ([{"name": "ü", "class": "int"}], 'key "name" of inputSpec[0]'),
        ([{"name": "x\n", "class": "int"}], 'key "name" of inputSpec[0]'),
        ([{"name": 3, "class": "int"}], 'key "name" of inputSpec[0]'),
        (
            [field("int"), {"name": "y", "class": "int"}, field("string")],
            'key "name" of inputSpec[2] to be unique, but inputSpec[0] is also called "x"',
        ),
        ([field("array:file(s)")], 'key "class" of inputSpec[0] to be one of "int"'),
        ([field("gtable")], 'key "class" of inputSpec[0]'),
        ([field("array:hash")], 'key "class" of inputSpec[0]'),
        ([field("int", optional="yes")], 'key "optional" of inputSpec[0] to be a boolean'),
        ([field("int", help=3)], 'key "help" of inputSpec[0] to be a string'),
        ([field("int", suggestions={})], 'key "suggestions" of inputSpec[0] to be an array'),
        ([field("file", patterns="*.x")], 'key "patterns" of inputSpec[0]'),
        ([field("file", patterns={"name": "*"})], 'key "name" of inputSpec[0].patterns'),
        ([field("record", type={"$not": []})], 'key "type" of inputSpec[0]'),
        ([field("int", default="3")], 'key "default" of inputSpec[0] to be an integer'),
        ([field("int", default=True)], 'key "default" of inputSpec[0] to be an integer'),
        ([field("file", default="x.txt")], 'key "default" of inputSpec[0] to be a link to a file'),
        ([field("array:int", default=3)], 'key "default" of inputSpec[0] to be an array'),
        ([field("array:int", default=[1, "2"])], 'key "default[1]" of inputSpec[0]'),
        ([field("int", choices=[1, "2"])], 'key "choices[1]" of inputSpec[0] to be an integer'),
        ([field("hash", choices=[{}])], 'key "choices" of inputSpec[0] to be absent'),
        ([field("string", choices="a")], 'key "choices" of inputSpec[0] to be an array'),
        (
            [field("string", choices=["a", "b"], default="c")],
            'key "default" of inputSpec[0] to be one of "a", "b"',
        ),
    ],
)
def test_a_wrong_spec_names_the_field_and_the_key(spec: Any, message: str) -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        io_spec.check_spec(spec, where="inputSpec")
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("class_name", "value", "kept"),
    [
        ("int", 32, 32),
        ("int", 32.0, 32),
        ("int", -(2**63) + 1, -(2**63) + 1),
        ("float", 1, 1),
        ("float", 1.5, 1.5),
        ("string", "", ""),
        ("boolean", False, False),
        ("hash", {"deep": [{"any": None}]}, {"deep": [{"any": None}]}),
        ("hash", FILE, FILE),
        ("file", FILE, FILE),
        ("file", FILE_TOO, FILE_TOO),
        ("record", RECORD, RECORD),
        ("array:int", [1, [2, [3.0]], []], [1, 2, 3]),
        ("array:file", [[FILE], FILE_TOO], [FILE, FILE_TOO]),
        ("array:string", [], []),
        ("int", REFERENCE, REFERENCE),
        ("file", LEGACY, LEGACY),
        ("hash", REFERENCE, REFERENCE),
        ("array:int", REFERENCE, REFERENCE),
        ("array:int", [1, REFERENCE, [LEGACY]], [1, REFERENCE, LEGACY]),
    ],
)
def test_a_right_value_is_brought_to_its_form(class_name: str, value: Any, kept: Any) -> None:
    checked = io_spec.check_values([field(class_name)], {"x": value})
    assert checked == {"x": kept}
    assert type(checked["x"]) is type(kept)


@pytest.mark.parametrize(
    ("class_name", "value", "message"),
    [
        ("int", "32", 'Expected key "x" of input to be an integer'),
        ("int", 32.5, 'Expected key "x" of input to be an integer'),
        ("int", True, 'Expected key "x" of input to be an integer'),
        ("int", 2**63, 'Expected key "x" of input to be in range'),
        ("float", "1.5", 'Expected key "x" of input to be a number'),
        ("float", False, 'Expected key "x" of input to be a number'),
        ("string", 3, 'Expected key "x" of input to be a string'),
        ("boolean", 1, 'Expected key "x" of input to be a boolean'),
        ("hash", [], 'Expected key "x" of input to be a hash'),
        ("file", "file-" + "B" * 24, 'Expected key "x" of input to be a link to a file'),
        ("file", {"$dnanexus_link": "file-x"}, 'Expected key "x" of input to be a link to a file'),
        ("file", [FILE], 'Expected key "x" of input to be a link to a file'),
        ("applet", FILE, "to be a link to an applet, got file-BBBB"),
        ("file", RECORD, "to be a link to a file, got record-BBBB"),
        ("array:int", 3, 'Expected key "x" of input to be an array, each element an integer'),
        ("array:int", [1, [2, "3"]], 'Expected key "x[2]" of input to be an integer'),
        ("array:int", [None], 'Expected key "x[0]" of input to be an integer'),
        ("array:file", [FILE, RECORD], 'Expected key "x[1]" of input to be a link to a file'),
    ],
)
def test_a_wrong_value_names_its_place(class_name: str, value: Any, message: str) -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        io_spec.check_values([field(class_name)], {"x": value})
    assert message in caught.value.message


SPEC: Spec = [
    {"name": "reads", "class": "file"},
    {"name": "mode", "class": "string", "default": "fast", "choices": ["fast", "slow"]},
    {"name": "levels", "class": "array:int", "optional": True, "choices": [1, 2]},
    {"name": "label", "class": "string", "optional": True, "default": "none"},
]


def test_defaults_are_put_in_and_nulls_are_absent() -> None:
    values = {"label": None, "reads": FILE, "mode": None, "levels": None}
    assert io_spec.check_values(SPEC, values) == {"reads": FILE, "mode": "fast", "label": "none"}


def test_given_values_beat_defaults() -> None:
    values = {"reads": FILE, "mode": "slow", "levels": [1], "label": ""}
    assert io_spec.check_values(SPEC, values) == values


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (None, "input is not a hash"),
        ([], "input is not a hash"),
        ({}, 'Expected input to have property "reads"'),
        ({"reads": None}, 'Expected input to have property "reads"'),
        ({"reads": FILE, "moed": "fast"}, 'Expected key "moed" of input to be a field of the'),
        ({"reads": FILE, "moed": "fast"}, "inputSpec, which has reads, mode, levels, label"),
        ({"reads": FILE, "mode": "quick"}, 'key "mode" of input to be one of "fast", "slow"'),
        ({"reads": FILE, "levels": [1, 3]}, 'key "levels" of input to be one of 1, 2'),
    ],
)
def test_what_does_not_fit_the_spec_is_refused(values: Any, message: str) -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        io_spec.check_values(SPEC, values)
    assert message in caught.value.message


def test_a_reference_is_not_compared_with_choices() -> None:
    values = {"reads": REFERENCE, "mode": LEGACY, "levels": [1, REFERENCE]}
    assert io_spec.check_values(SPEC, values) == {**values, "label": "none"}


def test_choices_of_files_are_compared_by_id() -> None:
    spec = [field("file", choices=[{"name": "n", "value": FILE}])]
    assert io_spec.check_values(spec, {"x": FILE_TOO}) == {"x": FILE_TOO}
    with pytest.raises(errors.InvalidInput, match=r'key "x" of input to be one of "file-BBB'):
        io_spec.check_values(spec, {"x": OTHER_FILE})


def test_a_default_from_metadata_counts_as_none() -> None:
    spec = [field("string", default=FROM_METADATA)]
    with pytest.raises(errors.InvalidInput, match='to have property "x"'):
        io_spec.check_values(spec, {})
    assert io_spec.check_values([{**spec[0], "optional": True}], {}) == {}


def test_with_no_spec_anything_goes() -> None:
    values = {"any thing": [1, {"b": None}, FILE, REFERENCE]}
    assert io_spec.check_values(None, values) == values


@pytest.mark.parametrize("spec", [None, [field("hash")], [field("hash", optional=True)]])
def test_a_link_to_nothing_is_not_found_wherever_it_is(spec: Spec | None) -> None:
    known = {OTHER_FILE["$dnanexus_link"]: "file"}
    with pytest.raises(errors.ResourceNotFound) as caught:
        io_spec.check_values(spec, {"x": {"deep": [OTHER_FILE, FILE]}}, object_class=known.get)
    assert caught.value.message == f"The entity {FILE['$dnanexus_link']} could not be found"


def test_a_default_that_links_to_nothing_is_not_found() -> None:
    with pytest.raises(errors.ResourceNotFound):
        io_spec.check_values([field("file", default=FILE)], {}, object_class=lambda _: None)


def test_where_is_named() -> None:
    with pytest.raises(errors.InvalidInput, match=r'key "x" of stages\[0\].input to be a string'):
        io_spec.check_values([field("string")], {"x": 1}, where="stages[0].input")


def test_values_nested_without_end_are_refused() -> None:
    value: Any = {}
    for _ in range(keys.DEPTH_MAX):
        value = {"a": value}
    with pytest.raises(errors.InvalidInput, match="nested deeper"):
        io_spec.check_values([field("hash")], {"x": value})


OUTPUT_SPEC: Spec = [
    {"name": "report", "class": "file"},
    {"name": "counts", "class": "array:int", "optional": True, "default": [1]},
]


def test_a_right_output_is_brought_to_its_form() -> None:
    output = {"report": FILE, "counts": [[1.0], 2]}
    assert io_spec.check_output(OUTPUT_SPEC, output) == {"report": FILE, "counts": [1, 2]}
    assert io_spec.check_output(OUTPUT_SPEC, {"report": REFERENCE}) == {"report": REFERENCE}
    assert io_spec.check_output(None, {"any": 1}) == {"any": 1}


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ([], "output is not a hash"),
        ({}, 'Expected output to have property "report"'),
        ({"report": FILE, "extra": 1}, 'Expected key "extra" of output to be a field of the'),
        ({"report": FILE, "extra": 1}, "outputSpec, which has report, counts"),
        ({"report": "r.txt"}, 'Expected key "report" of output to be a link to a file'),
        ({"report": FILE, "counts": 1}, 'Expected key "counts" of output to be an array'),
    ],
)
def test_a_wrong_output_fails_the_job(output: Any, message: str) -> None:
    with pytest.raises(failures.JobFailure) as caught:
        io_spec.check_output(OUTPUT_SPEC, output)
    assert caught.value.reason == failures.OUTPUT_ERROR
    assert message in caught.value.message


def test_an_output_that_links_to_nothing_fails_the_job() -> None:
    with pytest.raises(failures.JobFailure, match=r"OutputError: The entity file-B+ could not"):
        io_spec.check_output(None, {"x": FILE}, object_class=lambda _: None)


def test_a_resolved_input_of_the_wrong_class_fails_the_job() -> None:
    assert io_spec.check_resolved([field("int")], {"x": 3}) == {"x": 3}
    with pytest.raises(failures.JobFailure) as caught:
        io_spec.check_resolved([field("int")], {"x": "three"})
    assert caught.value.reason == failures.INPUT_ERROR


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["$dnanexus_link", "job", "field", "id", "a"]), inner)
    ),
    max_leaves=8,
)


@given(st.sampled_from(io_spec.CLASSES), json_values)
@settings(max_examples=50, deadline=None)
def test_any_value_is_either_refused_or_stays_right(class_name: str, value: Any) -> None:
    spec = [field(class_name, optional=True)]
    try:
        checked = io_spec.check_values(spec, {"x": value})
    except errors.InvalidInput:
        return
    assert io_spec.check_values(spec, checked) == checked


@pytest.mark.parametrize("spec", [None, [field("hash")], [field("array:int")]])
@pytest.mark.parametrize(
    "target",
    [
        {"job": "job-" + "J" * 24, "field": "f", "index": -1},
        {"job": "job-" + "J" * 24, "field": "f", "index": "0"},
        {"job": "job-" + "J" * 24, "field": 5},
        {"job": "job-" + "J" * 24},
        {"job": "file-" + "J" * 24, "field": "f"},
        {"analysis": "job-" + "J" * 24, "field": "f"},
    ],
)
def test_a_reference_that_would_never_settle_is_refused_wherever_it_is(
    spec: Spec | None, target: dict[str, Any]
) -> None:
    broken = {"$dnanexus_link": target}
    for value in (broken, {"deep": [broken]}, [[broken]]):
        with pytest.raises(errors.InvalidInput, match='"x" of input to be a reference'):
            io_spec.check_values(spec, {"x": value})
        with pytest.raises(failures.JobFailure, match='"x" of output to be a reference'):
            io_spec.check_output(spec, {"x": value})
