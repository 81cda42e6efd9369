"""What a project is said to have of the vendor's features (contract K.4)."""

from __future__ import annotations

from tests.worlds import BOB, World


async def test_a_project_has_every_feature_that_is_asked_for(world: World) -> None:
    project = await world.a_project()
    route = f"/{project}/checkFeatureAccess"
    answer = await world.call(route, {"features": ["dxNextflow", "other"]})
    assert answer == {"features": {"dxNextflow": True, "other": True}}
    answer = await world.call(route, {"features": {"dxNextflow": True}})
    assert answer == {"features": {"dxNextflow": True}}
    assert await world.call(route, {"features": {}}) == {"features": {}}
    assert (await world.refused(route, {"features": ["x"]}, as_=BOB)).type == "PermissionDenied"


async def test_what_is_no_list_of_features_is_refused(world: World) -> None:
    route = f"/{await world.a_project()}/checkFeatureAccess"
    for body, said in (
        ({}, 'Expected input to have property "features"'),
        ({"features": "dxNextflow"}, 'Expected key "features" of input to be an array of nonempty'),
        ({"features": ["x"] * 101}, 'Expected key "features" of input to name at most 100'),
    ):
        refused = await world.refused(route, body)
        assert refused.type == "InvalidInput"
        assert refused.message.startswith(said)
