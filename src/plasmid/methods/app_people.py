"""Who develops and who may use an app, and under which categories it is (contract E.5).

All three belong to the name: they are the same for all versions of an app.
"""

from __future__ import annotations

from typing import Any

from plasmid.domain import errors, keys, properties
from plasmid.metadata import apps, projects, users
from plasmid.methods import targets
from plasmid.methods.call import Call, Ref
from plasmid.methods.registry import Mode, method
from plasmid.methods.targets import Access, App


@method("/app-xxxx/listDevelopers", access=Access.APP_VIEW)
async def list_developers(call: Call, target: App, body: dict[str, Any]) -> dict[str, Any]:
    """Return who may make and change versions."""
    return {"developers": target.listing.developers}


@method("/app-xxxx/listAuthorizedUsers", access=Access.APP_VIEW)
async def list_authorized_users(call: Call, target: App, body: dict[str, Any]) -> dict[str, Any]:
    """Return who may see and run published versions."""
    return {"authorizedUsers": target.listing.authorized_users}


@method("/app-xxxx/listCategories", access=Access.APP_VIEW)
async def list_categories(call: Call, target: App, body: dict[str, Any]) -> dict[str, Any]:
    """Return under which categories the app is found."""
    return {"categories": target.listing.categories}


@method("/app-xxxx/addDevelopers", access=Access.APP_DEVELOPER, mode=Mode.WRITE)
async def add_developers(call: Call, target: App, body: dict[str, Any]) -> Ref:
    """Let users make and change versions."""
    given = await _known(call, _named(body, "developers"))
    present = target.listing.developers
    return await _change(call, target, {"developers": properties.with_added(present, given)})


@method("/app-xxxx/removeDevelopers", access=Access.APP_DEVELOPER, mode=Mode.WRITE)
async def remove_developers(call: Call, target: App, body: dict[str, Any]) -> Ref:
    """Let users make and change versions no more; one developer must stay."""
    left = properties.without(target.listing.developers, _named(body, "developers"))
    if not left:
        raise errors.InvalidState(
            f"app-{target.listing.name} would be left without a developer; add another one first"
        )
    return await _change(call, target, {"developers": left})


@method("/app-xxxx/addAuthorizedUsers", access=Access.APP_DEVELOPER, mode=Mode.WRITE)
async def add_authorized_users(call: Call, target: App, body: dict[str, Any]) -> Ref:
    """Let users, or everybody (PUBLIC), see and run published versions."""
    given = _named(body, "authorizedUsers")
    await _known(call, [name for name in given if name != projects.PUBLIC])
    present = target.listing.authorized_users
    return await _change(call, target, {"authorized_users": properties.with_added(present, given)})


@method("/app-xxxx/removeAuthorizedUsers", access=Access.APP_DEVELOPER, mode=Mode.WRITE)
async def remove_authorized_users(call: Call, target: App, body: dict[str, Any]) -> Ref:
    """Let users see and run published versions no more."""
    given = _named(body, "authorizedUsers")
    present = target.listing.authorized_users
    return await _change(call, target, {"authorized_users": properties.without(present, given)})


@method("/app-xxxx/addCategories", access=Access.APP_DEVELOPER, mode=Mode.WRITE)
async def add_categories(call: Call, target: App, body: dict[str, Any]) -> Ref:
    """Put the app under categories."""
    given = _named(body, "categories")
    return await _change(
        call, target, {"categories": properties.with_added(target.listing.categories, given)}
    )


@method("/app-xxxx/removeCategories", access=Access.APP_DEVELOPER, mode=Mode.WRITE)
async def remove_categories(call: Call, target: App, body: dict[str, Any]) -> Ref:
    """Take the app out of categories."""
    given = _named(body, "categories")
    return await _change(
        call, target, {"categories": properties.without(target.listing.categories, given)}
    )


def _named(body: dict[str, Any], key: str) -> list[str]:
    keys.require(body, key)
    return keys.strings(body, key) or []


async def _known(call: Call, names: list[str]) -> list[str]:
    """Return the names; raises ResourceNotFound for one that is no user's."""
    for name in names:
        if await users.find_user(call.reader, name) is None:
            raise targets.not_found(name)
    return names


async def _change(call: Call, target: App, changes: dict[str, Any]) -> Ref:
    await apps.update_name(call.tx, target.listing.name, changes)
    return Ref(target.id)
