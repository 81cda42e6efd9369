"""A lock fits its executable, or says how it does not."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from plasmid.domain import build_steps, dependencies, failures, lock

FILE = "file-BBBBBBBBBBBBBBBBBBBBBBB1"
BASE = lock.Base("Ubuntu", "24.04", "0", "ubuntu-24.04", "d1")
TREE = {"name": "tree"}
ASSET = {"name": "asset.tar.gz", "id": {"$dnanexus_link": FILE}}
OWN = {"name": "resources.tar.gz", "id": {"$dnanexus_link": FILE}}


class Image(msgspec.Struct):
    name: str = "ubuntu-24.04"
    digest: str = "d1"


def chain(
    *execs: dict[str, Any],
    bundles: tuple[dict[str, Any], ...] = (),
    digest: str = "s1",
    locked: lock.Lock | None = None,
) -> tuple[build_steps.Step, ...]:
    plan = dependencies.plan(bundles, execs, function="main")
    base = build_steps.Base("d1", "x86_64", 0)
    parts = None if locked is None else locked.by_recipe()
    return build_steps.chain(base, plan, digests={FILE: digest}, locked=parts)


def made(*execs: dict[str, Any], bundles: tuple[dict[str, Any], ...] = ()) -> lock.Lock:
    steps = chain(*execs, bundles=bundles)
    resolved = {step.key: {"apt": [{"name": step.label}]} for step in steps}
    return lock.make(BASE, [steps], digests={FILE: "s1"}, resolved=resolved)


def check(locked: lock.Lock, *execs: dict[str, Any], **options: Any) -> list[str]:
    image = options.pop("image", Image())
    steps = chain(*execs, locked=locked, **options)
    return locked.check(steps, {FILE: options.get("digest", "s1")}, image=image)


def test_a_lock_survives_being_written_and_read() -> None:
    locked = made(TREE, bundles=(ASSET, OWN))
    assert lock.decode(msgspec.json.decode(msgspec.json.encode(locked))) == locked
    assert [bundle.name for bundle in locked.bundles] == ["asset.tar.gz"]


def test_a_lock_fits_what_it_was_made_of() -> None:
    assert check(made(TREE, bundles=(ASSET,)), TREE, bundles=(ASSET,)) == []


def test_what_the_executable_brings_of_its_own_may_change() -> None:
    assert check(made(TREE), TREE, bundles=(OWN,), digest="s2") == []


def test_packages_that_are_not_in_it_fail_by_name() -> None:
    with pytest.raises(failures.JobFailure, match="apt packages tree, bc are not in it") as caught:
        check(made(TREE), TREE, {"name": "bc"})
    assert "plasmid lock" in caught.value.message


def test_another_content_of_an_archive_fails_with_both_digests() -> None:
    with pytest.raises(failures.JobFailure, match=r"of digest s2 has the digest s1 in it"):
        check(made(bundles=(ASSET,)), bundles=(ASSET,), digest="s2")


def test_an_archive_that_is_not_in_it_fails() -> None:
    with pytest.raises(failures.JobFailure, match=r"asset\.tar\.gz .* is not in it"):
        check(made(TREE), TREE, bundles=(ASSET,))


def test_another_base_image_fails_and_another_build_of_it_is_told() -> None:
    with pytest.raises(failures.JobFailure, match=r"made on the base image ubuntu-24\.04"):
        check(made(TREE), TREE, image=Image(name="debian-12"))
    (warning,) = check(made(TREE), TREE, image=Image(digest="d2"))
    assert "another build" in warning


@pytest.mark.parametrize("given", [{}, {"plasmidLock": "1"}, {"": 1}])
def test_what_is_no_lock_fails_the_job(given: dict[str, Any]) -> None:
    with pytest.raises(failures.JobFailure, match="is no lock"):
        lock.decode(given)


def test_a_lock_of_a_later_plasmid_is_refused() -> None:
    later = msgspec.to_builtins(msgspec.structs.replace(made(TREE), plasmid_lock=2))
    with pytest.raises(failures.JobFailure, match="has version 2"):
        lock.decode(later)
