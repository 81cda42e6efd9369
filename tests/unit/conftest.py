"""The fixture that these tests share."""

from __future__ import annotations

from tests.worlds import world

__all__ = ["world"]
