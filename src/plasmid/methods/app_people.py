"""Who develops and who may use an app or a global workflow, and its categories (contract E.5, E.8).

All three belong to the name: they are the same for all versions.
"""

from __future__ import annotations

from typing import Any, Final

from plasmid.domain import errors, ids, keys, properties
from plasmid.metadata import apps, orgs, projects, users
from plasmid.methods import targets
from plasmid.methods.call import Call, Ref
from plasmid.methods.registry import Mode, method
from plasmid.methods.targets import Access, App

# One call looks each of them up while others wait to write.
NAMES_MAX: Final = 1000


def _routes(verb: str) -> tuple[str, str]:
    return f"/app-xxxx/{verb}", f"/globalworkflow-xxxx/{verb}"


@method(*_routes("listDevelopers"), access=Access.APP_DEVELOPER)
async def list_developers(call: Call, target: App, body: dict[str, Any]) -> dict[str, Any]:
    """Return who may make and change versions, to those who may."""
    return {"developers": target.listing.developers}


@method(*_routes("listAuthorizedUsers"), access=Access.APP_DEVELOPER)
async def list_authorized_users(call: Call, target: App, body: dict[str, Any]) -> dict[str, Any]:
    """Return who may see and run published versions, to the developers."""
    return {"authorizedUsers": target.listing.authorized_users}


@method(*_routes("listCategories"), access=Access.APP_VIEW)
async def list_categories(call: Call, target: App, body: dict[str, Any]) -> dict[str, Any]:
    """Return under which categories the app is found."""
    return {"categories": target.listing.categories}


@method(*_routes("addDevelopers"), access=Access.APP_DEVELOPER, mode=Mode.WRITE)
async def add_developers(call: Call, target: App, body: dict[str, Any]) -> Ref:
    """Let users, or those of orgs who have its access to apps, make and change versions."""
    given = await _known(call, _named(body, "developers"))
    present = target.listing.developers
    return await _change(call, target, {"developers": properties.with_added(present, given)})


@method(*_routes("removeDevelopers"), access=Access.APP_DEVELOPER, mode=Mode.WRITE)
async def remove_developers(call: Call, target: App, body: dict[str, Any]) -> Ref:
    """Let users make and change versions no more; one developer must stay."""
    left = properties.without(target.listing.developers, _named(body, "developers"))
    if not left:
        raise errors.InvalidState(
            f"{target.label} would be left without a developer; add another one first"
        )
    return await _change(call, target, {"developers": left})


@method(*_routes("addAuthorizedUsers"), access=Access.APP_DEVELOPER, mode=Mode.WRITE)
async def add_authorized_users(call: Call, target: App, body: dict[str, Any]) -> Ref:
    """Let users, orgs or everybody (PUBLIC) see and run published versions."""
    given = _named(body, "authorizedUsers")
    await _known(call, [name for name in given if name != projects.PUBLIC])
    present = target.listing.authorized_users
    return await _change(call, target, {"authorized_users": properties.with_added(present, given)})


@method(*_routes("removeAuthorizedUsers"), access=Access.APP_DEVELOPER, mode=Mode.WRITE)
async def remove_authorized_users(call: Call, target: App, body: dict[str, Any]) -> Ref:
    """Let users see and run published versions no more."""
    given = _named(body, "authorizedUsers")
    present = target.listing.authorized_users
    return await _change(call, target, {"authorized_users": properties.without(present, given)})


@method(*_routes("addCategories"), access=Access.APP_DEVELOPER, mode=Mode.WRITE)
async def add_categories(call: Call, target: App, body: dict[str, Any]) -> Ref:
    """Put the app under categories."""
    given = _named(body, "categories")
    return await _change(
        call, target, {"categories": properties.with_added(target.listing.categories, given)}
    )


@method(*_routes("removeCategories"), access=Access.APP_DEVELOPER, mode=Mode.WRITE)
async def remove_categories(call: Call, target: App, body: dict[str, Any]) -> Ref:
    """Take the app out of categories."""
    given = _named(body, "categories")
    return await _change(
        call, target, {"categories": properties.without(target.listing.categories, given)}
    )


def _named(body: dict[str, Any], key: str) -> list[str]:
    keys.require(body, key)
    named = keys.strings(body, key) or []
    if len(named) > NAMES_MAX:
        raise keys.refusal(key, "input", f"an array of at most {NAMES_MAX} strings")
    return named


async def _known(call: Call, names: list[str]) -> list[str]:
    """Return the names; raises ResourceNotFound for one that is no user's and no org's."""
    for name in dict.fromkeys(names):
        find = orgs.find_org if ids.is_id(name, "org") else users.find_user
        if await find(call.reader, name) is None:
            raise targets.not_found(name)
    return names


async def _change(call: Call, target: App, changes: dict[str, Any]) -> Ref:
    await apps.update_name(call.tx, target.listing.name, changes)
    return Ref(target.id)
