r"""Regular expressions whose matching takes time linear in the text, whatever the expression.

Python's own engine backtracks: `(a+)+$` from one caller would hang the server for everybody. RE2
does not; for that it refuses back-references and look-around (decision 0006).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import re2

MEMORY_BYTES_MAX: Final = 8 << 20


class PatternError(ValueError):
    """The text is no regular expression that can be matched in linear time."""


class Expression:
    """A compiled expression; may be shared and used any number of times."""

    def __init__(self, text: str, *, ignore_case: bool) -> None:
        options = re2.Options()
        options.case_sensitive = not ignore_case
        options.log_errors = False
        options.max_mem = MEMORY_BYTES_MAX
        try:
            self._compiled = re2.compile(text, options)
        except re2.error as error:
            said = error.args[0] if error.args else b"not understood"
            raise PatternError(said.decode() if isinstance(said, bytes) else str(said)) from error

    def search(self, text: str) -> bool:
        """Say whether the expression is found anywhere in a text."""
        return self._compiled.search(text) is not None

    @property
    def has_group(self) -> bool:
        """Whether there is a group that takes a part of the text out."""
        return bool(self._compiled.groups)

    def first_group(self, text: str) -> str | None:
        """Return what the first group takes out of a text, None if the text does not match."""
        found = self._compiled.search(text)
        return None if found is None else found.group(1) or ""


@lru_cache(maxsize=256)
def compile_expression(text: str, *, ignore_case: bool = False) -> Expression:
    """Return a compiled expression; raises PatternError that says what is wrong."""
    return Expression(text, ignore_case=ignore_case)
