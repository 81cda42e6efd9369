"""The apps that come with the platform: described, got and run under their names (contract E.5)."""

from __future__ import annotations

import pytest

from plasmid import __version__
from plasmid.domain import app_spec
from plasmid.methods import built_in_apps
from plasmid.methods.built_in_apps import BuiltInApp
from tests.worlds import BOB, START_MS, World

FOCAL = built_in_apps.CATALOGUE["create_asset_focal"]


@pytest.mark.parametrize(
    "subject", ["app-create_asset_focal", f"app-create_asset_focal/{__version__}", FOCAL.id]
)
async def test_an_app_is_known_by_name_version_and_id(world: World, subject: str) -> None:
    described = await world.describe(subject, as_=BOB)
    assert (described["id"], described["name"]) == (FOCAL.id, "create_asset_focal")
    assert described["runSpec"]["release"] == "20.04"
    assert "code" not in described["runSpec"]
    fields = {"fields": {"name": True, "version": True}}
    assert await world.call(f"/{subject}/describe", fields) == {
        "name": "create_asset_focal", "version": __version__,
    }  # fmt: skip
    assert "code" in (await world.call(f"/{subject}/get"))["runSpec"]


@pytest.mark.parametrize(
    "subject", ["app-nothing", "app-create_asset_focal/9.9", "app-" + "0" * 24, "app-x/y"]
)
async def test_no_other_app_is_known(world: World, subject: str) -> None:
    refused = await world.refused(f"/{subject}/describe")
    assert refused.type == "ResourceNotFound"
    assert subject in refused.message


def test_there_is_a_builder_for_every_release_that_dx_knows() -> None:
    found = {(app.release, app.release_version) for app in built_in_apps.CATALOGUE.values()}
    assert found == {(f"{year}.04", "0") for year in (12, 14, 16, 20, 24)} | {("16.04", "1")}
    assert len({app.id for app in built_in_apps.CATALOGUE.values()}) == 6


async def test_a_run_of_an_app_is_a_job_of_it(world: World) -> None:
    project = await world.a_project()
    conf = {"$dnanexus_link": await world.a_closed_file(project)}
    body = {"project": project, "input": {"conf_json": conf}, "name": "asset"}
    job = (await world.call("/app-create_asset_focal/run", body))["id"]
    described = await world.describe(job)
    assert described["app"] == described["executable"] == FOCAL.id
    assert "applet" not in described
    assert described["executableName"] == "create_asset_focal"
    assert described["networkAccess"] == ["*"]
    assignment = await world.lease(job)
    assert "create_asset.py" in assignment["code"]
    assert (assignment["release"], assignment["interpreter"]) == ("20.04", "bash")
    token = world.token_of(job)
    assert (await world.describe(FOCAL.id, as_=token))["outputSpec"][0]["name"] == "asset_bundle"


async def test_a_run_without_configuration_or_with_an_unknown_type_is_refused(world: World) -> None:
    project = await world.a_project()
    body = {"project": project, "input": {}}
    refused = await world.refused("/app-create_asset_focal/run", body)
    assert "conf_json" in refused.message
    conf = {"conf_json": {"$dnanexus_link": await world.a_closed_file(project)}}
    body = {
        "project": project, "input": conf,
        "systemRequirements": {"*": {"instanceType": "mem1_ssd1_x3"}},
    }  # fmt: skip
    assert (await world.refused("/app-create_asset_focal/run", body)).status == 422


async def test_seeding_again_gives_an_app_of_an_older_release_what_it_is_now(world: World) -> None:
    await world.rows(f"UPDATE objects SET body = '{{}}' WHERE id = '{FOCAL.id}'")
    async with world.database.transaction() as tx:
        await built_in_apps.seed(tx, "user-eve", START_MS + 1)
    described = await world.describe(FOCAL.id)
    assert (described["createdBy"], described["title"]) == (
        "user-alice", "Asset builder for Ubuntu 20.04",
    )  # fmt: skip


async def test_an_app_of_an_older_release_gets_its_new_number(world: World) -> None:
    await world.rows(f"UPDATE apps SET version = '0.0.0' WHERE id = '{FOCAL.id}'")
    old = "UPDATE app_aliases SET alias = '0.0.0' WHERE app = '{}' AND alias = '{}'"
    await world.rows(old.format(FOCAL.id, __version__))
    async with world.database.transaction() as tx:
        await built_in_apps.seed(tx, "user-eve", START_MS + 1)
    described = await world.describe("app-create_asset_focal")
    assert described["aliases"] == [__version__, "default"]
    assert (await world.describe(f"app-create_asset_focal/{__version__}"))["id"] == FOCAL.id


