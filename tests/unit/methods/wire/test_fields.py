"""Which fields a describe gives (contract D.1.2, F.6.1)."""

from __future__ import annotations

from typing import Any

import pytest

from plasmid.domain import errors
from plasmid.methods.wire import fields

DEFAULTS = ("id", "name", "input")
EXTRA = ("properties", "details")


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({}, {"id", "name", "input"}),
        ({"properties": True}, {"id", "name", "input", "properties"}),
        ({"properties": "true"}, {"id", "name", "input", "properties"}),
        ({"properties": False}, {"id", "name", "input"}),
        ({"unknown": True}, {"id", "name", "input"}),
        ({"fields": {"name": True}}, {"name"}),
        ({"fields": {"name": True, "details": True}}, {"name", "details"}),
        ({"fields": {"name": False}}, set()),
        ({"fields": {"name": True}, "properties": True}, {"name"}),
        ({"fields": {"input": False}, "defaultFields": True}, {"id", "name"}),
        ({"fields": {"details": True}, "defaultFields": True}, {"id", "name", "input", "details"}),
    ],
)
def test_the_options_say_which_fields(options: dict[str, Any], wanted: set[str]) -> None:
    assert fields.selected(options, DEFAULTS, EXTRA) == wanted


def test_fields_that_are_no_hash_are_refused() -> None:
    with pytest.raises(errors.InvalidInput, match='key "fields"'):
        fields.selected({"fields": ["name"]}, DEFAULTS)


@pytest.mark.parametrize(("value", "options"), [(None, None), (False, None), (True, {})])
def test_a_find_describes_only_if_asked(value: object, options: object) -> None:
    assert fields.options_of(value) == options


def test_describe_options_of_a_find_are_taken_as_they_are() -> None:
    assert fields.options_of({"fields": {"name": True}}) == {"fields": {"name": True}}
    with pytest.raises(errors.InvalidInput, match='key "describe"'):
        fields.options_of("yes")
