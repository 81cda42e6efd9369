"""From an assignment to the sandbox that it wants, with all that the job needs at hand."""

from __future__ import annotations

from collections.abc import Sequence

from plasmid.domain import assignments, dependencies, failures
from plasmid.engines import engine
from plasmid.environments import images
from plasmid.telemetry import failpoints
from plasmid.worker import adapters, log_pump, metrics, try_folder
from plasmid.worker.steps import containers, execute, layers, limits
from plasmid.worker.world import World


async def prepare(
    world: World,
    assignment: assignments.Assignment,
    *,
    folder: try_folder.TryFolder,
    pump: log_pump.LogPump,
) -> engine.SandboxSpec:
    """Return the sandbox that a job wants, once its layers are here.

    Raises JobFailure if it cannot be had, EngineError if this machine cannot build a layer.
    """
    pump.say("Logging initialized (priority)")
    pump.say(metrics.first_line(assignment, folder))
    image = _image(world, assignment)
    folder.keep_image(image.name, image.digest)
    release = f"{assignment.distribution} {assignment.release}"
    if not assignment.executable_description.get("runSpec", {}).get("release"):
        pump.say(f"The executable names no release: it runs on {release}")
    if image.stand_in:
        pump.say(f"The base image {image.name} stands in for {release}")
    plan = dependencies.plan(
        assignment.bundled_depends, assignment.exec_depends, function=assignment.function
    )
    for note in plan.notes:
        pump.say(note)
    wanted = layers.Wanted(assignment, plan, image=image, folder=folder, pump=pump)
    spec = execute.spec(
        assignment,
        folder=folder,
        image=image,
        layers=await layers.get(world, wanted),
        ca_bundle=world.settings.ca_bundle,
        needs_proxy=world.adapters.needs_proxy,
        sources=world.settings.mirrors,
    )
    failpoints.reach("S7", job=assignment.job)
    spec = await containers.equip(world, spec, assignment=assignment, pump=pump)
    await limits.tell(world.adapters.engine, spec, assignment=assignment, folder=folder, pump=pump)
    return spec


def package_hosts(world: World, assignment: assignments.Assignment) -> Sequence[str]:
    """Return the hosts of apt's packages; none if a running job's image was removed."""
    try:
        own = _image(world, assignment).apt_hosts
        return [*own, *world.settings.mirrors.hosts("apt")]
    except failures.JobFailure:
        return ()


def _image(world: World, assignment: assignments.Assignment) -> adapters.Image:
    """Return the base image that a job wants; raises JobFailure if this machine has none for it."""
    try:
        return world.adapters.images.find(
            assignment.distribution, assignment.release, assignment.version
        )
    except images.ImageError as error:
        raise failures.JobFailure(failures.EXECUTION_ERROR, str(error)) from error
