"""Entity ids: read them, and make them from given randomness (contract A.11)."""

from __future__ import annotations

import re
from typing import Final

ALPHABET: Final = "0123456789BFGJKPQVXYZbfgjkpqvxyz"
ID_LENGTH: Final = 24
DATA_OBJECT_CLASSES: Final = frozenset({"file", "record", "applet", "workflow", "database"})
CONTAINER_CLASSES: Final = frozenset({"project", "container"})
EXECUTION_CLASSES: Final = frozenset({"job", "analysis"})
# These have names, too, and versions under each.
VERSIONED_CLASSES: Final = frozenset({"app", "globalworkflow"})
RANDOM_CLASSES: Final = (
    DATA_OBJECT_CLASSES
    | CONTAINER_CLASSES
    | EXECUTION_CLASSES
    | VERSIONED_CLASSES
    | {"dbcluster", "drive"}
)

_RANDOM_ID = re.compile(rf"({'|'.join(sorted(RANDOM_CLASSES))})-[0-9A-Za-z]{{{ID_LENGTH}}}")
_HANDLE_ID = re.compile(r"(?:user|org)-[A-Za-z0-9_.]+|(?:app|globalworkflow)-[A-Za-z0-9_.\-]+")


def mint(class_name: str, randomness: bytes) -> str:
    """Return a new id of a class from at least 15 random bytes (120 bits)."""
    number = int.from_bytes(randomness[:15], "big")
    letters = []
    for _ in range(ID_LENGTH):
        number, digit = divmod(number, len(ALPHABET))
        letters.append(ALPHABET[digit])
    return f"{class_name}-{''.join(letters)}"


def class_of(entity_id: str) -> str | None:
    """Return the class an id names, or None if it is no id; an app has a name, too."""
    found = _RANDOM_ID.fullmatch(entity_id) or _HANDLE_ID.fullmatch(entity_id)
    return entity_id.partition("-")[0] if found else None


def is_id(entity_id: object, *classes: str) -> bool:
    """Say whether a value is an id, of one of the classes if any are given."""
    if not isinstance(entity_id, str):
        return False
    found = class_of(entity_id)
    return found is not None and (not classes or found in classes)


def is_data_object(entity_id: object) -> bool:
    """Say whether a value is the id of a data object."""
    return isinstance(entity_id, str) and class_of(entity_id) in DATA_OBJECT_CLASSES


def is_container(entity_id: object) -> bool:
    """Say whether a value is the id of a project or a container."""
    return isinstance(entity_id, str) and class_of(entity_id) in CONTAINER_CLASSES
