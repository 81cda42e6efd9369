"""Where an org lets itself be billed (contract J.4)."""

from __future__ import annotations

from tests.unit.methods.people import an_org
from tests.worlds import World

EAST, WEST = "aws:us-east-1", "azure:westus"


async def test_an_org_is_billed_in_its_permitted_regions_only(world: World) -> None:
    org = await an_org(world)
    every = (await world.describe(org))["permittedRegions"]
    assert {EAST, WEST} <= set(every)
    west = await world.a_project(region=WEST)
    applet = await world.an_applet(west, inputSpec=[], outputSpec=[])
    await world.call(f"/{org}/update", {"permittedRegions": [EAST]})
    assert (await world.describe(org))["permittedRegions"] == [EAST]
    said = f"{org} is not billed for anything in {WEST}: its permittedRegions are {EAST}"
    for route, body in (
        ("/project/new", {"name": "p", "region": WEST, "billTo": org}),
        (f"/{west}/update", {"billTo": org}),
        ("/app/new", {"name": "a", "version": "1.0.0", "applet": applet, "billTo": org}),
    ):
        refused = await world.refused(route, body)
        assert (refused.type, refused.message) == ("PermissionDenied", said)
    await world.a_project(region=EAST, billTo=org)
    await world.call(f"/{org}/update", {"name": "renamed"})
    assert (await world.describe(org))["permittedRegions"] == [EAST]
    await world.call(f"/{org}/update", {"permittedRegions": None})
    assert (await world.describe(org))["permittedRegions"] == every
    await world.a_project(region=WEST, billTo=org)


async def test_a_region_that_is_none_is_not_permitted(world: World) -> None:
    refused = await world.refused(f"/{await an_org(world)}/update", {"permittedRegions": ["mars"]})
    assert refused.type == "InvalidInput"
    assert refused.message.startswith('Expected key "permittedRegions" of input to be regions')
