"""The document for fuzzing: that of the server, with ids of what there really is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

# Texts beside the ids of which calls are made up.
WORDS: Final = ("/", "/f", "/g", "/a/b")
_CLASS: Final = re.compile(r"/([a-z]+)-\{id\}/")


def with_known(value: Any, known: Sequence[str]) -> Any:
    """Return a schema, or what holds schemas, in which texts of a pattern may be known ones."""
    if isinstance(value, list):
        return [with_known(item, known) for item in value]
    if not isinstance(value, dict):
        return value
    pattern = value.get("pattern")
    if isinstance(pattern, str):
        fitting = [word for word in (*known, *WORDS) if re.search(pattern, word)]
        if fitting:
            return {"anyOf": [{"type": "string", "enum": fitting}, value]}
    return {key: with_known(item, known) for key, item in value.items()}


def ids_of(path: str, known: Sequence[str]) -> list[str]:
    """Return what may stand for `{id}` in a path: what follows the class in known ids."""
    found = _CLASS.match(path)
    prefix = f"{found[1]}-" if found else "?"
    return [word.removeprefix(prefix) for word in known if word.startswith(prefix)]
