"""Two calls at the same moment on one object, through the server's real door."""

from __future__ import annotations

import collections
import concurrent.futures
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import httpx2
import pytest

from tests.behaviour.server import Server
from tests.behaviour.steps import Run

CALLERS = 8
ROUNDS = 3
Answers = list[httpx2.Response]
Call = tuple[str | None, str, dict[str, Any]]


class Racers:
    """Callers that wait for each other, each with a connection of its own that is open."""

    def __init__(self, url: str) -> None:
        self.clients = [
            httpx2.Client(base_url=url, timeout=60, verify=False, trust_env=False)
            for _ in range(CALLERS)
        ]

    def race(self, calls: list[Call]) -> Answers:
        """Make each (token, route, body) at the same moment."""
        barrier = threading.Barrier(len(calls))

        def one(index: int) -> httpx2.Response:
            token, route, body = calls[index]
            self.clients[index].post("/system/greet", json={})
            barrier.wait(60)
            headers = {"authorization": f"Bearer {token}"}
            return self.clients[index].post(route, json=body, headers=headers)

        with concurrent.futures.ThreadPoolExecutor(len(calls)) as pool:
            return list(pool.map(one, range(len(calls))))


@pytest.fixture(scope="module")
def racers(server: Server) -> Iterator[Racers]:
    """The callers, for all tests."""
    made = Racers(server.url)
    yield made
    for client in made.clients:
        client.close()


class Race(Run):
    """A case whose call is made CALLERS times at once."""

    racers: Racers


@pytest.fixture(params=range(ROUNDS))
def run(server: Server, http: httpx2.Client, racers: Racers) -> Iterator[Race]:
    """A project of its own."""
    made = Race(server, http)
    made.racers = racers
    yield made
    made.clean()


def at_once(run: Race, calls: Iterable[tuple[str, dict[str, Any]]]) -> Answers:
    """Make the owner's calls at the same moment."""
    return run.racers.race([(run.tokens["owner"], *call) for call in calls])


def kinds(answers: Answers) -> collections.Counter[str]:
    """Count the answers: `yes` or the type of the error."""
    return collections.Counter(
        "yes" if one.status_code == 200 else one.json()["error"]["type"] for one in answers
    )


def test_renames_at_once_all_succeed_and_the_last_one_stays(run: Race) -> None:
    run.take("record")
    record, project = run.made["record"], run.made["project"]
    answers = at_once(
        run,
        (
            (f"/{record}/rename", {"project": project, "name": f"n{index}"})
            for index in range(CALLERS)
        ),
    )
    assert kinds(answers) == {"yes": CALLERS}
    names = {run.post(f"/{record}/describe")["name"] for _ in range(3)}
    assert len(names) == 1
    assert names <= {f"n{index}" for index in range(CALLERS)}


def test_closes_at_once_close_it_once(run: Race) -> None:
    run.take("file")
    run.take("part")
    file = run.made["file"]
    answers = at_once(run, [(f"/{file}/close", {})] * CALLERS)
    assert kinds(answers) == {"yes": CALLERS}
    assert run.post(f"/{file}/describe")["state"] == "closed"


def test_of_edits_with_the_same_version_exactly_one_wins(run: Race) -> None:
    run.take("applet")
    run.take("workflow")
    workflow, applet = run.made["workflow"], run.made["applet"]
    answers = at_once(
        run,
        (
            (
                f"/{workflow}/addStage",
                {"editVersion": 0, "id": f"s{index}", "executable": applet},
            )
            for index in range(CALLERS)
        ),
    )
    assert kinds(answers) == {"yes": 1, "InvalidState": CALLERS - 1}
    found = run.post(f"/{workflow}/describe")
    assert (found["editVersion"], len(found["stages"])) == (1, 1)


@pytest.mark.parametrize("class_name", ["record", "file", "workflow"])
def test_a_nonce_repeated_at_once_makes_one_object(run: Race, class_name: str) -> None:
    project, nonce = run.value("project"), f"{run.made['u']}{class_name}"
    body = {"project": project, "nonce": nonce, "name": "once"}
    answers = at_once(run, [(f"/{class_name}/new", body)] * CALLERS)
    assert kinds(answers) == {"yes": CALLERS}
    assert len({one.json()["id"] for one in answers}) == 1
    found = run.post(
        "/system/findDataObjects", {"scope": {"project": project}, "class": class_name}
    )
    assert len(found["results"]) == 1


def test_a_nonce_repeated_at_once_starts_one_job(run: Race) -> None:
    run.take("applet")
    project, applet = run.made["project"], run.made["applet"]
    body = {"project": project, "input": {}, "nonce": run.made["u"]}
    answers = at_once(run, [(f"/{applet}/run", body)] * CALLERS)
    assert kinds(answers) == {"yes": CALLERS}
    assert len({one.json()["id"] for one in answers}) == 1
    assert len(run.post("/system/findExecutions", {"project": project})["results"]) == 1


