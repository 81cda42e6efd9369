"""Developers, users and categories of an app: the same for all its versions (contract E.5)."""

from __future__ import annotations

import pytest

from tests.unit.methods.people import a_place, an_org
from tests.worlds import BOB, EVE, World

LISTS = [
    ("Developers", "developers", "user-bob"),
    ("AuthorizedUsers", "authorizedUsers", "user-bob"),
    ("Categories", "categories", "Read Mapping"),
]


async def versions(world: World, *numbers: str) -> list[str]:
    project = await world.a_project()
    applet = await world.an_applet(project, inputSpec=[], outputSpec=[])
    return [await world.an_app(applet, version=number) for number in numbers]


@pytest.mark.parametrize(("name", "key", "item"), LISTS)
async def test_what_is_added_to_one_version_is_of_all(
    world: World, name: str, key: str, item: str
) -> None:
    await versions(world, "1.0.0", "2.0.0")
    before = (await world.call(f"/app-an_app/list{name}"))[key]
    await world.call(f"/app-an_app/2.0.0/add{name}", {key: [item, item]})
    assert await world.call(f"/app-an_app/1.0.0/list{name}") == {key: [*before, item]}
    await world.call(f"/app-an_app/1.0.0/remove{name}", {key: [item, "never there"]})
    assert await world.call(f"/app-an_app/2.0.0/list{name}") == {key: before}


@pytest.mark.parametrize(("name", "key", "item"), LISTS)
async def test_only_developers_change_the_lists(
    world: World, name: str, key: str, item: str
) -> None:
    app = (await versions(world, "1.0.0"))[0]
    await world.call(f"/{app}/addAuthorizedUsers", {"authorizedUsers": ["user-eve"]})
    await world.call(f"/{app}/publish")
    for verb in ("add", "remove"):
        refused = await world.refused(f"/{app}/{verb}{name}", {key: [item]}, as_=EVE)
        assert refused.type == "PermissionDenied"
        assert (await world.refused(f"/{app}/{verb}{name}", {})).type == "InvalidInput"
    assert (await world.refused(f"/{app}/list{name}", as_=BOB)).type == "PermissionDenied"


async def test_users_see_the_categories_and_only_developers_the_people(world: World) -> None:
    app = (await versions(world, "1.0.0"))[0]
    await world.call(f"/{app}/addAuthorizedUsers", {"authorizedUsers": ["user-eve"]})
    await world.call(f"/{app}/publish")
    assert await world.call(f"/{app}/listCategories", as_=EVE) == {"categories": []}
    for name in ("Developers", "AuthorizedUsers"):
        refused = await world.refused(f"/{app}/list{name}", as_=EVE)
        assert refused.type == "PermissionDenied"


@pytest.mark.parametrize("nobody", ["user-nobody", "org-nobody", "piratelabs"])
async def test_who_does_not_exist_is_not_added_but_may_be_removed(
    world: World, nobody: str
) -> None:
    app = (await versions(world, "1.0.0"))[0]
    for name, key, _ in LISTS[:2]:
        refused = await world.refused(f"/{app}/add{name}", {key: ["user-bob", nobody]})
        assert (refused.type, nobody in refused.message) == ("ResourceNotFound", True)
        await world.call(f"/{app}/remove{name}", {key: [nobody]})
    assert (await world.call(f"/{app}/listDevelopers"))["developers"] == ["user-alice"]


async def test_everybody_may_be_a_user_and_nobody_at_all_a_developer(world: World) -> None:
    app = (await versions(world, "1.0.0"))[0]
    await world.call(f"/{app}/addAuthorizedUsers", {"authorizedUsers": ["PUBLIC"]})
    refused = await world.refused(f"/{app}/addDevelopers", {"developers": ["PUBLIC"]})
    assert refused.type == "ResourceNotFound"


async def test_the_last_developer_stays(world: World) -> None:
    app = (await versions(world, "1.0.0"))[0]
    gone = {"developers": ["user-alice"]}
    refused = await world.refused(f"/{app}/removeDevelopers", gone)
    assert (refused.type, "without a developer" in refused.message) == ("InvalidState", True)
    await world.call(f"/{app}/addDevelopers", {"developers": ["user-bob"]})
    await world.call(f"/{app}/removeDevelopers", gone)
    assert (await world.refused(f"/{app}/describe")).type == "PermissionDenied"
    assert (await world.describe(app, as_=BOB))["isDeveloperFor"] is True


async def test_an_org_stands_for_its_members_with_access_to_apps(world: World) -> None:
    app = (await versions(world, "1.0.0"))[0]
    org = await an_org(world)
    await a_place(world, org, "user-bob")
    await a_place(world, org, "user-eve", appAccess=False)
    await world.call(f"/{app}/addAuthorizedUsers", {"authorizedUsers": [org]})
    await world.call(f"/{app}/publish")
    assert (await world.describe(app, as_=BOB))["isDeveloperFor"] is False
    assert (await world.refused(f"/{app}/describe", as_=EVE)).type == "PermissionDenied"
    found = await world.call("/system/findApps", {"name": "an_app"}, as_=BOB)
    assert [entry["id"] for entry in found["results"]] == [app]
    assert (await world.call("/system/findApps", {"name": "an_app"}, as_=EVE))["results"] == []
    await world.call(f"/{app}/addDevelopers", {"developers": [org]})
    await world.call(f"/{app}/addTags", {"tags": ["t"]}, as_=BOB)
    refused = await world.refused(f"/{app}/addTags", {"tags": ["t"]}, as_=EVE)
    assert refused.type == "PermissionDenied"


async def test_one_call_names_no_more_than_can_be_looked_up(world: World) -> None:
    app = (await versions(world, "1.0.0"))[0]
    many = [f"user-{number}" for number in range(1001)]
    for name, key, _ in LISTS:
        refused = await world.refused(f"/{app}/add{name}", {key: many})
        assert (
            refused.message
            == f'Expected key "{key}" of input to be an array of at most 1000 strings'
        )
    refused = await world.refused(f"/{app}/addTags", {"tags": many})
    assert (refused.type, "at most 1000" in refused.message) == ("InvalidInput", True)
