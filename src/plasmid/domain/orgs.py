"""Orgs: what their members may do, their policies, and how handles are spelled (contract J.6)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from plasmid.domain import errors, keys
from plasmid.domain.access import Level

ADMIN: Final = "ADMIN"
MEMBER: Final = "MEMBER"
LEVELS: Final = (MEMBER, ADMIN)
PUBLIC: Final = "PUBLIC"

# What an ADMIN has, whatever else is said of them.
_OF_ADMINS: Final[dict[str, Any]] = {
    "allowBillableActivities": True,
    "cloudIntegrationManagement": False,
    "appAccess": True,
    "projectAccess": "ADMINISTER",
    "treManagement": False,
    "archivalManagement": True,
    "dataDeletion": True,
    "dataSearch": True,
    "projectMemberDemotion": True,
}
_OF_MEMBERS: Final[dict[str, Any]] = {
    **dict.fromkeys(_OF_ADMINS, False),
    "appAccess": True,
    "projectAccess": "CONTRIBUTE",
}
_POLICIES: Final[dict[str, tuple[str, ...]]] = {
    "memberListVisibility": (ADMIN, MEMBER, PUBLIC),
    "restrictProjectTransfer": (ADMIN, MEMBER),
}
_FLAGS: Final = ("jobReuse", "detailedJobMetricsCollectDefault")
_HANDLE: Final = re.compile(r"[a-z][a-z0-9_.]{2,62}")


def check_handle(value: object, key: str) -> str:
    """Return a handle of an org or a user in lower case; raises InvalidInput naming the key."""
    handle = value.lower() if isinstance(value, str) else ""
    if not _HANDLE.fullmatch(handle):
        raise keys.refusal(
            key,
            "input",
            'at least 3 and at most 63 letters, digits, "_" and ".", of which the first is a'
            " letter",
        )
    return handle


def check_level(body: dict[str, Any], where: str = "input") -> str | None:
    """Return the level in an org that is given, or None; raises InvalidInput."""
    return keys.one_of(body, "level", LEVELS, where)


def check_access(body: Mapping[str, Any], where: str = "input") -> dict[str, Any]:
    """Return what a body says that a MEMBER may do; raises InvalidInput."""
    given = dict(body)
    found: dict[str, Any] = {}
    for name in _OF_MEMBERS:
        if given.get(name) is None:
            continue
        if name == "projectAccess":
            found[name] = Level.parse(given[name], f"{where}.{name}").name
        else:
            found[name] = keys.boolean(given, name, where)
    return found


def raised(present: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a MEMBER may do who is given this beside what they have: the more of each."""
    before = access_of(MEMBER, present)
    found = dict(present)
    for name, value in given.items():
        if name == "projectAccess":
            found[name] = max(Level[before[name]], Level[value]).name
        else:
            found[name] = before[name] or value
    return found


def access_of(level: str, access: Mapping[str, Any]) -> dict[str, Any]:
    """Return all that a member may do, by the keys of the API."""
    return dict(_OF_ADMINS) if level == ADMIN else {**_OF_MEMBERS, **access}


def project_access(level: str, access: Mapping[str, Any]) -> Level:
    """Return the most that a member gets in a project by the org's permission on it."""
    return Level[access_of(level, access)["projectAccess"]]


def may_bill(level: str, access: Mapping[str, Any]) -> bool:
    """Say whether a member may make what the org is billed for."""
    return bool(access_of(level, access)["allowBillableActivities"])


def new_policies() -> dict[str, Any]:
    """Return the policies of an org of which nothing is said; `dx new org` says ADMIN for both."""
    return {"memberListVisibility": ADMIN, "restrictProjectTransfer": MEMBER}


def check_policies(value: object) -> dict[str, Any]:
    """Return the policies that are to change; raises InvalidInput. Unknown ones are left out."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise errors.InvalidInput('Expected key "policies" of input to be a hash')
    found: dict[str, Any] = {}
    for name, choices in _POLICIES.items():
        if value.get(name) is not None:
            found[name] = keys.one_of(value, name, choices, "policies")
    for name in _FLAGS:
        if value.get(name) is not None:
            found[name] = keys.boolean(value, name, "policies")
    return found
