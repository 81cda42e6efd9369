"""What is the same for many routes: how objects are described, named, marked, paged."""

from __future__ import annotations

from typing import Final

from plasmid.methods.described.values import (
    Keys,
    Told,
    Value,
    an_id,
    anything,
    array,
    boolean,
    choice,
    either,
    free,
    hash_of,
    integer,
    map_of,
    text,
    time,
    words,
)

REF: Final = hash_of(
    "The id of what was made or changed", {"id": text("the id", required=True)}, required=True
)
NOTHING: Final[Keys] = {}
FLAGS: Final = map_of("Names with true or false", either("yes or no", boolean(""), text("")))
DESCRIBE_KEYS: Final[dict[str, Value]] = {
    "fields": map_of(
        "The names of the fields that are wanted, each with true; with `defaultFields`, false"
        " leaves one of the default fields out",
        anything("true or false"),
    ),
    "defaultFields": boolean("With `fields`: add to the default fields, not replace them"),
}
DESCRIBE: Final = either(
    "Describe each result: true, or what a describe of it takes",
    boolean("true for the default fields"),
    free("what a describe takes"),
)
DESCRIBED: Final = free("The fields that were asked for, `id` among them", required=True)
LEVELS: Final = ("VIEW", "UPLOAD", "CONTRIBUTE", "ADMINISTER")
CONTAINER: Final = an_id("The project or container in which the object is meant", "project",
    "container")  # fmt: skip
IN_CONTAINER: Final = an_id("The project or container in which it is changed", "project",
    "container", required=True)  # fmt: skip
NAME: Final = text("The new name", nonempty=True, required=True)
TAGS: Final = words("Tags, each a nonempty string")
TAGS_GIVEN: Final = words("The tags", required=True)
TYPES: Final = array(
    "Types: words of ASCII letters, digits and _.-",
    Value({"type": "string", "pattern": r"^[A-Za-z_][A-Za-z0-9_.\-]*$"}),
)
PROPERTIES: Final = map_of("Properties: nonempty keys with texts", Value({"type": "string"}))
PROPERTY_CHANGES: Final = map_of(
    "Properties to set, or with null to remove", Value({"type": ["string", "null"]})
)
DETAILS: Final = either(
    "Details: any JSON object or array; links in it are followed",
    free("an object"),
    array("an array", Value({})),
)
FOLDER: Final = text("A folder, by its path from /", pattern="^/")
PARENTS: Final = boolean("Make the folder, and those above it, where they are missing")
REGION: Final = text("A region's name, such as aws:us-east-1")
BILL_TO: Final = an_id("Who is billed", "user", "org")
NONCE: Final = text(
    "Makes the call safe to repeat: with the same nonce and input it is answered as the first"
    " time (at most 128 bytes)",
    longest=128,
)
DESCRIBE_OBJECT: Final[dict[str, Value]] = {"project": CONTAINER, **DESCRIBE_KEYS}
NEW_OBJECT: Final[dict[str, Value]] = {
    "project": an_id("Where the object is to lie", "project", "container", required=True),
    "name": text("Its name; its id if there is none", nonempty=True),
    "folder": FOLDER,
    "parents": PARENTS,
    "tags": TAGS,
    "properties": PROPERTIES,
    "types": TYPES,
    "details": DETAILS,
    "hidden": boolean("Leave it out where hidden objects are not asked for"),
}

# Of a whole find: which page of the results, and how much to say of each of them.
PAGE: Final[dict[str, Value]] = {
    "limit": integer("How many results at most; more than 1000 are never given", least=1),
    "starting": anything("Where to go on: what `next` of the page before was"),
    "describe": DESCRIBE,
}
NAME_PATTERN: Final = either(
    "What the name is like",
    text("this name"),
    hash_of(
        "a pattern: exactly one of `glob` and `regexp`",
        {
            "glob": text("* is any text, ? one character, \\ takes the next as it is"),
            "regexp": text("a regular expression (RE2) that is found anywhere in the name"),
            "flags": choice("i: upper and lower case are the same", "", "i"),
        },
    ),
)
CONDITION: Final = either(
    "A word, or words nested in $and and $or",
    text("a word"),
    map_of("", array("", Value({}), required=True)),
)
PROPERTY_CONDITION: Final = either(
    "Keys with the values that they must have (true: any value), nested in $and and $or",
    free("a condition"),
)
TIMES: Final = hash_of(
    "Between two moments", {"after": time("from"), "before": time("until")}
)  # fmt: skip


def page_of(says: str, item: Keys) -> Value:
    """Return a page of results."""
    return hash_of(
        says,
        {
            "results": array("the results", hash_of("a result", item, required=True),
                required=True),
            "next": Value({"description": "where the next page begins; null after the last"},
                is_required=True),
        },
        required=True,
    )  # fmt: skip


def listing(key: str, says: str) -> Value:
    """Return an answer that is one array of strings."""
    item = Value({"type": "string"})
    return hash_of(says, {key: array(says, item, required=True)}, required=True)


def one_or_many(says: str, *classes: str) -> Value:
    """Return an id or an array of ids."""
    one = an_id("an id", *classes, required=True)
    return either(says, Value({"type": "null"}), one, array("ids", one, most=1000))


def for_classes(classes: tuple[str, ...], verbs: dict[str, Told]) -> dict[str, Told]:
    """Return verbs as routes on objects of each of some classes."""
    return {f"/{name}-xxxx/{verb}": told for name in classes for verb, told in verbs.items()}
