"""Names, tags, properties, types and details: what is accepted, and how they change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from plasmid.domain import errors, properties


def test_good_values_pass_and_repeats_are_dropped() -> None:
    assert properties.check_name("プロジェクト") == "プロジェクト"
    assert properties.check_tags(["Ψ", "$hello.world", "Ψ"]) == ["Ψ", "$hello.world"]
    assert properties.check_types(["abc", "AssetBundle", "abc"]) == ["abc", "AssetBundle"]
    given = {"$my.prop": "", "ключ": "v"}
    assert properties.check_properties(given) == given
    assert properties.check_property_changes({"a": None, "b": "x"}) == {"a": None, "b": "x"}


def test_absent_values_are_empty() -> None:
    assert properties.check_tags(None) == []
    assert properties.check_types(None) == []
    assert properties.check_properties(None) == {}


@pytest.mark.parametrize(
    ("check", "value", "message"),
    [
        (properties.check_name, "", 'Expected key "name" of input to be a nonempty string'),
        (properties.check_name, 3, 'key "name"'),
        (properties.check_name, None, 'key "name"'),
        (properties.check_tags, [""], 'key "tags" of input to be an array of nonempty strings'),
        (properties.check_tags, "tag", 'key "tags"'),
        (properties.check_tags, [1], 'key "tags"'),
        (properties.check_types, ["ΨΨ"], "be an array of valid strings for a type name"),
        (properties.check_types, ["1a"], "be an array of valid strings for a type name"),
        (properties.check_types, [""], "be an array of valid strings for a type name"),
        (properties.check_types, "a", "be an array of valid strings for a type name"),
        (properties.check_properties, {"": "v"}, "nonempty strings"),
        (properties.check_properties, {"k": 1}, 'key "k" of input.properties to be a string'),
        (properties.check_properties, {"k": None}, 'key "k" of input.properties to be a string'),
        (properties.check_properties, ["k"], 'key "properties" of input to be a hash'),
        (properties.check_property_changes, {"": None}, "nonempty strings"),
        (properties.check_property_changes, {"k": True}, 'key "k"'),
        (properties.check_details, "text", "Expected details to be a hash or an array"),
        (properties.check_details, None, "Expected details to be a hash or an array"),
    ],
)
def test_bad_values_are_refused_by_key(
    check: Callable[[Any], Any], value: Any, message: str
) -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        check(value)
    assert message in caught.value.message


@pytest.mark.parametrize("details", [{}, [], {"$dnanexus_link": "file-" + "B" * 24}])
def test_details_are_an_object_or_an_array_even_a_link(details: Any) -> None:
    assert properties.check_details(details) == details


def test_details_nested_without_end_are_refused() -> None:
    details: Any = []
    for _ in range(300):
        details = [details]
    with pytest.raises(errors.InvalidInput, match="nested deeper than 200"):
        properties.check_details(details)


def test_changes_keep_the_order_and_do_not_mind_what_is_absent() -> None:
    assert properties.with_added(["b", "a"], ["c", "a"]) == ["b", "a", "c"]
    assert properties.without(["b", "a"], ["a", "z"]) == ["b"]
    changed = properties.with_changes({"a": "1", "b": "2"}, {"a": None, "c": "", "z": None})
    assert changed == {"b": "2", "c": ""}
