"""Data objects: what all classes share, files, records."""

from __future__ import annotations

from typing import Final

from plasmid.methods.described.shared import (
    CONTAINER,
    DESCRIBE_OBJECT,
    DESCRIBED,
    DETAILS,
    IN_CONTAINER,
    NAME,
    NEW_OBJECT,
    NONCE,
    NOTHING,
    PROPERTY_CHANGES,
    REF,
    TAGS_GIVEN,
    TYPES,
    for_classes,
)
from plasmid.methods.described.values import (
    Told,
    an_id,
    anything,
    boolean,
    choice,
    hash_of,
    integer,
    map_of,
    number,
    text,
    time,
)

CLASSES: Final = ("file", "record", "applet", "workflow")
OPEN_CLASSES: Final = ("file", "record", "workflow")
# Old ways to ask for more than the default fields.
FLAGS: Final = {
    name: boolean(f"Add `{name}` to the default fields")
    for name in ("properties", "details", "parts", "sponsoredUntil", "headline")
}
LINKS: Final = {"url": text("where", required=True), "expires": time("until when", required=True)}
SOURCE: Final = hash_of(
    "Take what this body lacks from another object of the class",
    {
        "id": text("its id", required=True),
        "project": an_id("where it lies", "project", "container"),
    },
)

_EVERY: Final = {
    "describe": Told({**DESCRIBE_OBJECT, **FLAGS}, DESCRIBED),
    "rename": Told({"project": IN_CONTAINER, "name": NAME}, REF),
    "addTags": Told({"project": IN_CONTAINER, "tags": TAGS_GIVEN}, REF),
    "removeTags": Told({"project": IN_CONTAINER, "tags": TAGS_GIVEN}, REF),
    "setProperties": Told({"project": IN_CONTAINER, "properties": PROPERTY_CHANGES}, REF),
    "getDetails": Told({"project": CONTAINER}, anything("The details, as they were set")),
    "listProjects": Told(
        {"project": CONTAINER},
        map_of(
            "Each container where the caller sees it, with their level",
            choice("a level", "VIEW", "UPLOAD", "CONTRIBUTE", "ADMINISTER", required=True),
            required=True,
        ),
    ),
}
_OPEN: Final = {
    "addTypes": Told({"types": TYPES}, REF),
    "removeTypes": Told({"types": TYPES}, REF),
    "setVisibility": Told({"hidden": boolean("Whether to hide it", required=True)}, REF),
    "setDetails": Told(NOTHING, REF, body=DETAILS),
    "close": Told(NOTHING, REF),
}
_FILES: Final = {
    "/file/new": Told(
        {**NEW_OBJECT, "media": text("The media type, such as text/plain"), "nonce": NONCE}, REF
    ),
    "/file-xxxx/upload": Told(
        {
            "index": integer("Which part, from 1", least=1),
            "size": integer("The size of the part in bytes", least=0),
            "md5": text("The MD5 of the part", pattern="^[0-9a-fA-F]{32}$"),
        },
        hash_of(
            "Where and with which headers to PUT the part",
            {**LINKS, "headers": map_of("headers", text("", required=True), required=True)},
            required=True,
        ),
    ),
    "/file-xxxx/download": Told(
        {
            "project": CONTAINER,
            "duration": number("How long the URL is good, in seconds; a day", above=0),
            "filename": text("Under which name it is kept", nonempty=True),
            "preauthenticated": boolean("Whether the URL works by itself, as each does here"),
        },
        hash_of(
            "Where to GET the bytes",
            {**LINKS, "headers": map_of("headers", text("", required=True), required=True)},
            required=True,
        ),
    ),
}
_RECORDS: Final = {
    "/record/new": Told(
        {
            **NEW_OBJECT,
            "close": boolean("Close it at once"),
            "initializeFrom": SOURCE,
            "nonce": NONCE,
        },
        REF,
    ),
}
ROUTES: Final = {
    **for_classes(CLASSES, _EVERY),
    **for_classes(OPEN_CLASSES, _OPEN),
    **_FILES,
    **_RECORDS,
}
