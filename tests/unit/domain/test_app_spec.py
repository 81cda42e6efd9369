"""What an app is called, and what it is in each region (contract E.5)."""

from __future__ import annotations

from typing import Any

import pytest

from plasmid.domain import app_spec, errors

EAST, WEST = "aws:us-east-1", "azure:westus"


def an_applet(**run_spec: Any) -> dict[str, Any]:
    spec = {"interpreter": "bash", "code": "true", **run_spec}
    return {"inputSpec": [], "outputSpec": [], "dxapi": "1.0.0", "runSpec": spec, "title": "t"}


@pytest.mark.parametrize("name", ["mapper", "Foo", "a.b-c_d", "0", "x" * 255])
def test_a_name_is_letters_digits_and_a_few_signs(name: str) -> None:
    assert app_spec.check_name(name) == name


@pytest.mark.parametrize("name", ["", "a b", "a/b", "ä", "x" * 256, None, 1, "a\n"])
def test_another_name_is_refused(name: object) -> None:
    with pytest.raises(errors.InvalidInput, match='key "name"'):
        app_spec.check_name(name)


@pytest.mark.parametrize("alias", ["1.0.0", "1.0.0-beta.1+build.2", "moo"])
def test_an_alias_is_a_version_or_tag(alias: str) -> None:
    assert app_spec.check_alias(alias, "version") == alias
    with pytest.raises(errors.InvalidInput, match='key "tags"'):
        app_spec.check_alias(alias + "/x", "tags")


def test_an_app_has_the_parts_of_its_applets_by_region() -> None:
    small, large = ({"*": {"instanceType": f"mem1_ssd1_x{n}"}} for n in (2, 8))
    made = app_spec.merged(
        {EAST: an_applet(systemRequirements=small), WEST: an_applet(systemRequirements=large)}
    )
    spec = made["runSpec"]
    assert spec["systemRequirementsByRegion"] == {EAST: small, WEST: large}
    assert spec["bundledDependsByRegion"] == {EAST: [], WEST: []}
    assert "title" not in made
    assert app_spec.in_region(spec, WEST)["systemRequirements"] == large
    assert app_spec.in_region(spec, EAST)["systemRequirements"] == small
    assert app_spec.in_region(spec, EAST)["bundledDepends"] == []


def test_an_executable_without_regions_is_the_same_in_all() -> None:
    spec = {"interpreter": "bash", "bundledDepends": [1], "bundledDependsByRegion": "odd"}
    assert app_spec.in_region(spec, EAST) == spec


@pytest.mark.parametrize("key", ["inputSpec", "outputSpec"])
def test_an_applet_without_a_specification_makes_no_app(key: str) -> None:
    applet = an_applet()
    del applet[key]
    with pytest.raises(errors.InvalidInput, match=key):
        app_spec.merged({EAST: applet})


def test_code_is_the_same_in_all_regions() -> None:
    with pytest.raises(errors.InvalidInput, match=r"runSpec .* azure:westus"):
        app_spec.merged({EAST: an_applet(), WEST: an_applet(code="false")})