def test_a_nonce_used_at_once_for_different_inputs_makes_one_of_them(run: Race) -> None:
    project, nonce = run.value("project"), run.made["u"]
    answers = at_once(
        run,
        (
            (
                "/record/new",
                {"project": project, "nonce": nonce, "name": f"n{index}"},
            )
            for index in range(CALLERS)
        ),
    )
    assert kinds(answers) == {"yes": 1, "InvalidInput": CALLERS - 1}


def test_of_folders_made_at_once_exactly_one_is_made(run: Race) -> None:
    project = run.value("project")
    answers = at_once(run, [(f"/{project}/newFolder", {"folder": "/a"})] * CALLERS)
    assert kinds(answers) == {"yes": 1, "InvalidState": CALLERS - 1}


def test_of_removals_at_once_exactly_one_removes(run: Race) -> None:
    run.take("record")
    project, record = run.made["project"], run.made["record"]
    answers = at_once(run, [(f"/{project}/removeObjects", {"objects": [record]})] * CALLERS)
    assert kinds(answers) == {"yes": 1, "ResourceNotFound": CALLERS - 1}


def test_of_folders_renamed_to_one_path_at_once_exactly_one_gets_it(run: Race) -> None:
    project = run.value("project")
    for index in range(CALLERS):
        run.post(f"/{project}/newFolder", {"folder": f"/f{index}"})
    answers = at_once(
        run,
        (
            (f"/{project}/renameFolder", {"folder": f"/f{index}", "newpath": "/one"})
            for index in range(CALLERS)
        ),
    )
    assert kinds(answers) == {"yes": 1, "InvalidState": CALLERS - 1}
    folders = run.post(f"/{project}/listFolder", {})["folders"]
    assert len(folders) == CALLERS


def test_folders_moved_into_each_other_at_once_make_no_ring(run: Race) -> None:
    project = run.value("project")
    for index in range(CALLERS):
        run.post(f"/{project}/newFolder", {"folder": f"/f{index}"})
    at_once(
        run,
        (
            (
                f"/{project}/move",
                {"folders": [f"/f{index}"], "destination": f"/f{(index + 1) % CALLERS}"},
            )
            for index in range(CALLERS)
        ),
    )
    folders = run.post(f"/{project}/describe", {"fields": {"folders": True}})["folders"]
    assert len(folders) == CALLERS + 1
    assert all(path.rpartition("/")[0] in (*folders, "") for path in folders)


def test_administrators_who_take_it_from_each_other_at_once_leave_one(run: Race) -> None:
    run.take("administrator")
    project, owner, second = run.made["project"], run.value("owner"), run.value("second")
    assert owner != second
    calls: list[Call] = [(run.tokens[who], f"/{project}/leave", {}) for who in ("owner", "second")]
    answers = run.racers.race(calls)
    assert kinds(answers) == {"yes": 1, "InvalidState": 1}


def test_of_versions_of_an_app_made_at_once_exactly_one_is_made(run: Race) -> None:
    run.take("applet {in: {}, out: {}}")
    body = {"applet": run.made["applet"], "name": f"race{run.made['u']}", "version": "1.0.0"}
    answers = at_once(run, [("/app/new", body)] * CALLERS)
    assert kinds(answers) == {"yes": 1, "InvalidInput": CALLERS - 1}


def test_of_publications_at_once_exactly_one_publishes(run: Race) -> None:
    run.take("app")
    app = run.made["app"]
    answers = at_once(run, [(f"/{app}/publish", {})] * CALLERS)
    assert kinds(answers) == {"yes": 1, "InvalidState": CALLERS - 1}


def test_terminations_at_once_end_it_once(run: Race) -> None:
    run.take("waiting job")
    job = run.made["job"]
    answers = at_once(run, [(f"/{job}/terminate", {})] * CALLERS)
    assert kinds(answers) == {"yes": CALLERS}
    moves = [move["newState"] for move in run.post(f"/{job}/describe")["stateTransitions"]]
    assert moves.count("terminated") == 1


def test_tags_added_at_once_are_all_there(run: Race) -> None:
    run.take("record")
    project, record = run.made["project"], run.made["record"]
    answers = at_once(
        run,
        (
            (f"/{record}/addTags", {"project": project, "tags": [f"t{index}"]})
            for index in range(CALLERS)
        ),
    )
    assert kinds(answers) == {"yes": CALLERS}
    tags = run.post(f"/{record}/describe")["tags"]
    assert sorted(tags) == [f"t{index}" for index in range(CALLERS)]
