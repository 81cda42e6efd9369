"""Gets the layers that a job's dependencies are, building those that are not here.

All of a try's layers are held for its folder, and so not deleted before that is gone.
"""

from __future__ import annotations

import functools
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog

from plasmid.domain import assignments, build_steps, dependencies, failures, lock
from plasmid.environments import layers
from plasmid.worker import adapters, layer_builds, log_pump, try_folder
from plasmid.worker.steps import bundles, layer_build
from plasmid.worker.world import World

BUILDS_MAX: Final = 20
_log = structlog.get_logger()


class Wanted:
    """What one try needs, and where it tells about it."""

    def __init__(
        self,
        assignment: assignments.Assignment,
        plan: dependencies.Plan,
        *,
        image: adapters.Image,
        folder: try_folder.TryFolder,
        pump: log_pump.LogPump,
    ) -> None:
        self.assignment = assignment
        self.plan = plan
        self.image = image
        self.folder = folder
        self.pump = pump


async def get(world: World, wanted: Wanted) -> tuple[Path, ...]:
    """Return the trees of all layers of a plan in their order; they are held for the try's folder.

    Raises JobFailure if a step fails, or the job may not have it.
    """
    plan, assignment = wanted.plan, wanted.assignment
    if not plan.bundles and not plan.groups:
        return ()
    archives = bundles.Bundles(world.link, assignment, wanted.folder, wanted.pump)
    digests = await archives.digests(plan.bundles, world.layers)
    steps = _steps(wanted, digests)
    wanted.folder.keep_layers([step.key for step in steps])
    found: list[layers.Layer] = []
    for _ in range(len(steps) + BUILDS_MAX):
        found += await _take(world, wanted, steps, found)
        if len(found) == len(steps):
            return tuple(layer.tree for layer in found)
        await _build(world, wanted, steps[len(found)], below=found, archives=archives)
    raise failures.JobFailure(
        failures.JM_INTERNAL_ERROR,
        f"{steps[len(found)].label}: the layer vanished or was damaged as often as it was made: "
        f"check the disk of {world.layers.folder}",
    )


def _steps(wanted: Wanted, digests: dict[str, str]) -> tuple[build_steps.Step, ...]:
    base = build_steps.Base(wanted.image.digest, platform.machine(), os.geteuid())
    given = wanted.assignment.lock
    locked = None if given is None else lock.decode(given)
    steps = build_steps.chain(
        base,
        wanted.plan,
        digests=digests,
        network=wanted.assignment.network,
        locked=None if locked is None else locked.by_recipe(),
    )
    if locked is not None:
        for warning in locked.check(steps, digests, image=wanted.image):
            wanted.pump.say(warning, "WARNING")
    return steps


async def _take(
    world: World,
    wanted: Wanted,
    steps: Sequence[build_steps.Step],
    found: Sequence[layers.Layer],
) -> tuple[layers.Layer, ...]:
    """Return the next layers that are here, and say so in the job's log."""
    keys = [step.key for step in steps[len(found) :]]
    below = found[-1].digest if found else ""
    taken = await world.layers.run(
        functools.partial(world.layers.take, keys, wanted.folder.path, below=below)
    )
    following = steps[len(found) :]
    for step, layer in zip(following, taken.layers, strict=False):
        made = datetime.fromtimestamp(layer.created_ms / 1000, UTC)
        wanted.pump.say(f"{step.label}: from the layer made {made:%Y-%m-%d}")
    if taken.damage is not None:
        step = following[len(taken.layers)]
        _log.warning("layer_damaged", key=step.key, damage=taken.damage)
        wanted.pump.say(f"{step.label}: the layer is made anew, as {taken.damage}", "WARNING")
    return taken.layers


async def _build(
    world: World,
    wanted: Wanted,
    step: build_steps.Step,
    *,
    below: Sequence[layers.Layer],
    archives: bundles.Bundles,
) -> None:
    """Return once the layer of a step was built, by us or by another."""
    archive = None if step.bundle is None else await archives.path(step.bundle)

    def on_wait() -> None:
        wanted.pump.say(f"{step.label}: another job is making this layer; waiting for it")

    task = layer_build.Task(
        assignment=wanted.assignment,
        image=wanted.image,
        step=step,
        below=tuple(below),
        archive=archive,
        on_wait=on_wait,
    )
    await world.builds.build(
        step.key,
        functools.partial(layer_build.build, world, task),
        limits=layer_builds.Limits(
            wanted.assignment.resources.memory_bytes, wanted.assignment.timeout_ms
        ),
        listener=wanted.pump.add,
        on_wait=on_wait,
    )
