"""The tables of methods, generated and kept in the repository to be read and reviewed.

`methods.txt`: every route that is offered, with its access, body, mode and nonce.
`not_offered.txt`: the routes of the vendor's client that are not, each with the reason.
`wrapper_routes.txt`: the routes of the vendor's client (dx-toolkit 0.413.0, Apache-2.0,
src/api_wrappers/wrapper_table.json).

Write the generated one again with: python -m tests.contract.test_methods
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from plasmid.methods import everything
from plasmid.methods.registry import METHODS, Method, Mode
from plasmid.methods.targets import Access

HERE = Path(__file__).parent
TABLE = HERE / "methods.txt"
# Lower this whenever a route has come: the list may only shrink.
NOT_OFFERED_MAX = 120
# What the reasons may begin with; anything else has to be argued for here first.
REASONS = (
    "comes with apps",
    "comes with archival",
    "comes with batches",
    "comes with identity tokens",
    "comes with orgs",
    "comes with workflows",
    "no caller in the client",
    "vendor cloud only",
)


def line_of(method: Method) -> str:
    """Return a method as a line of the table."""
    body = method.body
    is_struct = isinstance(body, type) and issubclass(body, msgspec.Struct)
    shown = body.__name__ if is_struct else "any" if body is Any else "hash"
    nonce = "nonce" if method.has_nonce else "-"
    cells = (method.route, method.access.name, shown, method.mode.value, nonce)
    return "{:40} {:13} {:12} {:6} {}".format(*cells)


def table() -> str:
    """Return the whole table."""
    everything.declare()
    lines = sorted(line_of(method) for method in METHODS.values())
    return "".join(f"{line}\n" for line in lines)


def rows(name: str) -> dict[str, str]:
    """Return {route: what is said of it} of a file with lines `route  # text`."""
    lines = (HERE / name).read_text(encoding="utf-8").splitlines()
    pairs = [line.partition("#") for line in lines if line.startswith("/")]
    assert len(pairs) == len({route.strip() for route, _, _ in pairs}), f"{name}: a route twice"
    return {route.strip(): said.strip() for route, _, said in pairs}


def offered() -> set[str]:
    """Return the routes that are offered to clients."""
    everything.declare()
    return {method.route for method in METHODS.values() if "/internal/" not in method.route}


def test_the_table_of_methods_is_up_to_date() -> None:
    assert TABLE.read_text(encoding="utf-8") == table(), "python -m tests.contract.test_methods"


def test_the_list_of_the_clients_routes_is_whole() -> None:
    routes = list(rows("wrapper_routes.txt"))
    assert (len(routes), routes) == (208, sorted(routes))


def test_every_route_of_the_client_is_offered_or_excused() -> None:
    missing = set(rows("wrapper_routes.txt")) - offered()
    excused = rows("not_offered.txt")
    assert missing - set(excused) == set(), "offer these, or say in not_offered.txt why not"
    assert set(excused) - missing == set(), "these are offered now: not_offered.txt may only shrink"


def test_what_is_not_offered_has_one_of_the_known_reasons() -> None:
    excused = rows("not_offered.txt")
    assert [route for route, reason in excused.items() if not reason.startswith(REASONS)] == []
    assert len(excused) <= NOT_OFFERED_MAX, "the list may only shrink: offer the route"


def test_nothing_is_missing_without_which_no_applet_runs() -> None:
    on_objects = {
        "applet": "describe get run",
        "container": "clone describe listFolder newFolder",
        "file": "close describe download upload",
        "job": "describe terminate",
        "project": "clone describe destroy listFolder move newFolder removeFolder removeObjects",
        "record": "close describe getDetails",
        "user": "describe",
    }
    wanted = {
        f"/{name}-xxxx/{verb}" for name, verbs in on_objects.items() for verb in verbs.split()
    }
    wanted |= {f"/{name}/new" for name in ("applet", "file", "job", "project", "record")}
    finders = "findDataObjects findExecutions findProjects resolveDataObjects greet whoami"
    wanted |= {f"/system/{verb}" for verb in finders.split()}
    assert wanted - offered() == set()


def test_routes_that_the_client_lacks_are_few_and_known() -> None:
    """Those that its commands call without a wrapper (contract K.4), our own, and no others."""
    assert offered() - set(rows("wrapper_routes.txt")) == {
        "/analysis-xxxx/update",
        "/globalworkflow-xxxx/validateBatch",
        "/job-xxxx/openHttpsApp",
        "/org-xxxx/destroy",
        "/project-xxxx/acceptTransfer",
        "/project-xxxx/checkFeatureAccess",
        "/project-xxxx/join",
        "/system/comeBackLater",
        "/system/destroyAuthToken",
        "/system/getUserInfo",
        "/system/newAuthToken",
        "/user/new",
    }


@pytest.mark.parametrize("method", METHODS.values(), ids=lambda method: method.route)
def test_every_method_is_declared_as_it_should_be(method: Method) -> None:
    assert re.fullmatch(r"/(internal/)?[a-z]+(-xxxx)?/[a-zA-Z]+", method.route)
    assert method.handler.__doc__
    if "/internal/" in method.route:
        assert method.access in (Access.WORKER, Access.OPERATOR)
        assert isinstance(method.body, type)
        assert issubclass(method.body, msgspec.Struct)
    else:
        assert method.access not in (Access.WORKER, Access.OPERATOR)
        # a dry run takes back the transaction in which it has run; a login that fails begins none
        is_own = method.verb in ("dryRun", "newAuthToken")
        assert method.mode is Mode.OWN if is_own else method.mode in (Mode.READ, Mode.WRITE)


everything.declare()

if __name__ == "__main__":
    TABLE.write_text(table(), encoding="utf-8")
