"""What a run of a workflow says of its stages: folders, machines, which to run anew (E.6, F.2)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

import msgspec

from plasmid.domain import errors, folders, keys, requirements, run_spec
from plasmid.domain.requirements import Layer

EVERY: Final = "*"


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """What is wished of the stages, by their ids or `*`.

    `everywhere` are systemRequirements of all stages, which those of a stage beat; `rerun` and
    `without_reuse` (None if the run does not speak of it) name stages whose earlier results are not
    wanted.
    """

    folders: dict[str, str] = msgspec.field(default_factory=dict)
    requirements: dict[str, Layer] = msgspec.field(default_factory=dict)
    everywhere: Layer = msgspec.field(default_factory=dict)
    policy: dict[str, Any] = msgspec.field(default_factory=dict)
    rerun: tuple[str, ...] = ()
    without_reuse: list[str] | None = None

    def folder(self, stage: dict[str, Any], analysis_folder: str) -> str:
        """Return a stage's folder: one that is not absolute lies below that of the analysis."""
        wished = self.folders.get(stage["id"], self.folders.get(EVERY, stage.get("folder")))
        if wished is None:
            return analysis_folder
        return wished if wished.startswith("/") else folders.join(analysis_folder, wished)

    def layer(self, stage: dict[str, Any]) -> Layer:
        """Return the systemRequirements with which a stage is run.

        What the run says of it beats what the run says of all, and that what the workflow says.
        """
        own = [self.requirements.get(name) or {} for name in (stage["id"], EVERY)]
        return run_spec.combined([*own, self.everywhere, stage.get("systemRequirements") or {}])

    def execution_policy(self, stage: dict[str, Any]) -> dict[str, Any]:
        """Return the executionPolicy with which a stage is run: the run's beats the workflow's."""
        own = stage.get("executionPolicy") or {}
        counts = {**(own.get("restartOn") or {}), **(self.policy.get("restartOn") or {})}
        return {**own, **self.policy, **({"restartOn": counts} if counts else {})}

    def is_fresh(self, stage: str, ignored: Collection[str]) -> bool:
        """Say whether a stage may not take over earlier results; `ignored` is the workflow's."""
        named = {*self.rerun, *(ignored if self.without_reuse is None else self.without_reuse)}
        return stage in named or EVERY in named


def read(body: dict[str, Any], stages: Collection[str]) -> Wishes:
    """Return what a run says of the stages; raises InvalidInput that names the key."""
    places = keys.hash_of(body, "stageFolders") or {}
    layers = keys.hash_of(body, "stageSystemRequirements") or {}
    rerun = keys.strings(body, "rerunStages") or []
    ignored = _ignored(body)
    for stage in (*places, *layers, *rerun, *(ignored or ())):
        if stage != EVERY and stage not in stages:
            raise errors.InvalidInput(f"Stage with ID {stage} not found")
    return Wishes(
        folders={stage: _folder(places, stage) for stage in places},
        requirements={
            stage: requirements.check_system_requirements(
                layer, where=f"stageSystemRequirements.{stage}", at_run=True
            )
            for stage, layer in layers.items()
        },
        everywhere=requirements.check_system_requirements(
            body.get("systemRequirements"), at_run=True
        ),
        policy=requirements.check_execution_policy(body.get("executionPolicy")),
        rerun=tuple(rerun),
        without_reuse=ignored,
    )


def _folder(places: dict[str, Any], stage: str) -> str:
    """Return a wished folder in normal form, without a first slash if it is a relative one."""
    wished = keys.required_string(places, stage, "stageFolders")
    path = folders.normalise("/" + wished, stage, "stageFolders")
    return path if wished.startswith("/") else path.removeprefix("/")


def _ignored(body: dict[str, Any]) -> list[str] | None:
    """Return the stages of `ignoreReuse`, for which true means all, or None if it is absent."""
    given = body.get("ignoreReuse")
    if given is None or given is False:
        return None
    return [EVERY] if given is True else keys.strings(body, "ignoreReuse")
