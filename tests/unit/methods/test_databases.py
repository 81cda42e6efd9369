"""What there is none of is refused by its name, and found nowhere (contract D.7)."""

from __future__ import annotations

import pytest

from plasmid.methods import everything
from plasmid.methods.registry import METHODS
from plasmid.methods.targets import Access
from tests.worlds import World

everything.declare()
ROUTES = sorted(
    method.route for method in METHODS.values()
    if method.access is Access.NEVER and method.class_name in ("database", "dbcluster")
)  # fmt: skip


def test_all_the_clients_routes_of_databases_are_there() -> None:
    assert len(ROUTES) == 29


@pytest.mark.parametrize("route", [route for route in ROUTES if "-xxxx" in route])
async def test_no_database_and_no_cluster_is_found(world: World, route: str) -> None:
    entity, verb = route.replace("xxxx", "0" * 24).strip("/").split("/")
    refusal = await world.refused(f"/{entity}/{verb}", {})
    assert refusal.type == "ResourceNotFound"
    assert f"The entity {entity} could not be found" in refusal.message
    assert (await world.refused(f"/{entity}/{verb}", {}, as_=None)).type == "InvalidAuthentication"


async def test_nobody_makes_a_cluster(world: World) -> None:
    refusal = await world.refused("/dbcluster/new", {"project": await world.a_project()})
    assert refusal.type == "PermissionDenied"
    assert "not offered" in refusal.message


async def test_there_are_no_databases_to_find(world: World) -> None:
    assert await world.call("/system/findDatabases") == {"results": [], "next": None}
    for class_name in ("database", "dbcluster"):
        found = await world.call("/system/findDataObjects", {"class": class_name})
        assert found == {"results": [], "next": None}


async def test_nobody_sponsors_a_project(world: World) -> None:
    project = await world.a_project()
    refusal = await world.refused(f"/{project}/updateSponsorship", {})
    assert (refusal.type, "nobody pays" in refusal.message) == ("PermissionDenied", True)
    described = await world.describe(project)
    assert (described["storageCost"], described["sponsoredDataUsage"]) == (0, 0)
    assert not described["atSpendingLimit"]
