"""The life of a data object: open, closing, closed (contract D.1.3)."""

from __future__ import annotations

from typing import Final

from plasmid.domain import errors

OPEN: Final = "open"
CLOSING: Final = "closing"
CLOSED: Final = "closed"
ALL: Final = (OPEN, CLOSING, CLOSED)


def born(class_name: str, *, close: bool = False) -> str:
    """Return the state a new object of a class is in; `close` asks for a record that is closed."""
    return CLOSED if class_name == "applet" or (class_name == "record" and close) else OPEN


def require_open(object_id: str, state: str) -> None:
    """Refuse with InvalidState what only an open object allows."""
    if state != OPEN:
        message = f"The object {object_id} is not in the open state, it is {state}"
        raise errors.InvalidState(message)


def require_closed(object_id: str, state: str) -> None:
    """Refuse with InvalidState what only a closed object allows."""
    if state != CLOSED:
        found = f"it is {state}: close it first"
        raise errors.InvalidState(f"The object {object_id} is not in the closed state, {found}")


def needs_closing(state: str) -> bool:
    """Say whether `close` has anything to do; on a closing or closed object it succeeds idly."""
    return state == OPEN


def is_usable(class_name: str, state: str) -> bool:
    """Say whether an object's content may be read: only records are usable before they close."""
    return class_name == "record" or state == CLOSED
