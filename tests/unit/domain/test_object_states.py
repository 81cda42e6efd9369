"""The life of a data object."""

from __future__ import annotations

import pytest

from plasmid.domain import errors, object_states

FILE = "file-" + "B" * 24


@pytest.mark.parametrize(
    ("class_name", "close", "state"),
    [
        ("file", False, "open"),
        ("file", True, "open"),
        ("record", False, "open"),
        ("record", True, "closed"),
        ("applet", False, "closed"),
        ("workflow", False, "open"),
    ],
)
def test_the_state_an_object_is_born_in(class_name: str, close: bool, state: str) -> None:
    assert object_states.born(class_name, close=close) == state


@pytest.mark.parametrize("state", ["closing", "closed"])
def test_what_needs_an_open_object_is_refused_on_another(state: str) -> None:
    object_states.require_open(FILE, "open")
    with pytest.raises(
        errors.InvalidState, match=f"{FILE} is not in the open state, it is {state}"
    ):
        object_states.require_open(FILE, state)


@pytest.mark.parametrize("state", ["open", "closing"])
def test_what_needs_a_closed_object_is_refused_on_another(state: str) -> None:
    object_states.require_closed(FILE, "closed")
    with pytest.raises(errors.InvalidState, match=f"{FILE} is not in the closed state"):
        object_states.require_closed(FILE, state)


def test_only_an_open_object_needs_closing() -> None:
    assert [object_states.needs_closing(state) for state in object_states.ALL] == [
        True,
        False,
        False,
    ]


def test_only_records_are_usable_while_open() -> None:
    assert object_states.is_usable("record", "open")
    assert not object_states.is_usable("file", "closing")
    assert object_states.is_usable("file", "closed")
