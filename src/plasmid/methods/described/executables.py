"""Applets and apps."""

from __future__ import annotations

from typing import Final

from plasmid.methods.described.objects import SOURCE
from plasmid.methods.described.shared import (
    BILL_TO,
    CONTAINER,
    DESCRIBE_KEYS,
    DESCRIBED,
    DETAILS,
    NEW_OBJECT,
    NONCE,
    NOTHING,
    REF,
    TAGS_GIVEN,
    listing,
)
from plasmid.methods.described.values import (
    Told,
    Value,
    an_id,
    anything,
    boolean,
    free,
    hash_of,
    map_of,
    shared,
    text,
    words,
)

TEXTS: Final[dict[str, Value]] = {
    "title": text("Its title"),
    "summary": text("A line about it"),
    "description": text("More about it"),
    "developerNotes": text("What its developers should know"),
}
# What applets and apps both say of themselves.
_SAID: Final[dict[str, Value]] = {
    **TEXTS,
    "ignoreReuse": boolean("Never take the outputs of an earlier job for it"),
    "treeTurnaroundTimeThreshold": anything("How long a tree of it may take, in seconds"),
    "httpsApp": shared("HttpsApp", "A web application of its jobs"),
    "access": shared("Access", "What its jobs may do"),
}
_REGIONAL: Final = {
    "applet": an_id("the applet that it is made from", "applet"),
    "resources": words("files that its jobs find in its resources container"),
    "pricingPolicy": free("kept, and without effect here"),
}
_APP: Final[dict[str, Value]] = {
    **_SAID,
    "details": DETAILS,
    "openSource": boolean("Everybody who may run it may get its code"),
    "applet": an_id("The applet that it is made from, if for one region", "applet"),
    "resources": words("Files for its resources container, if for one region"),
    "regionalOptions": map_of("What it is made from, by region", hash_of("", _REGIONAL)),
}
_LISTS: Final = {
    "Categories": ("categories", "Categories"),
    "Developers": ("developers", "Users who make and change versions"),
    "AuthorizedUsers": ("authorizedUsers", "Users who run it, or PUBLIC"),
}
# The same for apps and global workflows.
VERBS: Final[dict[str, Told]] = {
    "describe": Told(DESCRIBE_KEYS, DESCRIBED),
    "addTags": Told({"tags": TAGS_GIVEN}, REF),
    "removeTags": Told({"tags": TAGS_GIVEN}, REF),
    "publish": Told({"makeDefault": boolean("Make it the default version, too")}, REF),
    "delete": Told(NOTHING, REF),
    **{
        f"{verb}{name}": Told({key: words(says, required=True)}, REF)
        for name, (key, says) in _LISTS.items()
        for verb in ("add", "remove")
    },
    **{f"list{name}": Told(NOTHING, listing(key, says)) for name, (key, says) in _LISTS.items()},
}
ROUTES: Final = {
    "/applet/new": Told(
        {
            **NEW_OBJECT,
            **_SAID,
            "dxapi": text("The version of the API that it is written for"),
            "runSpec": shared("RunSpec", "What is run, and in what", required=True),
            "inputSpec": shared("IoSpec", "Its input; anything if there is none"),
            "outputSpec": shared("IoSpec", "Its output; anything if there is none"),
            "initializeFrom": SOURCE,
            "nonce": NONCE,
        },
        REF,
    ),
    "/applet-xxxx/get": Told({"project": CONTAINER}, DESCRIBED),
    **{f"/app-xxxx/{verb}": told for verb, told in VERBS.items()},
    "/app/new": Told(
        {
            **_APP,
            "name": text("Its name, for all versions", nonempty=True, required=True),
            "version": text("Its version, such as 1.0.0", nonempty=True, required=True),
            "billTo": BILL_TO,
            "nonce": NONCE,
        },
        REF,
    ),
    "/app-xxxx/update": Told(_APP, REF),
    "/app-xxxx/get": Told(NOTHING, DESCRIBED),
    "/app-xxxx/install": Told(NOTHING, REF),
    "/app-xxxx/uninstall": Told(NOTHING, REF),
}
