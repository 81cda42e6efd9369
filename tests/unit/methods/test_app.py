"""Apps: made from applets, known by name and alias, changed, published, deleted (contract E.5)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.worlds import ALICE, BOB, EVE, World

EAST, WEST = "aws:us-east-1", "azure:westus"
SPECS: dict[str, Any] = {"inputSpec": [{"name": "n", "class": "int"}], "outputSpec": []}


async def an_applet(world: World, project: str, **body: Any) -> str:
    return await world.an_applet(project, **{**SPECS, **body})


async def an_app(world: World, **body: Any) -> str:
    project = await world.a_project()
    return await world.an_app(await an_applet(world, project), **body)


class TestMaking:
    async def test_an_app_is_what_its_applet_is_and_what_is_said_of_it(self, world: World) -> None:
        project = await world.a_project()
        applet = await an_applet(world, project, title="the applet", details={"a": 1})
        app = await world.an_app(
            applet, name="Mapper.2", version="1.0.0-x+y", summary="maps", categories=["ignored"]
        )
        described = await world.describe(app)
        assert described == await world.describe("app-Mapper.2/1.0.0-x+y")
        assert described["class"] == "app"
        assert described["applet"] == applet
        assert (described["name"], described["version"]) == ("Mapper.2", "1.0.0-x+y")
        assert (described["title"], described["summary"]) == ("Mapper.2", "maps")
        assert described["inputSpec"] == SPECS["inputSpec"]
        assert described["access"] == {}
        assert described["createdBy"] == described["billTo"] == "user-alice"
        assert described["region"] == EAST
        assert described["regionalOptions"] == {
            EAST: {"applet": applet, "resources": described["resources"]}
        }
        assert described["details"] == {"a": 1}
        assert described["categories"] == described["authorizedUsers"] == []
        assert described["isDeveloperFor"] is True
        assert "published" not in described
        assert "code" not in described["runSpec"]
        assert (await world.call(f"/{app}/get"))["runSpec"]["code"]

    async def test_the_first_version_is_the_default_and_later_ones_are_not(
        self, world: World
    ) -> None:
        project = await world.a_project()
        applet = await an_applet(world, project)
        first = await world.an_app(applet, version="0.0.1")
        second = await world.an_app(applet, version="0.0.2")
        assert (await world.describe(first))["aliases"] == ["0.0.1", "default"]
        assert (await world.describe(second))["aliases"] == ["0.0.2"]
        for subject in ("app-an_app", "app-an_app/default", "app-an_app/0.0.1", first):
            assert (await world.describe(subject))["id"] == first
        assert (await world.describe("app-an_app/0.0.2"))["id"] == second

    async def test_fields_are_exactly_those_that_are_asked_for(self, world: World) -> None:
        app = await an_app(world, name="small")
        fields = {"fields": {"name": True, "version": True}}
        for subject in (app, "app-small", "app-small/1.0.0"):
            assert await world.call(f"/{subject}/describe", fields) == {
                "name": "small", "version": "1.0.0",
            }  # fmt: skip

    @pytest.mark.parametrize("version", ["foo", "v1.0", "1.00.0", "2024_05", "1.0.0+"])
    async def test_a_version_need_not_be_a_semantic_one(self, world: World, version: str) -> None:
        """`dx build` warns of such a version and goes on."""
        app = await an_app(world, name="free", version=version)
        assert (await world.describe(f"app-free/{version}"))["id"] == app

    async def test_a_version_that_is_there_is_refused_in_the_words_that_dx_build_reads(
        self, world: World
    ) -> None:
        await an_app(world)
        project = await world.a_project()
        given = {"applet": await an_applet(world, project), "name": "an_app"}
        await world.call("/app-an_app/addTags", {"tags": ["moo"]})
        for version in ("1.0.0", "moo", "default"):
            refused = await world.refused("/app/new", {**given, "version": version})
            assert refused.type == "InvalidInput"
            assert refused.message == "Specified name and version conflict with an existing alias"

    async def test_a_name_belongs_to_its_developers_also_when_all_versions_are_deleted(
        self, world: World
    ) -> None:
        app = await an_app(world)
        await world.call(f"/{app}/delete")
        theirs = await an_applet(world, await world.a_project(as_=BOB), as_=BOB)
        given = {"applet": theirs, "name": "an_app", "version": "1.0.0"}
        assert (await world.refused("/app/new", given, as_=BOB)).type == "PermissionDenied"
        await world.call(f"/{app}/addDevelopers", {"developers": ["user-bob"]})
        again = await world.new("/app/new", given, as_=BOB)
        assert (await world.describe(again, as_=BOB))["billTo"] == "user-alice"

    @pytest.mark.parametrize(
        ("wrong", "words"),
        [
            ({"name": None}, "name"),
            ({"name": "a b"}, "name"),
            ({"name": "ä"}, "name"),
            ({"version": None}, "version"),
            ({"version": "1/2"}, "version"),
            ({"version": "1.0 beta"}, "version"),
            ({"applet": None}, "applet"),
            ({"applet": "file-000000000000000000000000"}, "applet"),
            ({"regionalOptions": {}}, "regionalOptions"),
            ({"applet": None, "regionalOptions": {}}, "name a region"),
            ({"applet": None, "regionalOptions": {"moon": {}}}, "moon"),
            ({"access": {"project": "x"}}, "access.project"),
            ({"details": 1}, "details"),
            ({"resources": 1}, "resources"),
        ],
    )
    async def test_what_is_wrong_is_named_and_nothing_is_left(
        self, world: World, wrong: dict[str, Any], words: str
    ) -> None:
        applet = await an_applet(world, await world.a_project())
        before = await world.rows("SELECT count(*) FROM containers")
        given = {"applet": applet, "name": "x", "version": "1.0.0", **wrong}
        refused = await world.refused("/app/new", given)
        assert refused.type == "InvalidInput"
        assert words in refused.message
        assert await world.rows("SELECT count(*) FROM containers") == before
        assert await world.rows("SELECT * FROM app_names WHERE name = 'x'") == []

    async def test_what_an_applet_bundles_is_not_copied_out_of_a_restricted_project(
        self, world: World
    ) -> None:
        secret = await world.a_project()
        file = await world.a_closed_file(secret)
        await world.a_member(secret, "VIEW")
        await world.call(f"/{secret}/update", {"restricted": True})
        own = await world.a_project(as_=BOB)
        depends = [{"name": "b", "id": {"$dnanexus_link": file}}]
        applet = await an_applet(world, own, as_=BOB, runSpec={"bundledDepends": depends})
        given = {"applet": applet, "name": "x", "version": "1.0.0"}
        for more in ({}, {"resources": [file]}, {"resources": secret}):
            refused = await world.refused("/app/new", {**given, **more}, as_=BOB)
            assert (refused.type, secret in refused.message) == ("PermissionDenied", True)
        # where it lies in an open project of theirs, too, it comes from there
        shared = await world.a_project()
        await world.a_member(shared, "VIEW")
        await world.call(f"/{secret}/update", {"restricted": False})
        await world.call(f"/{secret}/clone", {"objects": [file], "project": shared})
        await world.call(f"/{secret}/update", {"restricted": True})
        await world.new("/app/new", {**given, "resources": [file]}, as_=BOB)

    async def test_a_workspace_of_a_restricted_project_is_as_restricted(self, world: World) -> None:
        secret = await world.a_project()
        job = await world.a_job(await world.an_applet(secret), project=secret)
        workspace = (await world.describe(job))["workspace"]
        await world.call(f"/{secret}/update", {"restricted": True})
        applet = await an_applet(world, await world.a_project())
        given = {"applet": applet, "name": "x", "version": "1.0.0", "resources": workspace}
        refused = await world.refused("/app/new", given)
        assert (refused.type, secret in refused.message) == ("PermissionDenied", True)

    async def test_an_applet_without_specifications_or_that_is_not_seen_makes_no_app(
        self, world: World
    ) -> None:
        project = await world.a_project()
        given = {"name": "x", "version": "1.0.0"}
        bare = {**given, "applet": await world.an_applet(project)}
        refused = await world.refused("/app/new", bare)
        assert (refused.type, "inputSpec" in refused.message) == ("InvalidInput", True)
        hidden = {**given, "applet": await an_applet(world, project)}
        assert (await world.refused("/app/new", hidden, as_=BOB)).type == "ResourceNotFound"
        await world.call(f"/{project}/update", {"restricted": True})
        assert (await world.refused("/app/new", hidden)).type == "PermissionDenied"

    async def test_nobody_is_billed_for_the_app_of_another(self, world: World) -> None:
        applet = await an_applet(world, await world.a_project())
        given = {"applet": applet, "name": "x", "version": "1.0.0", "billTo": "user-bob"}
        assert (await world.refused("/app/new", given)).type == "PermissionDenied"

    async def test_developers_and_users_in_the_body_are_left_to_later_calls(
        self, world: World
    ) -> None:
        """The client sends its whole dxapp.json, and asks its user before it adds people."""
        app = await an_app(world, developers=["user-nobody"], authorizedUsers=["PUBLIC"])
        assert (await world.call(f"/{app}/listDevelopers"))["developers"] == ["user-alice"]
        assert (await world.call(f"/{app}/listAuthorizedUsers"))["authorizedUsers"] == []

    async def test_a_repeated_call_with_a_nonce_makes_one_app(self, world: World) -> None:
        applet = await an_applet(world, await world.a_project())
        given = {"applet": applet, "name": "x", "version": "1.0.0", "nonce": "n"}
        assert await world.call("/app/new", given) == await world.call("/app/new", given)

    async def test_a_job_makes_apps_only_if_it_may_act_as_a_developer(self, world: World) -> None:
        project = await world.a_project()
        applet = await an_applet(world, project)
        given = {"applet": applet, "version": "1.0.0"}
        for is_allowed in (False, True):
            maker = await an_applet(world, project, access={"developer": is_allowed})
            job = await world.a_job(maker, {"n": 1})
            await world.lease(job)
            token = world.token_of(job)
            if is_allowed:
                # it sees the project by `project: VIEW`, as every applet does
                await world.new("/app/new", {**given, "name": "made"}, as_=token)
            else:
                refused = await world.refused("/app/new", {**given, "name": "x"}, as_=token)
                assert (refused.type, "developer" in refused.message) == ("PermissionDenied", True)


class TestOutliving:
    async def test_an_app_outlives_its_applet_and_all_that_it_bundles(self, world: World) -> None:
        elsewhere = await world.a_project()
        bundle = await world.a_closed_file(elsewhere, b"tools", name="tools.tar.gz")
        project = await world.a_project()
        run = {"bundledDepends": [{"name": "t", "id": {"$dnanexus_link": bundle}}]}
        applet = await an_applet(world, project, runSpec=run)
        app = await world.an_app(applet)
        for gone in (project, elsewhere):
            await world.call(f"/{gone}/destroy")
        other = await world.a_project()
        job = await world.a_job(app, {"n": 1}, project=other)
        assignment = await world.lease(job)
        assert assignment["bundled_depends"][0]["id"] == {"$dnanexus_link": bundle}
        assert await world.read(bundle, as_=world.token_of(job)) == b"tools"
        # the developer still sees what the app was made from
        assert (await world.describe(applet))["name"] == "an applet"

    async def test_a_bundle_that_cannot_be_seen_makes_no_app(self, world: World) -> None:
        project = await world.a_project()
        bundle = await world.a_closed_file(project)
        run = {"bundledDepends": [{"name": "t", "id": {"$dnanexus_link": bundle}}]}
        applet = await an_applet(world, project, runSpec=run)
        await world.call(f"/{project}/removeObjects", {"objects": [bundle]})
        given = {"applet": applet, "name": "x", "version": "1.0.0"}
        refused = await world.refused("/app/new", given)
        assert (refused.type, bundle in refused.message) == ("ResourceNotFound", True)


class TestRegions:
    async def test_an_app_of_two_regions_runs_with_what_each_of_them_has(
        self, world: World
    ) -> None:
        options, bundles = {}, {}
        for region, instance in ((EAST, "mem1_ssd1_x2"), (WEST, "azure:mem2_ssd1_x1")):
            project = await world.a_project(region=region)
            bundles[region] = await world.a_closed_file(project, name=region.split(":")[0])
            run = {
                "systemRequirements": {"*": {"instanceType": instance}},
                "bundledDepends": [{"name": "b", "id": {"$dnanexus_link": bundles[region]}}],
            }
            options[region] = {"applet": await an_applet(world, project, runSpec=run)}
        given = {"name": "both", "version": "1.0.0", "regionalOptions": options}
        app = await world.new("/app/new", given)
        described = await world.describe(app)
        assert list(described["regionalOptions"]) == [EAST, WEST]
        assert "region" not in described
        by_region = described["runSpec"]["bundledDependsByRegion"]
        assert by_region[WEST] == [{"name": "b", "id": {"$dnanexus_link": bundles[WEST]}}]
        assert described["runSpec"]["systemRequirementsByRegion"][EAST] == {
            "*": {"instanceType": "mem1_ssd1_x2"}
        }
        for region, instance in ((EAST, "mem1_ssd1_x2"), (WEST, "azure:mem2_ssd1_x1")):
            project = await world.a_project(region=region)
            job = await world.a_job(app, {"n": 1}, project=project)
            seen = await world.describe(job)
            assert (seen["instanceType"], seen["region"]) == (instance, region)
            assert seen["resources"] == described["regionalOptions"][region]["resources"]
            assignment = await world.lease(job)
            linked = assignment["bundled_depends"][0]["id"]["$dnanexus_link"]
            assert linked == bundles[region]
            assert await world.read(linked, as_=world.token_of(job)) == b"hello"
            assert (await world.describe(seen["projectCache"]))["region"] == region
            child = await world.a_subjob(job)
            assert (await world.describe(child))["instanceType"] == instance

    async def test_an_app_runs_only_in_projects_of_its_regions(self, world: World) -> None:
        app = await an_app(world)
        project = await world.a_project(region=WEST)
        refused = await world.refused(f"/{app}/run", {"project": project, "input": {"n": 1}})
        assert refused.type == "InvalidInput"
        assert WEST in refused.message
        assert EAST in refused.message

    async def test_what_differs_between_regions_but_may_not_is_refused(self, world: World) -> None:
        east, west = await world.a_project(), await world.a_project(region=WEST)
        one = await an_applet(world, east)
        given = {"name": "x", "version": "1.0.0"}
        changes: list[dict[str, Any]] = [
            {"inputSpec": []}, {"runSpec": {"code": "main() { false; }"}},
        ]  # fmt: skip
        for changed in changes:
            other = await an_applet(world, west, **changed)
            options = {EAST: {"applet": one}, WEST: {"applet": other}}
            refused = await world.refused("/app/new", {**given, "regionalOptions": options})
            assert (refused.type, next(iter(changed)) in refused.message) == ("InvalidInput", True)
        elsewhere = {WEST: {"applet": one}}
        refused = await world.refused("/app/new", {**given, "regionalOptions": elsewhere})
        assert (refused.type, "in region" in refused.message) == ("InvalidInput", True)


class TestChanging:
    async def test_an_update_changes_what_is_run_and_what_is_said(self, world: World) -> None:
        app = await an_app(world, summary="old", description="kept", access={"network": ["*"]})
        before = await world.describe(app)
        project = await world.a_project()
        applet = await an_applet(world, project, runSpec={"code": "main() { echo new; }"})
        update = {"applet": applet, "summary": "new", "details": {"b": 2}, "name": "ignored"}
        await world.call("/app-an_app/1.0.0/update", update)
        after = await world.call(f"/{app}/get")
        assert after["runSpec"]["code"] == "main() { echo new; }"
        assert (after["summary"], after["description"]) == ("new", "kept")
        assert (after["details"], after["access"]) == ({"b": 2}, {"network": ["*"]})
        assert (after["applet"], after["name"]) == (applet, "an_app")
        assert after["resources"] != before["resources"]
        assert await world.remove_outlived() == 2
        assert (await world.refused(f"/{before['resources']}/describe")).type == "ResourceNotFound"

    async def test_an_update_of_texts_leaves_what_is_run(self, world: World) -> None:
        app = await an_app(world)
        before = await world.describe(app)
        await world.call(f"/{app}/update", {"title": "New", "openSource": True})
        after = await world.describe(app)
        assert (after["title"], after["openSource"]) == ("New", True)
        assert after["regionalOptions"] == before["regionalOptions"]

    async def test_resources_alone_can_be_changed(self, world: World) -> None:
        app = await an_app(world)
        file = await world.a_closed_file(await world.a_project())
        await world.call(f"/{app}/update", {"resources": [file]})
        resources = (await world.describe(app))["resources"]
        listed = await world.call(f"/{resources}/listFolder", {"folder": "/"})
        assert [entry["id"] for entry in listed["objects"]] == [file]

    async def test_what_a_job_needs_of_a_changed_app_stays_until_the_job_is_over(
        self, world: World
    ) -> None:
        app = await an_app(world)
        project = await world.a_project()
        job = await world.a_job(app, {"n": 1}, project=project)
        await world.lease(job)
        resources = (await world.describe(job))["resources"]
        applet = await an_applet(world, project)
        await world.call(f"/{app}/update", {"applet": applet})
        assert await world.remove_outlived() == 0
        await world.describe(resources, as_=world.token_of(job))
        await world.finish(job)
        assert await world.remove_outlived() == 2

    async def test_a_published_version_is_not_changed_and_not_published_again(
        self, world: World
    ) -> None:
        app = await an_app(world, publish=True)
        assert isinstance((await world.describe(app))["published"], int)
        for verb in ("update", "publish"):
            refused = await world.refused(f"/{app}/{verb}")
            assert (refused.type, "already published" in refused.message) == ("InvalidState", True)

    async def test_publishing_makes_a_version_the_default_if_that_is_asked_for(
        self, world: World
    ) -> None:
        applet = await an_applet(world, await world.a_project())
        await world.an_app(applet, version="1.0.0")
        second = await world.an_app(applet, version="2.0.0")
        third = await world.an_app(applet, version="3.0.0")
        await world.call(f"/{second}/publish", {"makeDefault": True})
        assert (await world.describe("app-an_app"))["id"] == second
        await world.call(f"/{third}/publish", {"makeDefault": False})
        assert (await world.describe("app-an_app"))["id"] == second

    async def test_tags_name_versions_and_move_between_them(self, world: World) -> None:
        applet = await an_applet(world, await world.a_project())
        first = await world.an_app(applet, version="1.0.0")
        second = await world.an_app(applet, version="2.0.0")
        await world.call(f"/{first}/addTags", {"tags": ["moo", "oink", "1.0.0"]})
        assert (await world.describe("app-an_app/moo"))["id"] == first
        await world.call(f"/{second}/addTags", {"tags": ["moo"]})
        assert (await world.describe("app-an_app/moo"))["id"] == second
        assert (await world.describe(first))["aliases"] == ["1.0.0", "default", "oink"]
        await world.call(f"/{first}/removeTags", {"tags": ["moo", "oink", "never"]})
        assert (await world.describe("app-an_app/moo"))["id"] == second
        assert (await world.refused("/app-an_app/oink/describe")).type == "ResourceNotFound"
        assert (
            await world.refused(f"/{first}/addTags", {"tags": ["2.0.0"]})
        ).type == "InvalidInput"
        assert (
            await world.refused(f"/{first}/removeTags", {"tags": ["1.0.0"]})
        ).type == "InvalidInput"


class TestDeleting:
    async def test_a_deleted_version_is_described_and_neither_run_nor_found(
        self, world: World
    ) -> None:
        applet = await an_applet(world, await world.a_project())
        await world.an_app(applet, version="1.0.0")
        second = await world.an_app(applet, version="2.0.0")
        await world.call(f"/{second}/delete")
        await world.call(f"/{second}/delete")
        described = await world.describe(second)
        assert (described["deleted"], described["aliases"]) == (True, [])
        assert (await world.refused("/app-an_app/2.0.0/describe")).type == "ResourceNotFound"
        given = {"project": await world.a_project(), "input": {"n": 1}}
        for verb in ("run", "install", "publish", "update", "addTags"):
            body = {**given, "tags": ["x"]}
            assert (await world.refused(f"/{second}/{verb}", body)).type == "InvalidState", verb
        found = await world.call(
            "/system/findApps", {"allVersions": True, "developer": "user-alice"}
        )
        assert second not in [entry["id"] for entry in found["results"]]
        # its number may be used again
        await world.an_app(applet, version="2.0.0")

    async def test_the_default_is_not_deleted_while_there_are_others(self, world: World) -> None:
        applet = await an_applet(world, await world.a_project())
        first = await world.an_app(applet, version="1.0.0")
        second = await world.an_app(applet, version="2.0.0")
        refused = await world.refused(f"/{first}/delete")
        assert (refused.type, "app-an_app/2.0.0" in refused.message) == ("InvalidState", True)
        await world.call(f"/{second}/addTags", {"tags": ["default"]})
        await world.call(f"/{first}/delete")
        await world.call(f"/{second}/delete")
        assert (await world.refused("/app-an_app/describe")).type == "ResourceNotFound"

    async def test_the_first_version_after_all_were_deleted_is_the_default(
        self, world: World
    ) -> None:
        applet = await an_applet(world, await world.a_project())
        await world.call(f"/{await world.an_app(applet, version='1.0.0')}/delete")
        second = await world.an_app(applet, version="2.0.0")
        third = await world.an_app(applet, version="3.0.0")
        assert (await world.describe("app-an_app"))["id"] == second
        assert (await world.describe(third))["aliases"] == ["3.0.0"]

    async def test_its_containers_go_when_the_last_job_is_over(self, world: World) -> None:
        app = await an_app(world)
        job = await world.a_job(app, {"n": 1}, project=await world.a_project())
        await world.lease(job)
        described = await world.describe(job)
        await world.call(f"/{app}/delete")
        assert await world.remove_outlived() == 0
        await world.finish(job)
        assert await world.remove_outlived() == 3
        for name in ("resources", "projectCache"):
            refused = await world.refused(f"/{described[name]}/describe")
            assert refused.type == "ResourceNotFound"
        assert await world.rows(f"SELECT * FROM containers WHERE app = '{app}'") == []


class TestPeople:
    async def test_users_see_published_versions_only_and_strangers_none(self, world: World) -> None:
        app = await an_app(world, users=["user-bob"])
        refused = await world.refused(f"/{app}/describe", as_=BOB)
        assert (refused.type, "not published" in refused.message) == ("PermissionDenied", True)
        await world.call(f"/{app}/publish")
        assert (await world.describe(app, as_=BOB))["isDeveloperFor"] is False
        for subject in (app, "app-an_app", "app-an_app/1.0.0"):
            refused = await world.refused(f"/{subject}/describe", as_=EVE)
            assert (refused.type, refused.status) == ("PermissionDenied", 401)
            assert "dx add users app-an_app user-eve" in refused.message
        refused = await world.refused(f"/{app}/describe", as_=None)
        assert refused.type == "InvalidAuthentication"
        await world.call(f"/{app}/addAuthorizedUsers", {"authorizedUsers": ["PUBLIC"]})
        await world.describe(app, as_=EVE)

    async def test_a_user_without_authorization_does_not_run_an_app(self, world: World) -> None:
        app = await an_app(world, users=["user-bob"], publish=True)
        for token, is_allowed in ((BOB, True), (EVE, False)):
            given = {"project": await world.a_project(as_=token), "input": {"n": 1}}
            if is_allowed:
                await world.call(f"/{app}/run", given, as_=token)
            else:
                refused = await world.refused(f"/{app}/run", given, as_=token)
                assert refused.type == "PermissionDenied"

    @pytest.mark.parametrize("is_open", [True, False])
    async def test_the_code_is_for_developers_or_for_all_users_of_open_source(
        self, world: World, is_open: bool
    ) -> None:
        app = await an_app(world, users=["user-bob"], publish=True, openSource=is_open)
        assert "code" in (await world.call(f"/{app}/get"))["runSpec"]
        if is_open:
            assert "code" in (await world.call(f"/{app}/get", as_=BOB))["runSpec"]
        else:
            assert (await world.refused(f"/{app}/get", as_=BOB)).type == "PermissionDenied"
        assert (await world.refused(f"/{app}/get", as_=EVE)).type == "PermissionDenied"

    @pytest.mark.parametrize("is_open", [True, False])
    async def test_who_may_get_the_code_may_have_what_is_bundled_with_it(
        self, world: World, is_open: bool
    ) -> None:
        project = await world.a_project()
        bundle = await world.a_closed_file(project, b"tools")
        run = {"bundledDepends": [{"name": "t", "id": {"$dnanexus_link": bundle}}]}
        applet = await an_applet(world, project, runSpec=run)
        app = await world.an_app(applet, users=["user-bob"], openSource=is_open)
        assert (await world.refused(f"/{bundle}/describe", as_=BOB)).type == "ResourceNotFound"
        await world.call(f"/{app}/publish")
        await world.call(f"/{project}/destroy")
        if is_open:
            assert await world.read(bundle, as_=BOB) == b"tools"
        else:
            refused = await world.refused(f"/{bundle}/describe", as_=BOB)
            assert refused.type == "ResourceNotFound"
        assert (await world.refused(f"/{bundle}/describe", as_=EVE)).type == "ResourceNotFound"
        resources = (await world.describe(app, as_=BOB))["resources"]
        assert (await world.refused(f"/{resources}/describe", as_=BOB)).type == "PermissionDenied"

    async def test_a_job_sees_its_own_app_when_its_user_may_not_any_more(
        self, world: World
    ) -> None:
        app = await an_app(world, users=["user-bob"], publish=True)
        project = await world.a_project(as_=BOB)
        job = await world.a_job(app, {"n": 1}, project=project, as_=BOB)
        await world.lease(job)
        await world.call(f"/{app}/removeAuthorizedUsers", {"authorizedUsers": ["user-bob"]})
        assert (await world.refused(f"/{app}/describe", as_=BOB)).type == "PermissionDenied"
        await world.describe(app, as_=world.token_of(job))

    async def test_an_app_is_installed_by_name_and_uninstalled_without_authorization(
        self, world: World
    ) -> None:
        app = await an_app(world, users=["user-bob"], publish=True)
        await world.call("/app-an_app/install", as_=BOB)
        await world.call(f"/{app}/install", as_=BOB)
        described = await world.describe(app, as_=BOB)
        assert (described["installed"], described["installs"]) == (True, 1)
        assert (await world.describe(app, as_=ALICE))["installed"] is False
        await world.call(f"/{app}/removeAuthorizedUsers", {"authorizedUsers": ["user-bob"]})
        assert (await world.describe("user-bob", as_=BOB))["appsInstalled"] == ["an_app"]
        await world.call("/app-an_app/uninstall", as_=BOB)
        assert (await world.describe("user-bob", as_=BOB))["appsInstalled"] == []
        assert (await world.refused(f"/{app}/install", as_=BOB)).type == "PermissionDenied"