async def test_it_is_found_and_installed_as_any_other_and_changed_by_nobody(world: World) -> None:
    found = await world.call("/system/findApps", {"name": {"glob": "create_asset_*"}}, as_=BOB)
    assert FOCAL.id in [entry["id"] for entry in found["results"]]
    await world.call(f"/{FOCAL.id}/install", as_=BOB)
    assert (await world.describe(FOCAL.id, as_=BOB))["installed"] is True
    assert (await world.refused(f"/{FOCAL.id}/delete")).type == "PermissionDenied"


async def test_its_jobs_have_the_containers_of_an_app(world: World) -> None:
    project = await world.a_project(region="azure:westus")
    conf = {"conf_json": {"$dnanexus_link": await world.a_closed_file(project)}}
    job = await world.a_job(FOCAL.id, conf, project=project)
    described = await world.describe(job)
    environment = (await world.lease(job))["environment"]
    assert environment["DX_RESOURCES_ID"] == described["resources"]
    seen = await world.describe(described["resources"], as_=world.token_of(job))
    assert (seen["region"], seen["appName"]) == ("azure:westus", "create_asset_focal")


async def test_a_database_from_before_there_were_apps_gets_them(world: World) -> None:
    for table, column in (
        ("apps", "id"), ("app_aliases", "app"), ("containers", "app"), ("app_names", "name"),
    ):  # fmt: skip
        await world.rows(f"DELETE FROM {table} WHERE {column} IN ('{FOCAL.id}', '{FOCAL.name}')")
    assert (await world.refused(f"/{FOCAL.id}/describe")).type == "ResourceNotFound"
    async with world.database.transaction() as tx:
        await built_in_apps.seed(tx, "user-eve", START_MS + 1)
    described = await world.describe("app-create_asset_focal", as_=BOB)
    assert (described["id"], described["billTo"]) == (FOCAL.id, "user-eve")


@pytest.mark.parametrize(
    ("name", "what"), [("tarball_applet_builder", "applet"), ("tarball_app_builder", "app")]
)
async def test_a_folder_is_built_by_an_app_of_its_release(
    world: World, name: str, what: str
) -> None:
    async with world.database.transaction() as tx:
        await built_in_apps.seed(tx, "user-alice", START_MS)
    releases = {"": "12.04", "_trusty": "14.04", "_xenial": "16.04", "_xenial_v1": "16.04",
                "_focal": "20.04", "_noble": "24.04"}  # fmt: skip
    found = {}
    for suffix in releases:
        described = await world.describe(f"app-{name}{suffix}", as_=BOB)
        found[suffix] = described["runSpec"]["release"]
        fields = [field["name"] for field in described["inputSpec"]]
        assert fields[:2] == ["input_file", "build_options"]
        # only who makes an app needs to be a developer
        assert described["access"].get("developer", False) is (what == "app")
    assert found == releases
    code = (await world.call(f"/app-{name}_noble/get"))["runSpec"]["code"]
    assert f"remote_build.py {what}\n" in code


@pytest.mark.parametrize(
    ("name", "is_kept"),
    [
        ("create_asset_jammy", True), ("tarball_app_builder_jammy", True),
        ("tarball_applet_builder", True), ("create_asset", False), ("my_create_asset_x", False),
        ("plasmid_finder", False),
    ],
)  # fmt: skip
async def test_names_of_apps_of_later_releases_are_kept_for_them(
    world: World, name: str, is_kept: bool
) -> None:
    applet = await world.an_applet(await world.a_project(), inputSpec=[], outputSpec=[])
    body = {"applet": applet, "name": name, "version": "1.0.0"}
    answer = await world.answer("/app/new", body)
    assert (answer.status_code == 422) is is_kept
    assert ("create_asset_" in answer.text) is is_kept


def test_the_names_of_all_that_there_are_now_are_kept_ones() -> None:
    assert all(name.startswith(app_spec.KEPT_NAMES) for name in built_in_apps.EVERY)


async def test_a_users_app_of_the_same_name_from_before_goes_on(world: World) -> None:
    """The server starts, theirs stays as it is and gets new versions, ours is left out."""
    applet = await world.an_applet(await world.a_project(), inputSpec=[], outputSpec=[])
    theirs = await world.an_app(applet, name="theirs")
    later = BuiltInApp("create_asset_later", "26.04", "0")
    for table in ("app_names", "apps", "app_aliases"):
        await world.rows(f"UPDATE {table} SET name = '{later.name}' WHERE name = 'theirs'")
    for _ in range(2):
        async with world.database.transaction() as tx:
            wanted = {later.name: later, **built_in_apps.CATALOGUE}
            await built_in_apps.seed(tx, "user-bob", START_MS, wanted=wanted)
    assert (await world.describe(f"app-{later.name}"))["id"] == theirs
    assert (await world.refused(f"/{later.id}/describe")).type == "ResourceNotFound"
    await world.an_app(applet, name=later.name, version="2.0.0")
