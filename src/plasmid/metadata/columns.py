"""The kinds of columns of which all tables are made."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa


def text(name: str, *, null: bool = False) -> sa.Column[Any]:
    """Return a column of text, or of JSON."""
    return sa.Column(name, sa.Text, nullable=null)


def later_hash(name: str) -> sa.Column[Any]:
    """Return a column of a JSON hash that came later: it is empty in older rows."""
    return sa.Column(name, sa.Text, nullable=False, server_default="{}")


def integer(name: str, *, null: bool = False) -> sa.Column[Any]:
    """Return a column of an integer of 64 bits."""
    return sa.Column(name, sa.BigInteger, nullable=null)


def key(name: str) -> sa.Column[Any]:
    """Return a column of text that is the primary key, or a part of it."""
    return sa.Column(name, sa.Text, primary_key=True, nullable=False)
