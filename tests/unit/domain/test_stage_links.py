"""Links inside a workflow: reading, finding, replacing (contract E.6)."""

from __future__ import annotations

from typing import Any

import pytest

from plasmid.domain import links, stage_links
from plasmid.domain.stage_links import InputLink, StageLink


def stage(**target: Any) -> dict[str, Any]:
    return {"$dnanexus_link": {"stage": "s", **target}}


def field(name: str) -> dict[str, Any]:
    return {"$dnanexus_link": {"workflowInputField": name}}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (stage(outputField="o"), StageLink("s", "o")),
        (stage(inputField="i"), StageLink("s", "i", is_output=False)),
        (stage(outputField="o", index=0), StageLink("s", "o", index=0)),
        (stage(outputField="o", metadata="name"), StageLink("s", "o", metadata="name")),
        (field("f"), InputLink("f")),
    ],
)
def test_every_form_of_a_link_is_read(value: dict[str, Any], expected: object) -> None:
    assert stage_links.link_of(value) == expected
    assert stage_links.broken(value) is None


@pytest.mark.parametrize(
    "value",
    [
        stage(),
        stage(outputField="o", inputField="i"),
        stage(outputField=""),
        stage(outputField=3),
        stage(outputField="o", index=-1),
        stage(outputField="o", index=True),
        stage(outputField="o", index="0"),
        stage(outputField="o", metadata=1),
        stage(outputField="o", other=1),
        {"$dnanexus_link": {"stage": 1, "outputField": "o"}},
        {"$dnanexus_link": {"workflowInputField": ""}},
        {"$dnanexus_link": {"workflowInputField": "f", "index": 1}},
    ],
)
def test_what_is_written_as_a_link_and_is_none_is_found(value: dict[str, Any]) -> None:
    assert stage_links.link_of(value) is None
    assert stage_links.broken([{"deep": value}]) == value


@pytest.mark.parametrize(
    "value",
    [
        1,
        {"$dnanexus_link": f"file-{'0' * 24}"},
        {"$dnanexus_link": {"analysis": f"analysis-{'0' * 24}", "stage": "s", "field": "f"}},
        {"stage": "s", "outputField": "o"},
    ],
)
def test_other_values_are_left_alone(value: Any) -> None:
    assert stage_links.link_of(value) is None
    assert stage_links.broken(value) is None
    assert stage_links.replaced(value, lambda _: pytest.fail("nothing to replace")) == value


def test_links_are_found_once_each_in_the_order_written() -> None:
    value = {"a": [stage(outputField="o"), field("f")], "b": {"c": stage(outputField="o")}}
    assert stage_links.found(value) == [StageLink("s", "o"), InputLink("f")]


def test_an_array_in_the_place_of_an_element_is_spliced() -> None:
    known: dict[object, Any] = {InputLink("f"): [2, 3], StageLink("s", "o"): 4}
    value = [1, field("f"), stage(outputField="o"), [field("f")]]
    assert stage_links.replaced(value, lambda link: known[link]) == [1, 2, 3, 4, [2, 3]]


def test_a_link_that_is_unresolved_stays_as_it_was_written() -> None:
    value = {"a": [field("f"), stage(outputField="o")]}
    assert stage_links.replaced(value, lambda _: links.UNRESOLVED) == value
