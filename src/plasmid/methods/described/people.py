"""Users and tokens, and what belongs to no object."""

from __future__ import annotations

from typing import Final

from plasmid.methods.described.shared import BILL_TO, DESCRIBE_KEYS, DESCRIBED, LEVELS, NOTHING, REF
from plasmid.methods.described.values import (
    Told,
    Value,
    array,
    boolean,
    choice,
    free,
    hash_of,
    integer,
    map_of,
    text,
    time,
)

_ME: Final = {"id": text("the user", required=True)}
ROUTES: Final = {
    "/system/whoami": Told(
        {"fields": hash_of("More than the id", {"clientIp": boolean("the caller's address")})},
        hash_of("Who calls", {**_ME, "clientIp": text("the address")}, required=True),
    ),
    "/system/greet": Told(
        NOTHING,
        hash_of(
            "What there is to announce",
            {"messages": array("announcements", Value({}), required=True)},
            required=True,
        ),
    ),
    "/system/headers": Told(
        NOTHING, map_of("The headers of the call", text("", required=True), required=True)
    ),
    "/system/comeBackLater": Told(
        {
            "waitUntil": integer("Until when to refuse, in milliseconds since the epoch"),
            "setRetryAfter": boolean("Refuse with the header Retry-After"),
        },
        hash_of("The time", {"currentTime": time("now", required=True)}, required=True),
    ),
    "/system/getUserInfo": Told(
        NOTHING,
        hash_of("Who calls", {**_ME, "username": text("the name", required=True)}, required=True),
    ),
    "/system/newAuthToken": Told(
        {
            "expires": time("Until when it is good: 30 days, and a year at most"),
            "label": text("What it is for", longest=255),
            "scope": hash_of(
                "What it may do; else what the caller's may",
                {
                    "projects": map_of(
                        "projects, or * for all others, with a level",
                        choice("a level", "NONE", *LEVELS, required=True),
                        required=True,
                    )
                },
            ),
        },
        hash_of(
            "The token",
            {
                "access_token": text("the token itself; it is never shown again", required=True),
                "token_type": text("Bearer", required=True),
                "token_signature": text("what ends it", required=True),
                "user_id": text("whose it is", required=True),
                "expires": time("until when it is good", required=True),
            },
            required=True,
        ),
    ),
    "/system/destroyAuthToken": Told(
        {"tokenSignature": text("The token_signature of the one to end", required=True)},
        free("Nothing", required=True),
    ),
    "/user-xxxx/describe": Told(DESCRIBE_KEYS, DESCRIBED),
    "/user-xxxx/update": Told(
        {
            "sshPublicKey": text("The key for logging in to jobs; null takes it away"),
            "billTo": BILL_TO,
            "policies": free("Kept, and without effect here"),
        },
        REF,
    ),
}
