"""Keys of an input are read by kind, and what is wrong is said in the API's words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from plasmid.domain import errors, keys


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (lambda: keys.hash_itself([]), "input is not a hash"),
        (lambda: keys.hash_itself(None, "runSpec"), "runSpec is not a hash"),
        (lambda: keys.require({"k": None}, "k"), 'Expected input to have property "k"'),
        (lambda: keys.string({"k": 1}, "k"), 'Expected key "k" of input to be a string'),
        (lambda: keys.required_string({}, "k"), 'Expected input to have property "k"'),
        (lambda: keys.boolean({"k": 1}, "k"), 'Expected key "k" of input to be a boolean'),
        (lambda: keys.boolean({"k": "true"}, "k"), 'Expected key "k" of input to be a boolean'),
        (lambda: keys.integer({"k": True}, "k"), 'Expected key "k" of input to be an integer'),
        (lambda: keys.integer({"k": 1.5}, "k"), 'Expected key "k" of input to be an integer'),
        (lambda: keys.integer({"k": "1"}, "k"), 'Expected key "k" of input to be an integer'),
        (
            lambda: keys.integer({"k": 9}, "k", minimum=0, maximum=8),
            'Expected key "k" of input to be in range [0, 8]',
        ),
        (
            lambda: keys.integer({"k": -1}, "k", minimum=0, maximum=8),
            'Expected key "k" of input to be in range [0, 8]',
        ),
        (
            lambda: keys.integer({"k": 0}, "k", minimum=1),
            'Expected key "k" of input to be at least 1',
        ),
        (
            lambda: keys.integer({"k": 2}, "k", maximum=1),
            'Expected key "k" of input to be at most 1',
        ),
        (lambda: keys.array({"k": {}}, "k"), 'Expected key "k" of input to be an array'),
        (
            lambda: keys.hashes({"k": [1]}, "k"),
            'Expected key "k" of input to be an array of hashes',
        ),
        (lambda: keys.hash_of({"k": []}, "k", "a.b"), 'Expected key "k" of a.b to be a hash'),
        (
            lambda: keys.strings({"k": ["x", ""]}, "k"),
            'Expected key "k" of input to be an array of nonempty strings',
        ),
        (
            lambda: keys.one_of({"k": "c"}, "k", ("a", "b")),
            'Expected key "k" of input to be one of "a", "b"',
        ),
        (
            lambda: keys.one_of({"k": ["a"]}, "k", ("a",)),
            'Expected key "k" of input to be a string',
        ),
    ],
)
def test_the_message_names_the_key_and_what_it_should_be(
    read: Callable[[], Any], message: str
) -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        read()
    assert caught.value.message == message


def test_right_values_are_returned_as_they_are() -> None:
    body = {"s": "", "b": False, "i": 3, "f": 4.0, "a": [1], "h": {"x": 1}, "l": ["x"]}
    assert keys.string(body, "s") == ""
    assert keys.required_string(body, "s") == ""
    assert keys.boolean(body, "b", default=True) is False
    assert keys.integer(body, "i", minimum=3, maximum=3) == 3
    assert keys.array(body, "a") == [1]
    assert keys.hash_of(body, "h") == {"x": 1}
    assert keys.strings(body, "l") == ["x"]
    assert keys.one_of({"k": "b"}, "k", ("a", "b")) == "b"
    integral = keys.integer(body, "f")
    assert (integral, type(integral)) == (4, int)


@pytest.mark.parametrize("body", [{}, {"k": None}])
def test_what_is_absent_or_null_is_none_or_the_default(body: dict[str, Any]) -> None:
    readers = (keys.string, keys.integer, keys.array, keys.hash_of, keys.strings)
    assert [read(body, "k") for read in readers] == [None] * 5
    assert keys.one_of(body, "k", ("a",)) is None
    assert keys.boolean(body, "k", default=True) is True
    assert keys.boolean(body, "k") is False
    assert keys.maybe_boolean(body, "k") is None


def test_choices_are_listed_as_they_are_written() -> None:
    assert keys.listed(["ü", 1, True]) == 'one of "ü", 1, true'


def test_depth_is_limited_for_objects_and_arrays() -> None:
    value: Any = 1
    for _ in range(keys.DEPTH_MAX - 1):
        value = {"a": [value]} if isinstance(value, list) else [value]
    keys.check_depth([1, {"a": [2]}])
    with pytest.raises(errors.InvalidInput, match="details is nested deeper than 200 levels"):
        keys.check_depth([[value]] * 2, "details")
