"""Who may log in to a running job: what its worker is told, and where people find it (H.1-H.6)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from plasmid.domain.access import Actor
from plasmid.methods import system
from plasmid.methods.call import Call, Request
from tests.unit.domain.test_ssh_access import ED25519
from tests.worlds import ALICE, BOB, WORKER, WORKER_NAME, World

KEY = f"{ED25519} alice@host\n"
OTHER = KEY.replace("FGRmy", "FGRmz")
DOORS = {"ssh_host": "worker.example", "ssh_port": 22001, "ssh_host_key": "ssh-ed25519 AAAA"}
SHOWN = {"host": "worker.example", "sshPort": 22001, "sshHostKey": "ssh-ed25519 AAAA"}
FIELDS: dict[str, Any] = {"fields": dict.fromkeys(SHOWN, True)}


@pytest.fixture
async def applet(world: World) -> str:
    await world.call("/user-alice/update", {"sshPublicKey": KEY})
    return await world.an_applet(await world.a_project(name="pröject"), name="a")


async def told(world: World, known: list[Any] | None = None) -> list[dict[str, Any]] | None:
    """Return what the worker is told of logins that knows of these."""
    holding = [{"job": job, "attempt": attempt} for job, attempt in sorted(world.held)]
    body = {"worker": WORKER_NAME, "holding": holding, "wait_ms": 0, "ssh": known or []}
    answer = await world.call("/internal/worker/sync", body, as_=WORKER)
    found: list[dict[str, Any]] | None = answer["ssh"]
    return found


async def open_doors(world: World, job: str, **doors: Any) -> None:
    body = {"worker": WORKER_NAME, "attempt": 0, **DOORS, **doors}
    await world.call(f"/internal/{job}/doors", body, as_=WORKER)


async def with_ssh_off(world: World) -> None:
    platform = world.platform
    platform.limits = msgspec.structs.replace(platform.limits, ssh_enabled=False)


# ------------------------------------------------------------------------- who may log in


async def test_the_worker_is_told_the_launchers_key_and_the_addresses(
    world: World, applet: str
) -> None:
    job = await world.a_job(applet, allowSSH=["192.0.2.1", "198.51.100.0/24"])
    await world.lease(job)
    granted = {
        "job": job,
        "attempt": 0,
        "public_key": KEY,
        "addresses": ["192.0.2.1", "198.51.100.0/24"],
        "project_name": "pröject",
    }
    assert await told(world) == [granted]
    assert await told(world, [granted]) is None


async def test_by_default_nobody_may(world: World, applet: str) -> None:
    await world.lease(await world.a_job(applet))
    assert await told(world) is None


async def test_an_update_opens_and_closes_a_running_and_a_held_job(
    world: World, applet: str
) -> None:
    job = await world.a_job(applet, debug={"debugOn": ["AppInternalError"]})
    await world.lease(job)
    for _ in range(2):
        await world.call(f"/{job}/update", {"allowSSH": ["192.0.2.1"]})
        granted = await told(world)
        assert granted is not None
        assert granted[0]["addresses"] == ["192.0.2.1"]
        await world.call(f"/{job}/update", {"allowSSH": ["*"]})
        changed = await told(world, granted)
        assert changed is not None
        assert changed[0]["addresses"] == ["*"]
        await world.call(f"/{job}/update", {"allowSSH": []})
        assert await told(world, changed) == []
        await world.hold(job)


async def test_an_update_wakes_the_worker(world: World, applet: str) -> None:
    job = await world.a_job(applet)
    await world.lease(job)
    with world.platform.changes.subscribe(f"worker:{WORKER_NAME}") as news:
        await world.call(f"/{job}/update", {"allowSSH": ["192.0.2.1"]})
        assert await news.wait(0)
    with world.platform.changes.subscribe(f"worker:{WORKER_NAME}") as news:
        await world.call("/user-alice/update", {"sshPublicKey": OTHER})
        assert await news.wait(0)


async def test_a_key_that_is_changed_or_removed_counts_at_once(world: World, applet: str) -> None:
    await world.lease(await world.a_job(applet, allowSSH=["*"]))
    first = await told(world)
    await world.call("/user-alice/update", {"sshPublicKey": OTHER})
    second = await told(world, first)
    assert second is not None
    assert second[0]["public_key"] == OTHER
    await world.call("/user-alice/update", {"sshPublicKey": None})
    assert await told(world, second) == []


async def test_who_may_not_contribute_any_more_is_locked_out(world: World, applet: str) -> None:
    project = (await world.describe(applet))["project"]
    await world.a_member(project, "CONTRIBUTE")
    await world.call("/user-bob/update", {"sshPublicKey": OTHER}, as_=BOB)
    await world.lease(await world.a_job(applet, as_=BOB, allowSSH=["*"]))
    granted = await told(world)
    assert granted is not None
    assert granted[0]["public_key"] == OTHER
    await world.call(f"/{project}/decreasePermissions", {"user-bob": "VIEW"})
    assert await told(world, granted) == []


async def test_only_who_controls_a_job_opens_it(world: World, applet: str) -> None:
    job = await world.a_job(applet)
    project = (await world.describe(applet))["project"]
    for level, may in (("VIEW", False), ("CONTRIBUTE", False), ("ADMINISTER", True)):
        await world.a_member(project, level)
        answer = await world.answer(f"/{job}/update", {"allowSSH": ["*"]}, as_=BOB)
        assert (answer.status_code == 200) is may, level
    assert (await world.describe(job))["allowSSH"] == ["*"]


async def test_a_subjob_is_opened_like_its_parent(world: World, applet: str) -> None:
    parent = await world.a_job(applet, allowSSH=["192.0.2.1"])
    await world.lease(parent)
    child = await world.a_subjob(parent)
    assert (await world.describe(child))["allowSSH"] == ["192.0.2.1"]


@pytest.mark.parametrize("entry", ["localhost", "1.2.3.4/99", "999.1.1.1"])
async def test_a_wrong_address_is_refused_by_run_and_update(
    world: World, applet: str, entry: str
) -> None:
    project = (await world.describe(applet))["project"]
    body = {"project": project, "input": {}, "allowSSH": [entry]}
    by_run = await world.refused(f"/{applet}/run", body)
    job = await world.a_job(applet)
    by_update = await world.refused(f"/{job}/update", {"allowSSH": [entry]})
    for refusal in (by_run, by_update):
        assert (refusal.type, '"allowSSH"' in refusal.message) == ("InvalidInput", True)
        assert entry in refusal.message


# --------------------------------------------------------------------------- where it is


async def test_host_port_and_key_are_shown_only_while_there_is_something_behind_them(
    world: World, applet: str
) -> None:
    job = await world.a_job(applet, allowSSH=["*"], debug={"debugOn": ["AppInternalError"]})
    assert await world.describe(job, **FIELDS) == {}
    await world.lease(job)
    assert await world.describe(job, **FIELDS) == {}
    await open_doors(world, job)
    assert await world.describe(job, **FIELDS) == SHOWN
    assert (await world.describe(job))["sshHostKey"] == "ssh-ed25519 AAAA"
    await world.call(f"/{job}/update", {"allowSSH": []})
    assert await world.describe(job, **FIELDS) == {}
    await world.call(f"/{job}/update", {"allowSSH": ["*"]})
    await world.hold(job)
    assert await world.describe(job, **FIELDS) == SHOWN
    await world.call(f"/{job}/terminate")
    assert await world.describe(job, **FIELDS) == {}


async def test_what_a_worker_tells_later_is_added(world: World, applet: str) -> None:
    job = await world.a_job(applet, allowSSH=["*"])
    await world.lease(job)
    await open_doors(world, job)
    none = {"ssh_host": "", "ssh_port": 0, "ssh_host_key": ""}
    await open_doors(world, job, **none, app_socket="/run/app")
    assert await world.describe(job, **FIELDS) == SHOWN
    assert (await world.job_row(job)).settings["doors"] == {**SHOWN, "appSocket": "/run/app"}


async def test_a_door_that_was_closed_is_not_shown(world: World, applet: str) -> None:
    job = await world.a_job(applet, allowSSH=["*"])
    await world.lease(job)
    await open_doors(world, job, app_socket="/run/app")
    none = {"ssh_host": "", "ssh_port": 0, "ssh_host_key": ""}
    await open_doors(world, job, **none, ssh_closed=True)
    assert await world.describe(job, **FIELDS) == {}
    assert (await world.job_row(job)).settings["doors"] == {"appSocket": "/run/app"}
    await open_doors(world, job)
    assert await world.describe(job, **FIELDS) == SHOWN


async def test_a_new_try_has_doors_of_its_own(world: World, applet: str) -> None:
    policy = {"restartOn": {"AppInternalError": 1}}
    job = await world.a_job(applet, allowSSH=["*"], executionPolicy=policy)
    await world.lease(job)
    await open_doors(world, job)
    await world.fail(job, "AppInternalError")
    await world.lease(job)
    assert await world.describe(job, **FIELDS) == {}
    late = {"worker": WORKER_NAME, "attempt": 0, **DOORS}
    refusal = await world.refused(f"/internal/{job}/doors", late, as_=WORKER)
    assert refusal.type == "InvalidState"
    assert await world.describe(job, **FIELDS) == {}


async def test_only_the_worker_says_where_it_is(world: World, applet: str) -> None:
    job = await world.a_job(applet, allowSSH=["*"])
    await world.lease(job)
    body = {"worker": WORKER_NAME, "attempt": 0, **DOORS}
    refusal = await world.refused(f"/internal/{job}/doors", body, as_=ALICE)
    assert refusal.type == "PermissionDenied"


# ------------------------------------------------------------------------------ switched off


async def test_where_ssh_is_off_nobody_is_let_in_and_everybody_is_told(
    world: World, applet: str
) -> None:
    await with_ssh_off(world)
    job = await world.a_job(applet, allowSSH=["*"])
    assignment = await world.lease(job)
    assert await told(world) is None
    assert "allowSSH" not in await world.describe(job)
    assert [note for note in assignment["notes"] if "[ssh] of plasmid.toml" in note]
    refusal = await world.refused(f"/{job}/update", {"allowSSH": ["192.0.2.1"]})
    assert refusal.type == "InvalidState"
    assert "[ssh] of plasmid.toml" in refusal.message


async def test_switching_it_off_locks_out_who_was_let_in(world: World, applet: str) -> None:
    await world.lease(await world.a_job(applet, allowSSH=["*"]))
    granted = await told(world)
    await with_ssh_off(world)
    assert await told(world, granted) == []


async def test_the_log_says_that_a_key_is_missing(world: World, applet: str) -> None:
    await world.call("/user-alice/update", {"sshPublicKey": None})
    assignment = await world.lease(await world.a_job(applet, allowSSH=["*"]))
    assert [note for note in assignment["notes"] if "dx ssh_config" in note]
    assert await told(world) is None


async def test_an_ipv4_client_of_a_server_on_ipv6_is_told_its_plain_address(world: World) -> None:
    request = Request(client_ip="::ffff:127.0.0.1")
    call = Call(world.platform, Actor(user="user-alice"), request, now_ms=0)
    answer = await system.whoami(call, None, {"fields": {"clientIp": True}})
    assert answer["clientIp"] == "127.0.0.1"
