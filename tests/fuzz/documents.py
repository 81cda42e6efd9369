"""The document for fuzzing: that of the server, with ids of what there really is."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

# Texts beside the ids of which calls are made up.
WORDS: Final = ("/", "/f", "/g", "/a/b")
# What is right for keys of which the document says no more than that they are texts.
RIGHT_WORDS: Final[dict[str, list[str]]] = {
    "name": ["new", "a b.txt", "n"],
    "username": ["dora", "zoe"],
    "handle": ["newest", "others"],
    "email": ["dora@example.com"],
    "region": ["aws:us-east-1"],
    "version": ["2.0.0", "2.1.0-rc.1"],
    "dxapi": ["1.0.0"],
    "instanceType": ["mem1_ssd1_v2_x2", "mem1_ssd1_x2"],
    "stage": ["a"],
    "newpath": ["/renamed"],
    "destination": ["/g"],
    "invitee": ["user-bob", "user-eve", "PUBLIC", "org-prepared"],
    "glob": ["*", "n*", "?"],
    "regexp": ["^n", "[a-z]+", "(x|y)"],
    "shared_access": ["VIEW", "NONE"],
    "media": ["text/plain"],
    "title": ["A title"],
    "tags": ["t", "a_b", "T.1"],
    "categories": ["c", "Import"],
    "types": ["T", "Reads"],
    "developers": ["user-bob", "user-eve"],
    "authorizedUsers": ["user-bob", "user-eve", "PUBLIC"],
    "folders": ["/f", "/g"],
    "allowSSH": ["192.0.2.1", "*"],
    "levels": ["INFO", "STDOUT"],
    "ignoreReuse": ["a", "*"],
    "rerunStages": ["a", "*"],
    "instanceTypes": ["mem1_ssd1_v2_x2"],
    "restrictedRegions": ["aws:us-east-1"],
    "permittedRegions": ["aws:us-east-1"],
    "features": ["dxNextflow"],
}
# What is right for keys of which it says no more than that they are numbers.
RIGHT_NUMBERS: Final[dict[str, list[int]]] = {
    "editVersion": [0],
    "newIndex": [0],
    "try": [0],
    "port": [443],
    "index": [1, 2, 10000],
    "rank": [0, 1, -1024],
    "limit": [1, 10, 1000],
}
# Keys of ids of data objects, without a pattern.
_OBJECTS: Final = ("objects", "files", "resources", "dependsOn")
_IS_OBJECT: Final = re.compile(r"^(file|record|applet|workflow)-[0-9A-Za-z]{24}$")
_CLASS: Final = re.compile(r"/([a-z]+)-\{id\}/")
GIVEN, KEPT, ADDED = 0.75, 0.55, 0.6


class RightCall(msgspec.Struct, frozen=True):
    """A call of a path that succeeds: what stands in the path, the body, and whose token."""

    path: dict[str, list[str]]
    body: dict[str, Any] | None
    caller: str


def with_known(value: Any, known: Sequence[str]) -> Any:
    """Return a schema, or what holds schemas, in which texts of a pattern may be known ones."""
    if isinstance(value, list):
        return [with_known(item, known) for item in value]
    if not isinstance(value, dict):
        return value
    fitting = _fitting(value, known)
    if fitting:
        return {"anyOf": [{"type": "string", "enum": fitting}, value]}
    return {key: with_known(item, known) for key, item in value.items()}


def with_right(value: Any, known: Sequence[str], name: str = "") -> Any:
    """Return a schema, or what holds schemas, that is narrowed to what is there and is right.

    Ids are those of what there is; a text or a number whose key says what it is, is one of a few.
    `name` is the key that the schema is for.
    """
    if isinstance(value, list):
        return [with_right(item, known, name) for item in value]
    if not isinstance(value, dict):
        return value
    right = _fitting(value, known) or _right_of(value, known, name)
    if right:
        kinds = value.get("type")
        nothing = [None] if isinstance(kinds, list) and "null" in kinds else []
        return {"enum": [*right, *nothing]}
    found = {key: with_right(item, known, name) for key, item in value.items()}
    if isinstance(value.get("properties"), dict):
        found["properties"] = {
            key: with_right(item, known, key) for key, item in value["properties"].items()
        }
    return found


def _fitting(schema: dict[str, Any], known: Sequence[str]) -> list[str]:
    pattern = schema.get("pattern")
    if not isinstance(pattern, str):
        return []
    return [word for word in (*known, *WORDS) if re.search(pattern, word)]


def _right_of(schema: dict[str, Any], known: Sequence[str], name: str) -> Sequence[Any]:
    kinds = schema.get("type", ())
    kinds = kinds if isinstance(kinds, list) else [kinds]
    if "enum" in schema:
        return ()
    if "string" in kinds and name in _OBJECTS:
        return [word for word in known if _IS_OBJECT.match(word)]
    if "string" in kinds:
        return RIGHT_WORDS.get(name, ())
    return RIGHT_NUMBERS.get(name, ()) if "integer" in kinds else ()


def ids_of(path: str, known: Sequence[str]) -> list[str]:
    """Return what may stand for `{id}` in a path: what follows the class in known ids."""
    found = _CLASS.match(path)
    prefix = f"{found[1]}-" if found else "?"
    return [word.removeprefix(prefix) for word in known if word.startswith(prefix)]


def mended(
    body: Any, right: Mapping[str, Any], required: Sequence[str], luck: random.Random
) -> dict[str, Any]:
    """Return a body that was made up, mended by one that is right for the same call.

    Most of its values are those of the right one; what that does not name is often left out.
    """
    made_up = body if isinstance(body, dict) else {}
    mixed: dict[str, Any] = {}
    for key in sorted({*made_up, *right}):
        if key not in right:
            if luck.random() < ADDED:
                mixed[key] = made_up[key]
        elif key not in made_up:
            if key in required or luck.random() < GIVEN:
                mixed[key] = right[key]
        else:
            mixed[key] = right[key] if luck.random() < KEPT else made_up[key]
    return mixed
