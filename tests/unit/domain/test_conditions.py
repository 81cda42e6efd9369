"""Conditions on tags, types and properties are read strictly and mean what they say."""

from __future__ import annotations

from typing import Any

import pytest

from plasmid.domain import conditions, errors


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("a", True),
        ("z", False),
        ({"$and": ["a", "b"]}, True),
        ({"$and": ["a", "z"]}, False),
        ({"$or": ["z", "b"]}, True),
        ({"$or": ["y", "z"]}, False),
        ({"$and": ["a", {"$or": ["z", {"$and": ["a", "b"]}]}]}, True),
        ({"$and": []}, True),
        ({"$or": []}, False),
    ],
)
def test_words_combine(condition: Any, holds: bool) -> None:
    read = conditions.read_words(condition, "tags")
    assert read is not None
    assert conditions.evaluate(read, conditions.among(["a", "b"])) is holds


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({}, True),
        ({"k": "v"}, True),
        ({"k": "w"}, False),
        ({"k": True}, True),
        ({"k": False}, False),
        ({"gone": True}, False),
        ({"gone": False}, True),
        ({"gone": ""}, False),
        ({"k": "v", "empty": ""}, True),
        ({"k": "v", "empty": "x"}, False),
        ({"$and": [{"k": "v"}, {"empty": True}]}, True),
        ({"$or": [{"k": "w"}, {"$and": [{"k": "v"}]}]}, True),
        ({"$or": [{"k": "w"}, {"gone": True}]}, False),
        ({"$and": "a property of this name"}, True),
    ],
)
def test_properties_combine(condition: Any, holds: bool) -> None:
    read = conditions.read_properties(condition)
    present = {"k": "v", "empty": "", "$and": "a property of this name"}
    assert read is not None
    assert conditions.evaluate(read, conditions.within(present)) is holds


def test_absent_conditions_do_not_limit() -> None:
    assert conditions.read_words(None, "tags") is None
    assert conditions.read_properties(None) is None


def test_both_is_the_one_that_is_there() -> None:
    word = conditions.Word("a")
    assert conditions.both(None, None) is None
    assert conditions.both(word, None) == conditions.both(None, word) == word
    assert conditions.both(word, word) == conditions.Every((word, word))


def test_a_word_is_no_property_and_the_other_way_round() -> None:
    assert conditions.within({"a": "a"})(conditions.Word("a")) is False
    assert conditions.among(["a"])(conditions.Property("a", "a")) is False


def test_a_thousand_words_twenty_levels_deep_are_accepted() -> None:
    assert conditions.read_words(nested({"$or": ["a"] * 1000}, 19), "tags") is not None
    assert conditions.read_properties(nested({"k": "v"}, 19)) is not None


def test_all_terms_are_found() -> None:
    read = conditions.read_words({"$and": ["a", {"$or": ["b", "c"]}]}, "tags")
    assert read is not None
    assert list(conditions.terms(read)) == [conditions.Word(text) for text in "abc"]


def nested(value: Any, depth: int) -> Any:
    for _ in range(depth):
        value = {"$and": [value]}
    return value


@pytest.mark.parametrize(
    "condition",
    [
        3,
        "",
        ["a"],
        {"$not": ["a"]},
        {"$and": "a"},
        {"$and": ["a"], "$or": ["b"]},
        {"$and": [{"k": "v"}]},
        {"$and": [""]},
        nested("a", 21),
        nested({"$or": ["a"]}, 20),
        {"$or": ["a"] * 1001},
    ],
)
def test_wrong_words_are_refused_by_key(condition: Any) -> None:
    with pytest.raises(errors.InvalidInput, match='key "tags" of input to'):
        conditions.read_words(condition, "tags")


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("k", 'key "properties" of input to be a hash of properties'),
        ({"": "v"}, "nonempty strings"),
        ({"": True}, "nonempty strings"),
        ({"k": None}, 'key "k" of input.properties to be a string or a boolean'),
        ({"k": 1}, 'key "k" of input.properties'),
        ({"$and": ["k"]}, 'key "properties" of input to be a hash of properties'),
        ({"$and": [{"k": []}]}, 'key "k" of input.properties'),
        (nested({"k": "v"}, 20), "nested at most 20 levels deep"),
    ],
)
def test_wrong_properties_are_refused_by_key(condition: Any, message: str) -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        conditions.read_properties(condition)
    assert message in caught.value.message
