"""What makes two jobs equal, and how it is said in what they differ."""

from __future__ import annotations

from typing import Any

import pytest

from plasmid.domain import reuse

FILE = "file-" + "B" * 24
OTHER = "file-" + "G" * 24
REGION = "aws:us-east-1"


def link(object_id: str, project: str | None = None) -> dict[str, Any]:
    return {"$dnanexus_link": {"project": project, "id": object_id} if project else object_id}


def key(values: dict[str, Any], executable: str = "applet-1", region: str = REGION) -> str:
    return reuse.key(executable, region, values)


def test_the_project_part_of_a_link_and_the_order_of_fields_make_no_difference() -> None:
    plain = {"a": [link(FILE)], "b": {"deep": link(FILE), "x": 1}}
    full = {"b": {"x": 1, "deep": link(FILE, "project-1")}, "a": [link(FILE, "project-2")]}
    assert key(plain) == key(full)


@pytest.mark.parametrize(
    "other",
    [
        key({"n": 2}), key({"n": 1.0}), key({"n": True}), key({"n": "1"}), key({"n": [1]}),
        key({"m": 1}), key({}), key({"n": 1, "m": None}), key({"n": 1}, "applet-2"),
        key({"n": 1}, region="aws:eu-central-1"),
    ],
)  # fmt: skip
def test_any_other_value_executable_or_region_gives_another_key(other: str) -> None:
    assert key({"n": 1}) != other


def test_the_order_of_an_array_counts() -> None:
    assert key({"a": [link(FILE), link(OTHER)]}) != key({"a": [link(OTHER), link(FILE)]})


def test_half_a_character_in_an_input_has_a_key() -> None:
    assert key({"s": "\ud800"}) != key({"s": "\ud801"})


@pytest.mark.parametrize(
    ("properties", "answer"),
    [
        ({}, None),
        ({"plasmid.reuse": "true"}, True),
        ({"plasmid.reuse": "False"}, False),
        ({"plasmid.reuse": "maybe"}, None),
        ({"reuse": "true"}, None),
    ],
)
def test_properties_ask_for_reuse_or_refuse_it(
    properties: dict[str, str], answer: bool | None
) -> None:
    assert reuse.asked(properties) is answer


@pytest.mark.parametrize(
    ("new", "old", "words"),
    [
        ({"n": 1}, {"n": 1}, []),
        ({"n": 2}, {"n": 1}, ['input "n" is 2, was 1']),
        ({"n": True}, {"n": 1}, ['input "n" is true, was 1']),
        ({"n": 1}, {}, ['input "n" is 1, was not given']),
        ({}, {"n": 1}, ['input "n" is not given, was 1']),
        (
            {"reads": link(FILE, "project-1")},
            {"reads": link(OTHER)},
            [f'input "reads" is {FILE}, was {OTHER}'],
        ),
        ({"reads": link(FILE, "project-1")}, {"reads": link(FILE)}, []),
        ({"a": [1, 2, 3]}, {"a": [1, 2]}, ['input "a" has 3 elements, had 2']),
        ({"a": [1, 2, 3]}, {"a": [1, 4, 5]}, ['input "a"[1] is 2, was 4']),
        ({"s": "ä" * 100}, {"s": "b"}, [f'input "s" is "{"ä" * 58}…, was "b"']),
    ],
)
def test_differences_name_the_field_and_both_values(
    new: dict[str, Any], old: dict[str, Any], words: list[str]
) -> None:
    assert reuse.differences(new, old) == words


def test_of_many_differences_the_first_three_are_named() -> None:
    found = reuse.differences({"a": 1, "b": 1, "c": 1}, {"a": 2, "b": 2, "c": 2})
    assert reuse.named(found) == "; ".join(found)
    assert reuse.named([*found, "d"]) == "; ".join([*found, "and 1 more"])
