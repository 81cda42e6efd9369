"""A step's key is all that its outcome depends on, and nothing else."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from plasmid.domain import build_steps, dependencies

BASE = build_steps.Base("d1", "x86_64", 0)
FILE = "file-BBBBBBBBBBBBBBBBBBBBBBB1"
TREE = {"name": "tree"}
SIX = {"name": "six", "package_manager": "pip3"}
BUNDLE = {"name": "a.tar.gz", "id": {"$dnanexus_link": FILE}}


def steps(
    *execs: dict[str, Any],
    bundles: tuple[dict[str, Any], ...] = (),
    base: build_steps.Base = BASE,
    digest: str = "s1",
    **options: Any,
) -> tuple[build_steps.Step, ...]:
    plan = dependencies.plan(bundles, execs, function="main")
    return build_steps.chain(base, plan, digests={FILE: digest}, **options)


def keys(*execs: dict[str, Any], **options: Any) -> list[str]:
    return [step.key for step in steps(*execs, **options)]


def test_the_same_dependencies_have_the_same_keys() -> None:
    assert keys(TREE, SIX) == keys(TREE, SIX)
    assert len(set(keys(TREE, SIX, bundles=(BUNDLE,)))) == 3


@pytest.mark.parametrize(("field", "value"), [("digest", "d2"), ("machine", "arm"), ("owner", 1)])
def test_all_of_the_base_counts(field: str, value: object) -> None:
    other = msgspec.structs.replace(BASE, **{field: value})
    assert keys(TREE)[0] != keys(TREE, base=other)[0]


def test_every_step_before_counts() -> None:
    assert keys(TREE, SIX)[1] != keys({"name": "bc"}, SIX)[1]
    assert keys(TREE)[0] != keys(TREE, bundles=(BUNDLE,))[1]


def test_an_archive_counts_by_its_content_and_not_by_its_file() -> None:
    (first,) = keys(bundles=(BUNDLE,))
    assert [first] != keys(bundles=(BUNDLE,), digest="s2")
    other = FILE[:-1] + "2"
    plan = dependencies.plan([{**BUNDLE, "id": other}], [], function="main")
    (copied,) = build_steps.chain(BASE, plan, digests={other: "s1"})
    assert copied.key == first


def test_an_archives_name_counts_as_it_says_the_format() -> None:
    assert keys(bundles=(BUNDLE,)) != keys(bundles=({**BUNDLE, "name": "a.gz"},))


def test_what_is_fetched_from_outside_is_for_those_who_may_reach_the_same() -> None:
    assert keys(SIX) != keys(SIX, network=["*"])
    assert keys(SIX, network=["a", "b"]) == keys(SIX, network=["b", "a"])
    assert keys(TREE) == keys(TREE, network=["*"])


def test_the_lock_counts_and_only_its_own_part() -> None:
    (tree, _) = steps(TREE, SIX)
    locked = {tree.recipe: {"apt": [{"name": "tree", "version": "1"}]}, "other": {}}
    with_lock = steps(TREE, SIX, locked=locked)
    assert with_lock[0].lock == locked[tree.recipe]
    assert with_lock[1].lock is None
    assert with_lock[0].key != tree.key
    more = {**locked, "other": {"x": 1}}
    assert [step.key for step in steps(TREE, SIX, locked=more)] == [s.key for s in with_lock]


def test_a_recipe_is_of_packages_only() -> None:
    recipes = [step.recipe for step in steps(TREE, SIX)]
    elsewhere = build_steps.Base("d2", "arm", 1)
    moved = steps(TREE, SIX, bundles=(BUNDLE,), base=elsewhere, network=["*"])
    assert [step.recipe for step in moved] == ["", *recipes]
    assert recipes[1] != steps(SIX)[0].recipe


def test_a_long_list_of_packages_is_told_short() -> None:
    (step,) = steps(*({"name": f"p{n}"} for n in range(14)))
    assert step.label.endswith("p11 and 2 more")
    assert steps(TREE)[0].label == "apt packages tree"
