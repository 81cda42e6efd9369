"""What a run of an app has that a run of an applet has not: its region, its containers (E.5)."""

from __future__ import annotations

from typing import Any

import msgspec

from plasmid.domain import app_spec, errors
from plasmid.domain.access import Level
from plasmid.executions import app_containers
from plasmid.metadata.rows import ContainerRow, JobRow, ObjectRow
from plasmid.methods import moments
from plasmid.methods.call import Call
from plasmid.methods.targets import App, DataObject


def in_region(row: ObjectRow, region: str) -> ObjectRow:
    """Return an executable as it is in a region."""
    spec = app_spec.in_region(row.body["runSpec"], region)
    return msgspec.structs.replace(row, body={**row.body, "runSpec": spec})


async def containers_of(
    call: Call, executable: DataObject, project: ContainerRow
) -> dict[str, Any]:
    """Return the settings of a job that name the containers of its app; an applet has none.

    The first run of an app in a project makes its cache. Raises as `options_in`.
    """
    if not isinstance(executable, App):
        return {}
    options = options_in(executable, project)
    async with moments.of(call) as moment:
        cache = await app_containers.cache_of(moment, executable.version, project)
    return dict(zip(app_spec.OF_JOB, (options["resources"], cache.id), strict=True))


def options_in(executable: App, project: ContainerRow) -> dict[str, Any]:
    """Return what an app or global workflow is in a project's region.

    Raises InvalidInput if it is not for the region, InvalidState if it is deleted.
    """
    version = executable.version
    if version.deleted_ms is not None:
        raise errors.InvalidState(f"{executable.label}/{version.version} is deleted; run another")
    options = version.regional_options.get(project.region)
    if options is None:
        known = ", ".join(version.regional_options)
        raise errors.InvalidInput(
            f"{executable.label} cannot run in {project.id}, which is in {project.region}:"
            f" it is made for {known}"
        )
    return options


def of_parent(parent: JobRow) -> dict[str, Any]:
    """Return the settings of a sub-job that name the containers of its app."""
    return {name: parent.settings[name] for name in app_spec.OF_JOB if name in parent.settings}


def levels(job: JobRow) -> dict[str, Level]:
    """Return what a job may do in the containers of its app (contract C.10)."""
    given = zip(app_spec.OF_JOB, (Level.VIEW, Level.CONTRIBUTE), strict=True)
    return {job.settings[name]: level for name, level in given if name in job.settings}


def variables(job: JobRow) -> dict[str, str]:
    """Return the variables by which a job knows the containers of its app (contract I.1)."""
    given = zip(app_spec.OF_JOB, ("DX_RESOURCES_ID", "DX_PROJECT_CACHE_ID"), strict=True)
    return {variable: job.settings[name] for name, variable in given if name in job.settings}
