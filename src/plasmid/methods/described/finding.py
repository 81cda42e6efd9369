"""Finding: data objects, executions, projects, apps; names resolved, many described at once."""

from __future__ import annotations

from typing import Final

from plasmid.domain import filters
from plasmid.methods.described.shared import (
    BILL_TO,
    CONDITION,
    DESCRIBE,
    FOLDER,
    LEVELS,
    NAME_PATTERN,
    PAGE,
    PROPERTY_CONDITION,
    TIMES,
    one_or_many,
    page_of,
)
from plasmid.methods.described.values import (
    Keys,
    Told,
    Value,
    an_id,
    array,
    boolean,
    choice,
    either,
    free,
    hash_of,
    map_of,
    text,
    words,
)

_ID: Final = {"id": text("", required=True), "describe": free("if it was asked for")}
_PLACED: Final = {**_ID, "project": text("where it lies", required=True)}
_LEVEL: Final = choice("The least level of the caller's", *LEVELS)
_REGION: Final = either("One region, or some", text("one"), words("some"))
_MARKED: Final = {
    "name": NAME_PATTERN,
    "tags": CONDITION,
    "properties": PROPERTY_CONDITION,
    "created": TIMES,
}
_SCOPE: Final = hash_of(
    "Where to look",
    {
        "project": an_id("the project or container", "project", "container", required=True),
        "folder": FOLDER,
        "recurse": boolean("Also in the folders below it, which is so if nothing is said"),
    },
)
_SORT: Final = hash_of(
    "The order of the results",
    {
        "field": choice("by what", "created", "modified", "name"),
        "ordering": choice("which way", "ascending", "descending"),
    },
)
_DATA_OBJECTS: Final[Keys] = {
    **PAGE,
    **_MARKED,
    "class": choice("Their class", *filters.FOUND_CLASSES),
    "state": choice("Their state", *filters.STATES),
    "visibility": choice("Hidden ones too, or only", *filters.VISIBILITIES),
    "id": one_or_many("Among these ids", "file", "record", "applet", "workflow", "database"),
    "type": CONDITION,
    "tag": CONDITION,
    "link": text("What they link to, by its id"),
    "scope": _SCOPE,
    "level": _LEVEL,
    "region": _REGION,
    "archivalState": choice("Whether their bytes are archived", *filters.ARCHIVAL_STATES),
    "modified": TIMES,
    "sortBy": _SORT,
}
_EXECUTIONS: Final[dict[str, Value]] = {
    **PAGE,
    **_MARKED,
    "tag": CONDITION,
    "launchedBy": text("Who launched them; self is the caller"),
    "executable": text("Of which applet, app or workflow"),
    "project": an_id("Of which project", "project"),
    "state": choice("Their state", *filters.EXECUTION_STATES),
    "originJob": one_or_many("Below which master jobs", "job"),
    "rootExecution": one_or_many("In which trees", "job", "analysis"),
    "parentJob": an_id("Launched by which job; null: by none", "job"),
    "parentAnalysis": an_id("Stages of which analysis; null: of none", "analysis"),
    "includeSubjobs": boolean("Also jobs of entry points, which is so if nothing is said"),
    "includeRestarted": boolean("Also the tries before the last one"),
}
PROJECTS: Final[Keys] = {
    **PAGE,
    **_MARKED,
    "tag": CONDITION,
    "id": one_or_many("Among these", "project"),
    "level": _LEVEL,
    "explicitPermission": boolean("Whether the caller is a member"),
    "public": boolean("Whether everybody may see them"),
    "region": _REGION,
    "billTo": BILL_TO,
    "containsPHI": boolean("Whether they are so marked"),
    "externalUploadRestricted": boolean("Whether only jobs upload to them"),
}
APPS: Final[Keys] = {
    **PAGE,
    "name": NAME_PATTERN,
    "category": text("Under which category"),
    "allVersions": boolean("All versions; else the default ones"),
    "published": boolean("Whether they are published"),
    "billTo": BILL_TO,
    "createdBy": an_id("Who made them", "user"),
    "developer": an_id("Who may change them", "user", "org"),
    "authorizedUser": text("Who may run them: a user, an org, or PUBLIC"),
    "created": TIMES,
    "modified": TIMES,
}
_MANY: Final = hash_of(
    "For each its describe, or the error that it would have been",
    {"results": array("in the order asked", Value({"type": "object"}), required=True)},
    required=True,
)
_SOME: Final = {
    "objects": array(
        "Which ones, by id or with more",
        either(
            "",
            text("its id"),
            hash_of("one", {"id": text("its id", required=True), "describe": DESCRIBE}),
        ),
        required=True,
        most=1000,
    ),
    "classDescribeOptions": map_of("What to say of those of a class, or *", DESCRIBE),
}
_ASKED: Final = hash_of(
    "an object",
    {
        "id": text("its id", required=True),
        "project": an_id("where it is meant", "project", "container"),
        "describe": DESCRIBE,
    },
)
ROUTES: Final = {
    "/system/describeExecutions": Told(_SOME, _MANY),
    "/system/describeProjects": Told(_SOME, _MANY),
    "/system/findDatabases": Told({}, page_of("Databases, of which there are none", _ID)),
    "/system/findDataObjects": Told(_DATA_OBJECTS, page_of("Data objects", _PLACED)),
    "/system/findExecutions": Told(
        {**_EXECUTIONS, "class": choice("Only jobs, or only analyses", "job", "analysis")},
        page_of("Jobs and analyses, the newest first", _ID),
    ),
    "/system/findJobs": Told(_EXECUTIONS, page_of("Jobs, the newest first", _ID)),
    "/system/findAnalyses": Told(_EXECUTIONS, page_of("Analyses, the newest first", _ID)),
    "/system/findProjects": Told(PROJECTS, page_of("Projects", _ID)),
    "/system/findApps": Told(APPS, page_of("Versions of apps", _ID)),
    "/system/findGlobalWorkflows": Told(APPS, page_of("Versions of global workflows", _ID)),
    "/system/resolveDataObjects": Told(
        {
            "objects": array(
                "What to look for",
                hash_of(
                    "a name",
                    {
                        "name": text("the name", required=True),
                        "project": an_id("where, if not as below", "project", "container"),
                        "folder": FOLDER,
                    },
                ),
                required=True,
                most=1000,
            ),
            "project": an_id("Where names that do not say it are meant", "project", "container"),
            "folder": FOLDER,
            "describe": DESCRIBE,
            "includeProjectMetadata": boolean("Sent by the client; changes nothing"),
        },
        hash_of(
            "For each name what was found",
            {"results": array("in the order asked", Value({"type": "array"}), required=True)},
            required=True,
        ),
    ),
    "/system/describeDataObjects": Told(
        {
            "objects": array(
                "Which objects, by id or with more",
                either("", text("its id"), _ASKED),
                required=True,
                most=1000,
            ),
            "classDescribeOptions": map_of("What to say of objects of a class, or *", DESCRIBE),
        },
        _MANY,
    ),
}
