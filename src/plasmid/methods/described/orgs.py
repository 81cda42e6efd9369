"""Orgs and their members, new users, people to be found."""

from __future__ import annotations

from typing import Final

from plasmid.domain import orgs
from plasmid.methods.described import finding
from plasmid.methods.described.shared import (
    BILL_TO,
    DESCRIBE_KEYS,
    DESCRIBED,
    LEVELS,
    NONCE,
    PAGE,
    REF,
    one_or_many,
    page_of,
)
from plasmid.methods.described.values import (
    Told,
    Value,
    an_id,
    anything,
    boolean,
    choice,
    free,
    hash_of,
    integer,
    map_of,
    shared,
    text,
    without,
    words,
)

_ID: Final = {"id": text("", required=True), "describe": free("if it was asked for")}
_LEVEL: Final = choice("Their level", *orgs.LEVELS)
_STATE: Final = hash_of(
    "What became of it",
    {"id": text("the org", required=True), "state": text("", required=True)},
    required=True,
)
# What a member may do.
_PLACE: Final[dict[str, Value]] = {
    "level": _LEVEL,
    "allowBillableActivities": boolean("Whether they may have it pay"),
    "appAccess": boolean("Whether they may use its apps"),
    "projectAccess": choice("Their level on projects that it pays for", "NONE", *LEVELS),
}
_ORGS: Final = {
    "/org/new": Told(
        {
            "handle": text("What its id ends with", nonempty=True, required=True),
            "name": text("Its name", nonempty=True, required=True),
            "policies": shared("Policies", "Its policies"),
            "nonce": NONCE,
        },
        REF,
    ),
    "/org-xxxx/describe": Told(DESCRIBE_KEYS, DESCRIBED),
    "/org-xxxx/update": Told(
        {
            "name": text("Its name", nonempty=True),
            "policies": shared("Policies", "Changes of its policies"),
            "samlIdP": text("Kept, and without effect here"),
            "jobLogsForwarding": free("Kept, and without effect here"),
            "permittedRegions": words("Where it is billed for new things; null: everywhere"),
        },
        REF,
    ),
    "/org-xxxx/destroy": Told(
        {"billTo": an_id("Who pays from now on for what it paid for", "user", "org")}, REF
    ),
    "/org-xxxx/invite": Told(
        {
            "invitee": text("A user, or their e-mail address", required=True),
            **_PLACE,
            "suppressEmailNotification": boolean("Nobody is written to here, anyhow"),
        },
        _STATE,
    ),
    "/org-xxxx/removeMember": Told(
        {
            "user": text("Who", required=True),
            "revokeProjectPermissions": boolean("From its projects, too, which is so anyhow"),
            "revokeAppPermissions": boolean("From its apps, too, which is so anyhow"),
        },
        hash_of(
            "What they have lost",
            {
                "id": text("the org", required=True),
                "projects": free("levels, by project", required=True),
                "apps": free("rights, by app", required=True),
            },
            required=True,
        ),
    ),
    "/org-xxxx/setMemberAccess": Told(
        {}, REF, body=map_of("Members with what they may do", hash_of("", _PLACE), required=True)
    ),
    "/org-xxxx/findMembers": Told(
        {**PAGE, "id": one_or_many("Among these", "user"), "level": _LEVEL},
        page_of("Members", _ID),
    ),
    "/org-xxxx/findProjects": Told(finding.PROJECTS, page_of("Projects that it pays for", _ID)),
    "/org-xxxx/findApps": Told(finding.APPS, page_of("Versions of apps that it pays for", _ID)),
    "/system/findOrgs": Told(
        {
            **PAGE,
            "level": choice("The least level of the caller", *orgs.LEVELS),
            "allowBillableActivities": boolean("Whether the caller may have it pay"),
        },
        page_of("Orgs", _ID),
    ),
}
_PEOPLE: Final = {
    "/user/new": Told(
        {
            "username": text("What the id ends with", nonempty=True, required=True),
            "email": text("An e-mail address, of nobody else", required=True),
            "first": text("The first name"),
            "middle": text("The middle name"),
            "last": text("The last name"),
            "occupation": text("The occupation"),
            "billTo": BILL_TO,
            "provisioningOrg": an_id("The org that makes the account", "org"),
            "tokenDuration": integer("Without effect here: the operator makes tokens"),
        },
        REF,
    ),
    "/system/findUsers": Told(
        {**PAGE, "id": one_or_many("Among these", "user")}, page_of("Users", _ID)
    ),
    "/system/findAffiliates": Told(
        {**PAGE, "id": one_or_many("Among these", "user")},
        page_of("Users of the caller's orgs", _ID),
    ),
    "/system/findProjectMembers": Told(
        {
            **PAGE,
            "project": an_id("Of which project", "project", required=True),
            "level": choice("The least level", *LEVELS),
        },
        page_of("Members of a project", _ID),
    ),
}
_ENTRANTS: Final = {
    "/project-xxxx/join": Told(
        {"level": choice("With which level", *LEVELS, required=True)},
        hash_of(
            "The level",
            {"id": text("the project", required=True), "level": text("", required=True)},
            required=True,
        ),
    ),
    "/project-xxxx/transfer": Told(
        {"invitee": text("Who is to pay: a user, an org or an e-mail address", required=True)},
        _STATE,
    ),
    "/project-xxxx/acceptTransfer": Told({"billTo": BILL_TO}, REF),
}
_ASIDE: Final = {
    "/project-xxxx/checkFeatureAccess": Told(
        {"features": anything("Names of features, in an array", required=True)},
        hash_of(
            "Which of them there are",
            {"features": map_of("", boolean("", required=True), required=True)},
            required=True,
        ),
    ),
    "/notifications/get": Told(
        {}, hash_of("Of nothing", {"notifications": anything("", required=True)}, required=True)
    ),
    "/notifications/markRead": Told({}, free("Nothing", required=True)),
    "/system/shortenURL": Told(
        {"url": text("Any URL", required=True)},
        hash_of("The same URL", {"url": text("the URL", required=True)}, required=True),
    ),
    "/system/globalSearch": Told(
        {**without(PAGE, ("describe",)), "query": text("Words of a name", required=True)},
        page_of("What has such a name", _ID),
    ),
}
ROUTES: Final = {**_ORGS, **_PEOPLE, **_ENTRANTS, **_ASIDE}
