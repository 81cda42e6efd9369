"""The lock of an executable: what exactly its dependencies were when it was made.

It is `dxapp.lock.json` beside dxapp.json, and `details.plasmidLock` of an applet. Each group of
packages has a part, found by its recipe: the group with all groups before it. A job with a lock
installs what its parts say, or fails with the difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec

from plasmid.domain import build_steps, failures

FILE_NAME: Final = "dxapp.lock.json"
DETAIL: Final = "plasmidLock"
VERSION: Final = 1
# What an executable brings of its own changes with its code, and is no dependency.
OWN_BUNDLES: Final = frozenset({"resources.tar", "resources.tar.gz"})
_REMEDY: Final = "run `plasmid lock` again, or give the executable the dependencies of its lock"


class Image(Protocol):
    """What a lock wants to know of a base image."""

    @property
    def name(self) -> str:
        """What the image is called."""
        ...

    @property
    def digest(self) -> str:
        """What tells its content from that of any other image."""
        ...


class Base(msgspec.Struct, frozen=True):
    """The base image that the lock was made on, and the release it served."""

    distribution: str
    release: str
    version: str
    image: str
    digest: str


class LockedBundle(msgspec.Struct, frozen=True):
    """A bundled file and the digest of its content."""

    name: str
    sha256: str


class LockedGroup(msgspec.Struct, frozen=True):
    """A group of packages: its recipe, what it is called, and what became installed by kind."""

    recipe: str
    label: str
    resolved: dict[str, Any]


class Lock(msgspec.Struct, frozen=True, rename="camel"):
    """A whole lock."""

    plasmid_lock: int
    base: Base
    bundles: tuple[LockedBundle, ...]
    groups: tuple[LockedGroup, ...]

    def by_recipe(self) -> dict[str, dict[str, Any]]:
        """Return what was resolved for each recipe."""
        return {group.recipe: group.resolved for group in self.groups}

    def check(
        self, steps: Sequence[build_steps.Step], digests: Mapping[str, str], *, image: Image
    ) -> list[str]:
        """Return what the log should warn of; raises JobFailure where steps are not as locked."""
        if image.name != self.base.image:
            raise _failure(
                f"it was made on the base image {self.base.image}, and here {image.name} serves "
                f"{self.base.distribution} {self.base.release}"
            )
        for step in steps:
            self._check_step(step, digests)
        if image.digest != self.base.digest:
            warning = (
                f"The lock was made on another build of the base image {image.name}: versions are "
                "those of the lock, what the base image has itself may differ"
            )
            return [warning]
        return []

    def _check_step(self, step: build_steps.Step, digests: Mapping[str, str]) -> None:
        if step.bundle is None:
            if step.lock is None:
                raise _failure(f"the {step.label} are not in it, or came after other packages")
            return
        if step.bundle.name in OWN_BUNDLES:
            return
        found = LockedBundle(step.bundle.name, digests[step.bundle.file_id])
        if found not in self.bundles:
            wanted = [known.sha256 for known in self.bundles if known.name == found.name]
            told = f"has the digest {wanted[0]} in it" if wanted else "is not in it"
            raise _failure(f"the {step.label} of digest {found.sha256} {told}")


def decode(given: object) -> Lock:
    """Return a lock from JSON values; raises JobFailure if they are none."""
    try:
        found = msgspec.convert(given, Lock)
    except msgspec.ValidationError as error:
        raise failures.JobFailure(
            failures.EXECUTION_ERROR,
            f"details.{DETAIL} of the executable is no lock: {error}; write it by `plasmid lock`",
        ) from error
    if found.plasmid_lock != VERSION:
        raise failures.JobFailure(
            failures.EXECUTION_ERROR,
            f"details.{DETAIL} of the executable has version {found.plasmid_lock} and not "
            f"{VERSION}: write it anew by `plasmid lock`",
        )
    return found


def make(
    base: Base,
    chains: Sequence[Sequence[build_steps.Step]],
    *,
    digests: Mapping[str, str],
    resolved: Mapping[str, dict[str, Any]],
) -> Lock:
    """Return the lock of an executable from the steps of its entry points.

    `resolved` is what each step's layer says became installed, by the step's key.
    """
    bundles: dict[tuple[str, str], LockedBundle] = {}
    groups: dict[str, LockedGroup] = {}
    for step in (step for chain in chains for step in chain):
        if step.bundle is None:
            groups[step.recipe] = LockedGroup(step.recipe, step.label, resolved[step.key])
        elif step.bundle.name not in OWN_BUNDLES:
            found = LockedBundle(step.bundle.name, digests[step.bundle.file_id])
            bundles[(found.name, found.sha256)] = found
    return Lock(VERSION, base, tuple(bundles.values()), tuple(groups.values()))


def _failure(difference: str) -> failures.JobFailure:
    return failures.JobFailure(
        failures.EXECUTION_ERROR,
        f"DXExecDependencyError: the executable's lock does not fit: {difference}; {_REMEDY}",
    )
