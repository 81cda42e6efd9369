"""Brings a job's bundled archives to this machine; they are unpacked inside the sandbox only."""

from __future__ import annotations

import asyncio
from typing import Final

from plasmid.client import api
from plasmid.domain import assignments, dependencies, errors, failures
from plasmid.worker import log_pump, platform, task_errors, try_folder

DOWNLOADS_AT_ONCE_MAX: Final = 4


async def download(
    link: platform.Platform,
    assignment: assignments.Assignment,
    plan: dependencies.Plan,
    *,
    folder: try_folder.TryFolder,
    pump: log_pump.LogPump,
) -> None:
    """Put the archives of a plan into the downloads folder as 0, 1, ...

    Raises JobFailure if one of them cannot be had.
    """
    workspace = assignment.environment.get("DX_WORKSPACE_ID") or assignment.job_description.get(
        "workspace"
    )
    places = asyncio.Semaphore(DOWNLOADS_AT_ONCE_MAX)

    async def fetch(number: int, bundle: dependencies.Bundle) -> None:
        async with places:
            pump.say(f"Downloading bundled file {bundle.name}")
            target = folder.downloads / str(number)
            try:
                await link.download(
                    bundle.file_id, target, token=assignment.token, workspace=workspace
                )
            except (api.Unreachable, errors.ApiError, OSError) as error:
                raise failures.JobFailure(
                    failures.EXECUTION_ERROR,
                    f"The bundled file {bundle.name} ({bundle.file_id}) could not be downloaded: "
                    f"{error}; build the executable again if the file is gone",
                ) from error
            target.chmod(0o644)

    with task_errors.unwrapped():
        async with asyncio.TaskGroup() as group:
            for number, bundle in enumerate(plan.bundles):
                group.create_task(fetch(number, bundle))
