"""Projects and containers: themselves, their members, their folders."""

from __future__ import annotations

from typing import Final

from plasmid.domain import archival
from plasmid.methods.described.shared import (
    BILL_TO,
    DESCRIBE,
    DESCRIBE_KEYS,
    DESCRIBED,
    FOLDER,
    LEVELS,
    NOTHING,
    PARENTS,
    PROPERTIES,
    PROPERTY_CHANGES,
    REF,
    REGION,
    TAGS,
    TAGS_GIVEN,
    for_classes,
)
from plasmid.methods.described.values import (
    Told,
    Value,
    an_id,
    array,
    boolean,
    choice,
    either,
    hash_of,
    id_part,
    integer,
    map_of,
    number,
    text,
    words,
)

_DATA: Final = ("file", "record", "applet", "workflow", "database")
_ANY_DATA: Final = "|".join(f"{name}-{id_part(name)}" for name in _DATA)
OBJECTS: Final = array(
    "Ids of data objects", Value({"type": "string", "pattern": f"^({_ANY_DATA})$"})
)
FLAGS: Final = {
    "protected": boolean("Only administrators remove from it"),
    "restricted": boolean("Nothing can be cloned out of it"),
    "downloadRestricted": boolean("Nothing can be downloaded but by jobs"),
    "previewViewerRestricted": boolean("Files cannot be looked at in a browser"),
    "externalUploadRestricted": boolean("Only jobs upload to it"),
    "containsPHI": boolean("Not offered here: must not be true"),
    "databaseUIViewOnly": boolean("Databases are seen only in a browser"),
    "databaseResultsRestricted": integer("How few results of a query are held back"),
    "destroyProtected": boolean("It cannot be destroyed while this is so"),
    "allowedExecutables": words("The only applets and apps that may be run in it"),
}
TEXTS: Final = {"summary": text("A line about it"), "description": text("More about it")}
_DESCRIBE: Final = {
    **DESCRIBE_KEYS,
    **{
        name: boolean(f"Add `{name}` to the default fields")
        for name in (
            "appCaches", "availableInstanceTypes", "destroyProtected", "fileUploadParameters",
            "folders", "objects", "permissions", "properties",
        )
    },
}  # fmt: skip
_FOLDER: Final = text("The folder, by its path from /", pattern="^/", required=True)
_FOLDERS: Final = words("Folders, by their paths")
_DONE: Final = hash_of(
    "Whether all is removed; if not, call again",
    {"id": text("the container", required=True), "completed": boolean("", required=True)},
    required=True,
)
_LISTED: Final = hash_of(
    "What lies directly in the folder",
    {
        "objects": array("the objects", hash_of("", {"id": text("", required=True)},
            required=True), required=True),
        "folders": array("paths; with `hasSubfolderFlags` pairs of path and flag", Value({}),
            required=True),
    },
    required=True,
)  # fmt: skip
_ARCHIVED: Final = {
    "files": words("Ids of files; or"),
    "folder": FOLDER,
    "recurse": boolean("With the folders below it, which is so if nothing is said"),
}
_BOTH: Final = {
    "describe": Told(_DESCRIBE, DESCRIBED),
    "newFolder": Told({"folder": _FOLDER, "parents": PARENTS}, REF),
    "listFolder": Told(
        {
            "folder": FOLDER,
            "only": choice("What to list", "all", "objects", "folders"),
            "describe": DESCRIBE,
            "includeHidden": boolean("List hidden objects too"),
            "hasSubfolderFlags": boolean("Say of each folder whether it has folders"),
        },
        _LISTED,
    ),
    "removeFolder": Told(
        {
            "folder": _FOLDER,
            "recurse": boolean("Remove what is in it, too"),
            "force": boolean("It need not exist"),
            "partial": boolean("Remove 10,000 objects at most, and say whether that was all"),
        },
        _DONE,
    ),
    "renameFolder": Told(
        {"folder": _FOLDER, "newpath": text("Its new path", pattern="^/", required=True)}, REF
    ),
    "move": Told(
        {
            "objects": OBJECTS,
            "folders": _FOLDERS,
            "destination": text("Into which folder", pattern="^/", required=True),
        },
        REF,
    ),
    "removeObjects": Told(
        {
            "objects": Value(OBJECTS.schema, is_required=True),
            "force": boolean("They need not be there"),
        },
        REF,
    ),
    "clone": Told(
        {
            "objects": OBJECTS,
            "folders": _FOLDERS,
            "project": an_id("Where to", "project", "container", required=True),
            "destination": FOLDER,
            "parents": PARENTS,
        },
        hash_of(
            "What was there already",
            {
                "id": text("from where", required=True),
                "project": text("where to", required=True),
                "exists": array("objects that were there already", Value({"type": "string"}),
                    required=True),
            },
            required=True,
        ),
    ),
}  # fmt: skip
_PROJECTS: Final = {
    "/project/new": Told(
        {
            "name": text("Its name", nonempty=True, required=True),
            **TEXTS,
            "region": REGION,
            "billTo": BILL_TO,
            "tags": TAGS,
            "properties": PROPERTIES,
            **FLAGS,
        },
        REF,
    ),
    "/project-xxxx/update": Told(
        {
            "name": text("Its name", nonempty=True),
            **TEXTS,
            **FLAGS,
            "billTo": BILL_TO,
            "version": integer("Change it only if it is at this version"),
        },
        REF,
    ),
    "/project-xxxx/destroy": Told(
        {"terminateJobs": boolean("Terminate what runs in it; else there must be nothing")}, REF
    ),
    "/project-xxxx/invite": Told(
        {
            "invitee": text("A user, an org, an e-mail address, or PUBLIC", required=True),
            "level": choice("At least this level", *LEVELS, required=True),
        },
        hash_of(
            "What became of it",
            {"id": text("", required=True), "state": text("", required=True)},
            required=True,
        ),
    ),
    "/project-xxxx/decreasePermissions": Told(
        NOTHING,
        REF,
        body=map_of(
            "Members with the level that they are lowered to; null removes one",
            either("", choice("a level", "NONE", *LEVELS), Value({"type": "null"})),
            required=True,
        ),
    ),
    "/project-xxxx/archive": Told(
        {**_ARCHIVED, "allCopies": boolean("Of each also the copies in other projects")},
        hash_of(
            "How many were live until now",
            {"id": text("", required=True), "count": integer("", required=True)},
            required=True,
        ),
    ),
    "/project-xxxx/unarchive": Told(
        {
            **_ARCHIVED,
            "rate": choice("How soon", *archival.RATES),
            "dryRun": boolean("Only say how many they are"),
        },
        hash_of(
            "How many and how large they are",
            {
                "id": text("the project", required=True),
                "files": integer("how many", required=True),
                "size": number("how large, in GiB", required=True),
                "cost": number("nothing", required=True),
            },
            required=True,
        ),
    ),
    "/container-xxxx/destroy": Told(NOTHING, REF),
    "/project-xxxx/leave": Told(NOTHING, REF),
    "/project-xxxx/addTags": Told({"tags": TAGS_GIVEN}, REF),
    "/project-xxxx/removeTags": Told({"tags": TAGS_GIVEN}, REF),
    "/project-xxxx/setProperties": Told({"properties": PROPERTY_CHANGES}, REF),
}
ROUTES: Final = {**for_classes(("project", "container"), _BOTH), **_PROJECTS}
