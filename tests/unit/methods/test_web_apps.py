"""Web applications in the API: what describes them, links to them, and what workers are told."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from plasmid.domain.access import Actor
from plasmid.methods import web_apps
from tests.worlds import ALICE, BOB, EVE, OPERATOR, World

DECLARED = {"ports": [443, 8080], "shared_access": "CONTRIBUTE"}
OFF = {"enabled": False}


def offer(world: World, domain: str = "localhost") -> None:
    """Let the site offer web applications."""
    limits = msgspec.structs.replace(world.platform.limits, web_app_domain=domain)
    world.platform.limits = limits


@pytest.fixture
async def project(world: World) -> str:
    return await world.a_project()


@pytest.fixture
async def job(world: World, project: str) -> str:
    return await world.a_job(await world.an_applet(project, httpsApp=DECLARED))


async def test_an_applet_and_its_app_say_what_they_declare(world: World, project: str) -> None:
    specs: dict[str, Any] = {"inputSpec": [], "outputSpec": []}
    applet = await world.an_applet(project, httpsApp=DECLARED, **specs)
    shown = {"enabled": True, "dns": {}, **DECLARED}
    assert (await world.describe(applet))["httpsApp"] == shown
    app = await world.an_app(applet, httpsApp={"ports": [8081]})
    shown = {"enabled": True, "dns": {}, "ports": [8081], "shared_access": "NONE"}
    assert (await world.describe(app))["httpsApp"] == shown
    await world.call(f"/{app}/update", {"httpsApp": {"enabled": False}})
    assert (await world.describe(app))["httpsApp"] == OFF


async def test_a_job_says_where_its_web_application_is(world: World, job: str) -> None:
    offer(world, "apps.test")
    world.platform.own_url = "http://127.0.0.1:8124"
    url = f"http://{job}.apps.test:8124"
    shown = {"enabled": True, **DECLARED, "dns": {"url": url}}
    assert (await world.describe(job))["httpsApp"] == shown
    found = await world.call("/system/findJobs", {"describe": {"fields": {"httpsApp": True}}})
    assert found["results"][0]["describe"] == {"httpsApp": shown}
    world.platform.public_url = "https://plasmid.test"
    assert (await world.describe(job))["httpsApp"]["dns"] == {"url": f"https://{job}.apps.test"}


async def test_where_none_is_offered_a_job_has_none(world: World, job: str) -> None:
    assert (await world.describe(job))["httpsApp"] == OFF
    assert (await world.lease(job))["https_ports"] == []
    refusal = await world.refused(f"/{job}/openHttpsApp")
    assert (refusal.type, refusal.message) == ("InvalidState", web_apps.NOT_OFFERED)


async def test_a_worker_is_told_which_ports_to_open(world: World, job: str) -> None:
    offer(world)
    assert (await world.lease(job))["https_ports"] == [443, 8080]


async def test_an_executable_that_was_kept_unchecked_declares_nothing(
    world: World, project: str
) -> None:
    offer(world)
    applet = await world.an_applet(project)
    await world.rows(
        "UPDATE objects SET body = json_set(body, '$.httpsApp', json('{\"ports\":[80]}'))"
        f" WHERE id = '{applet}'"
    )
    assert (await world.describe(await world.a_job(applet)))["httpsApp"] == OFF


async def test_a_link_is_for_the_port_that_is_asked_for(world: World, job: str) -> None:
    offer(world)
    world.platform.own_url = "http://127.0.0.1:8124"
    answer = await world.call(f"/{job}/openHttpsApp", {"port": 8080})
    assert answer["url"].startswith(f"http://{job}-8080.localhost:8124/.plasmid/open?code=")
    assert answer["expires"] == world.clock.now_ms + 60_000
    refusal = await world.refused(f"/{job}/openHttpsApp", {"port": 8081})
    assert "443, 8080" in refusal.message


@pytest.mark.parametrize(
    ("shared", "may"),
    [
        ("NONE", {"alice"}),
        ("VIEW", {"alice", "bob", "eve"}),
        ("CONTRIBUTE", {"alice", "bob"}),
        ("ADMINISTER", {"alice"}),
    ],
)
async def test_shared_access_says_who_may_open_it(
    world: World, project: str, shared: str, may: set[str]
) -> None:
    offer(world)
    await world.a_member(project, "CONTRIBUTE")
    await world.a_member(project, "VIEW", user="user-eve")
    web_app = {"ports": [443], "shared_access": shared}
    job = await world.a_job(await world.an_applet(project, httpsApp=web_app))
    answers = {
        name: await world.answer(f"/{job}/openHttpsApp", as_=token)
        for name, token in (("alice", ALICE), ("bob", BOB), ("eve", EVE))
    }
    assert {name for name, answer in answers.items() if answer.status_code == 200} == may


async def test_none_is_the_launcher_not_an_administrator(world: World, project: str) -> None:
    offer(world)
    await world.a_member(project, "CONTRIBUTE")
    web_app = {"ports": [443], "shared_access": "NONE"}
    applet = await world.an_applet(project, httpsApp=web_app)
    job = await world.a_job(applet, as_=BOB, project=project)
    assert (await world.refused(f"/{job}/openHttpsApp")).message.startswith("Only user-bob")
    await world.call(f"/{job}/openHttpsApp", as_=BOB)
    await world.call(f"/{project}/decreasePermissions", {"user-bob": None})
    assert (await world.refused(f"/{job}/openHttpsApp", as_=BOB)).type == "PermissionDenied"


async def test_the_token_of_a_job_opens_nothing(world: World, project: str) -> None:
    offer(world)
    applet = await world.an_applet(
        project, httpsApp={"ports": [443]}, access={"project": "ADMINISTER"}
    )
    job = await world.a_job(applet)
    await world.lease(job)
    token = world.assignments[job]["token"]
    refusal = await world.refused(f"/{job}/openHttpsApp", as_=token)
    assert refusal.message == "Only a user's own token may open web applications"


@pytest.mark.parametrize("as_", [None, "narrow"])
async def test_without_rights_nothing_is_opened(world: World, job: str, as_: str | None) -> None:
    offer(world)
    await world.add_token("narrow", Actor(user="user-alice", scope={}))
    assert (await world.refused(f"/{job}/openHttpsApp", as_=as_)).status in (401, 403)


async def test_what_has_no_web_application_or_is_over_is_not_opened(
    world: World, project: str, job: str
) -> None:
    offer(world)
    plain = await world.a_job(await world.an_applet(project))
    assert "declares no httpsApp" in (await world.refused(f"/{plain}/openHttpsApp")).message
    await world.call(f"/{job}/terminate")
    assert "is terminated" in (await world.refused(f"/{job}/openHttpsApp")).message
    assert (await world.refused(f"/{job}/openHttpsApp", as_=EVE)).type == "PermissionDenied"
    assert (await world.answer(f"/{job}/openHttpsApp", as_=OPERATOR)).status_code != 200
