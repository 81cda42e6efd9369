"""What types a specification wants of linked objects."""

from __future__ import annotations

from typing import Any

import pytest

from plasmid.domain import errors, io_types

ONE, OTHER = "record-" + "B" * 24, "record-" + "F" * 24


def link(object_id: str) -> dict[str, Any]:
    return {"$dnanexus_link": object_id}


def spec(wanted: Any) -> list[dict[str, Any]]:
    return [{"name": "x", "class": "record", "type": wanted}, {"name": "y", "class": "record"}]


@pytest.mark.parametrize(
    ("wanted", "own", "fits"),
    [
        (None, [], True),
        ("Reads", ["Reads"], True),
        ("Reads", ["Other", "Reads"], True),
        ("Reads", [], False),
        ("Reads", ["reads"], False),
        ({"$or": ["A", "B"]}, ["B"], True),
        ({"$or": ["A", "B"]}, ["C"], False),
        ({"$and": ["A", "B"]}, ["B", "A", "C"], True),
        ({"$and": ["A", "B"]}, ["A"], False),
        ({"$and": ["A", {"$or": ["B", "C"]}]}, ["A", "C"], True),
        ({"$and": ["A", {"$or": ["B", "C"]}]}, ["B", "C"], False),
    ],
)
@pytest.mark.parametrize("is_array", [False, True])
def test_an_object_is_of_the_type_that_its_field_wants(
    wanted: Any, own: list[str], fits: bool, is_array: bool
) -> None:
    value = [link(OTHER), link(ONE)] if is_array else link(ONE)
    every = {ONE: own, OTHER: ["A", "B", "C", "Reads"]}
    if fits:
        io_types.check(spec(wanted), {"x": value}, every)
        return
    with pytest.raises(errors.InvalidInput, match=f'"x" of input .*{ONE}'):
        io_types.check(spec(wanted), {"x": value}, every)


def test_the_refusal_says_what_is_wanted_and_what_is_there() -> None:
    wanted = {"$and": ["A", {"$or": ["B", "C"]}]}
    with pytest.raises(errors.InvalidInput) as caught:
        io_types.check(spec(wanted), {"x": link(ONE)}, {ONE: ["B"]}, where="output")
    assert caught.value.message == (
        f'Expected key "x" of output to be of type (A and (B or C)), but {ONE} has the types B'
    )


def test_references_and_what_is_not_known_yet_are_passed_over() -> None:
    later = {"$dnanexus_link": {"job": "job-" + "J" * 24, "field": "f"}}
    io_types.check(spec("A"), {"x": later}, {})
    io_types.check(spec("A"), {"x": link(ONE)}, {})
    io_types.check(None, {"x": link(ONE)}, {ONE: []})


def test_only_fields_with_a_type_need_their_objects_types() -> None:
    values = {"x": [link(ONE)], "y": link(OTHER)}
    assert io_types.linked_ids(spec("A"), values) == [ONE]
    assert io_types.linked_ids(spec(None), values) == []
    assert io_types.linked_ids(None, values) == []
