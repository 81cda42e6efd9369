"""Links and references: every form is found, and replaced where it stands."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plasmid.domain import failures, links

FILE = "file-" + "B" * 24
OTHER = "record-" + "F" * 24
PROJECT = "project-" + "G" * 24
JOB = "job-" + "J" * 24
ANALYSIS = "analysis-" + "K" * 24


@pytest.mark.parametrize(
    ("value", "object_id", "project"),
    [
        ({"$dnanexus_link": FILE}, FILE, None),
        ({"$dnanexus_link": {"id": FILE}}, FILE, None),
        ({"$dnanexus_link": {"project": PROJECT, "id": FILE}}, FILE, PROJECT),
        ({"$dnanexus_link": {"project": None, "id": FILE}}, FILE, None),
        ({"$dnanexus_link": {"project": "/", "id": FILE}}, FILE, None),
        ({"$dnanexus_link": FILE, "name": "a choice"}, FILE, None),
        ({"$dnanexus_link": JOB}, None, None),
        ({"$dnanexus_link": "hello"}, None, None),
        ({"$dnanexus_link": ["x"]}, None, None),
        ({"$dnanexus_link": {"job": JOB, "field": "x", "id": FILE}}, None, None),
        (FILE, None, None),
        ([FILE], None, None),
        (None, None, None),
    ],
)
def test_a_link_has_two_forms(value: Any, object_id: str | None, project: str | None) -> None:
    assert links.linked_id(value) == object_id
    assert links.is_link(value) is (object_id is not None)
    assert links.linked_project(value) == project


def test_a_made_link_is_read_back() -> None:
    assert links.link(FILE) == {"$dnanexus_link": FILE}
    made = links.link(FILE, PROJECT)
    assert (links.linked_id(made), links.linked_project(made)) == (FILE, PROJECT)


def test_linked_ids_come_once_each_as_first_seen() -> None:
    details = [
        {"b": links.link(OTHER), "a": {"deep": [[links.link(FILE, PROJECT)]]}},
        links.link(FILE),
        links.link(OTHER),
        {"$dnanexus_link": {"job": JOB, "field": "x"}},
        FILE,
    ]
    assert links.object_ids(details) == [OTHER, FILE]
    assert links.object_ids(links.link(FILE)) == [FILE]


def test_a_walk_does_not_exhaust_the_stack() -> None:
    value: Any = links.link(FILE)
    for _ in range(20_000):
        value = [value]
    assert links.object_ids(value) == [FILE]
    assert links.flatten(value) == [links.link(FILE)]


REFERENCES = [
    ({"job": JOB, "field": "out"}, links.JobReference(JOB, "out")),
    ({"$dnanexus_link": {"job": JOB, "field": "out"}}, links.JobReference(JOB, "out")),
    (
        {"$dnanexus_link": {"job": JOB, "field": "out", "index": 2}},
        links.JobReference(JOB, "out", index=2),
    ),
    (
        {"$dnanexus_link": {"job": JOB, "field": "out", "metadata": "name"}},
        links.JobReference(JOB, "out", metadata="name"),
    ),
    (
        {"$dnanexus_link": {"analysis": ANALYSIS, "stage": "stage_1", "field": "out", "index": 0}},
        links.JobReference(ANALYSIS, "out", stage="stage_1", index=0),
    ),
    (
        {"$dnanexus_link": {"analysis": ANALYSIS, "field": "s.out"}},
        links.JobReference(ANALYSIS, "s.out"),
    ),
]


@pytest.mark.parametrize(("value", "reference"), REFERENCES)
def test_a_reference_is_read_in_each_form(value: Any, reference: links.JobReference) -> None:
    assert links.reference_of(value) == reference
    assert links.reference_of(links.as_json(reference)) == reference


@pytest.mark.parametrize(
    "value",
    [
        {"job": "cleaner", "field": "farming"},
        {"job": JOB, "field": "out", "extra": 1},
        {"job": JOB},
        {"job": ANALYSIS, "field": "out"},
        {"$dnanexus_link": {"job": JOB}},
        {"$dnanexus_link": {"job": JOB, "field": 3}},
        {"$dnanexus_link": {"job": JOB, "field": "out", "index": "0"}},
        {"$dnanexus_link": {"job": JOB, "field": "out", "index": True}},
        {"$dnanexus_link": {"job": JOB, "field": "out", "index": -1}},
        {"$dnanexus_link": {"analysis": JOB, "field": "out"}},
        {"$dnanexus_link": {"analysis": ANALYSIS, "field": "out", "stage": 1}},
        {"$dnanexus_link": FILE},
        [JOB],
        None,
    ],
)
def test_what_only_looks_like_a_reference_is_none(value: Any) -> None:
    assert links.reference_of(value) is None


def test_references_are_found_anywhere_once_each() -> None:
    values = {"a": [value for value, _ in REFERENCES], "h": {"x": {"y": REFERENCES[0][0]}}}
    assert links.references(values) == [reference for _, reference in REFERENCES[1:]]


def test_each_reference_is_resolved_by_itself() -> None:
    first, second = {"job": JOB, "field": "a"}, {"job": JOB, "field": "b"}

    def resolve(reference: links.JobReference) -> Any:
        return 7 if reference.field == "a" else links.UNRESOLVED

    resolved = links.replace_references({"x": first, "y": [second, first], "z": "s"}, resolve)
    assert resolved == {"x": 7, "y": [second, 7], "z": "s"}


def test_an_array_from_a_reference_is_spliced_into_an_array_and_nothing_else_is() -> None:
    reference = {"job": JOB, "field": "a"}
    given_values = {"array": [1, reference, [2, reference]], "single": reference}
    resolved = links.replace_references(given_values, lambda _: [8, 9])
    assert resolved == {"array": [1, 8, 9, [2, 8, 9]], "single": [8, 9]}


def test_null_is_a_resolved_value() -> None:
    assert links.replace_references([{"job": JOB, "field": "a"}], lambda _: None) == [None]


def test_pick_gives_the_field_or_its_element() -> None:
    output = {"xs": [1, 2], "stage_1.n": 5}
    assert links.pick(output, links.JobReference(JOB, "xs")) == [1, 2]
    assert links.pick(output, links.JobReference(JOB, "xs", index=1)) == 2
    assert links.pick(output, links.JobReference(ANALYSIS, "n", stage="stage_1")) == 5


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        (links.JobReference(JOB, "gone"), 'has no field "gone"'),
        (links.JobReference(JOB, "nothing"), 'has no field "nothing"'),
        (links.JobReference(JOB, "xs", index=2), "has 2 elements: an input refers to index 2"),
        (links.JobReference(JOB, "n", index=0), "is not an array"),
        (links.JobReference(ANALYSIS, "n", stage="other"), f"other of {ANALYSIS}"),
    ],
)
def test_a_reference_to_what_is_not_there_is_an_input_error(
    reference: links.JobReference, message: str
) -> None:
    with pytest.raises(failures.JobFailure) as caught:
        links.pick({"xs": [1, 2], "n": 1, "nothing": None}, reference)
    assert caught.value.reason == failures.INPUT_ERROR
    assert message in caught.value.message


def test_projects_are_stripped_from_links_and_from_nothing_else() -> None:
    reference = {"$dnanexus_link": {"job": JOB, "field": "a", "project": PROJECT}}
    values = {"f": [links.link(FILE, PROJECT)], "project": PROJECT, "r": reference}
    assert links.strip_projects(values) == {
        "f": [links.link(FILE)],
        "project": PROJECT,
        "r": reference,
    }


nested = st.recursive(st.integers(), lambda inner: st.lists(inner, max_size=4), max_leaves=20)


@given(st.lists(nested))
@settings(max_examples=50, deadline=None)
def test_flatten_keeps_all_elements_in_order(values: list[Any]) -> None:
    flat = links.flatten(values)
    assert not any(isinstance(value, list) for value in flat)
    digits = str(values).translate(str.maketrans("[],", "   ")).split()
    assert [str(value) for value in flat] == digits


def test_references_to_arrays_do_not_grow_without_end() -> None:
    reference = links.JobReference(JOB, "x")
    many = [0] * (links.VALUES_MAX // 10)
    few = [links.as_json(reference)] * 9
    assert len(links.replace_references(few, lambda _: many)) == 9 * len(many)
    with pytest.raises(failures.JobFailure, match="more than 1000000 values in all"):
        links.replace_references({"k": few * 2}, lambda _: many)


def test_values_are_counted_no_further_than_is_asked_for() -> None:
    assert [links.count({"a": [1, 2], "b": None}, most) for most in (0, 3, 5, 9)] == [1, 4, 5, 5]


def test_references_to_deep_values_do_not_grow_without_end() -> None:
    deep: Any = links.as_json(links.JobReference(JOB, "x"))
    for _ in range(150):
        deep = {"k": deep}
    assert links.replace_references(deep, lambda _: 1) != deep
    with pytest.raises(failures.JobFailure, match="deeper than 200 levels"):
        links.replace_references(deep, lambda _: deep)
