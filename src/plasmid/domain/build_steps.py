"""The steps by which a job's dependencies are installed, and the key of the layer that each leaves.

A step's key is a digest of everything that its outcome depends on: the base image, the machine, who
owns the files, all steps before it, and what it installs. Bundled archives go in by the digest of
their content, so neither a file's id nor its name lets anybody claim another's layer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from plasmid.domain import dependencies

# Raise it when steps of the same description begin to leave something else.
FORMAT: Final = 1
_NAMES_TOLD_MAX: Final = 12


class Base(msgspec.Struct, frozen=True):
    """What the first step starts from; `owner` is the user who makes sandboxes here."""

    digest: str
    machine: str
    owner: int


class Step(msgspec.Struct, frozen=True):
    """One step: an archive that is unpacked or a group of packages that is installed.

    `recipe` tells a group from others whatever the base image and the archives are: by it a lock
    finds its part. `lock` is that part: exact versions and hashes.
    """

    key: str
    label: str
    recipe: str
    bundle: dependencies.Bundle | None = None
    group: dependencies.Group | None = None
    lock: Mapping[str, Any] | None = None


def bundle_label(bundle: dependencies.Bundle) -> str:
    """Return what the log calls an archive."""
    return f"bundled file {bundle.name}"


def group_label(group: dependencies.Group) -> str:
    """Return what the log calls a group of packages."""
    names = [package.name for package in group.packages]
    told = ", ".join(names[:_NAMES_TOLD_MAX])
    more = len(names) - _NAMES_TOLD_MAX
    return f"{group.manager} packages {told}" + (f" and {more} more" if more > 0 else "")


def chain(
    base: Base,
    plan: dependencies.Plan,
    *,
    digests: Mapping[str, str],
    network: Sequence[str] = (),
    locked: Mapping[str, Mapping[str, Any]] | None = None,
) -> tuple[Step, ...]:
    """Return the steps of a plan in their order.

    `digests` are the SHA-256 of each bundled file by its id; `network` is the job's access.network;
    `locked` are a lock's parts by recipe, None without a lock.
    """
    steps: list[Step] = []
    key, recipe = _digest([FORMAT, *msgspec.structs.astuple(base)]), ""
    for bundle in plan.bundles:
        key = _digest([key, "bundle", bundle.name, digests[bundle.file_id]])
        steps.append(Step(key, bundle_label(bundle), "", bundle=bundle))
    for group in plan.groups:
        recipe = _digest([recipe, group.manager, group.packages])
        lock = None if locked is None else locked.get(recipe)
        # What comes from outside is for those who may reach it; apt's archives every job may.
        reach = [] if group.manager == "apt" else sorted(set(network))
        # The index names the log file that the step leaves.
        key = _digest([key, recipe, group.index, reach, lock])
        steps.append(Step(key, group_label(group), recipe, group=group, lock=lock))
    return tuple(steps)


def _digest(content: object) -> str:
    return hashlib.sha256(msgspec.json.encode(content, order="deterministic")).hexdigest()
