"""Brings a job's bundled archives to this machine, where they are not there yet.

What a file holds never changes once it is closed, so its digest is remembered by its id. That a
layer of it is here gives no job the right to its content: each asks the platform, with its own
token, whether it may download the file.
"""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Final

from plasmid.client import api
from plasmid.domain import assignments, dependencies, errors, failures
from plasmid.environments import layers
from plasmid.worker import log_pump, platform, task_errors, try_folder

DOWNLOADS_AT_ONCE_MAX: Final = 4


class Bundles:
    """The archives of one try, each downloaded once at most."""

    def __init__(
        self,
        link: platform.Platform,
        assignment: assignments.Assignment,
        folder: try_folder.TryFolder,
        pump: log_pump.LogPump,
    ) -> None:
        self._link = link
        self._assignment = assignment
        self._folder = folder
        self._pump = pump
        self._workspace = assignment.environment.get(
            "DX_WORKSPACE_ID"
        ) or assignment.job_description.get("workspace")
        self._places = asyncio.Semaphore(DOWNLOADS_AT_ONCE_MAX)
        self._paths: dict[str, Path] = {}

    async def digests(
        self, bundles: tuple[dependencies.Bundle, ...], known: layers.Layers
    ) -> dict[str, str]:
        """Return the SHA-256 of each archive by its file's id; downloads those not known yet.

        Raises JobFailure if the job may not have one of them.
        """
        found: dict[str, str] = {}

        async def look(bundle: dependencies.Bundle) -> None:
            async with self._places:
                digest = known.digest_of(bundle.file_id)
                if digest is None:
                    path = await self._download(bundle)
                    digest = await known.run(lambda: _digest(path))
                    known.remember(bundle.file_id, digest)
                else:
                    await self._ask(bundle)
                found[bundle.file_id] = digest

        with task_errors.unwrapped():
            async with asyncio.TaskGroup() as group:
                for bundle in {bundle.file_id: bundle for bundle in bundles}.values():
                    group.create_task(look(bundle))
        return found

    async def path(self, bundle: dependencies.Bundle) -> Path:
        """Return where an archive is; downloads it if it is not here."""
        known = self._paths.get(bundle.file_id)
        return known if known is not None else await self._download(bundle)

    async def _ask(self, bundle: dependencies.Bundle) -> None:
        try:
            await self._link.may_download(
                bundle.file_id, token=self._assignment.proven_token, workspace=self._workspace
            )
        except (api.Unreachable, errors.ApiError) as error:
            raise _not_to_be_had(bundle, error) from error

    async def _download(self, bundle: dependencies.Bundle) -> Path:
        self._pump.say(f"Downloading bundled file {bundle.name}")
        target = self._folder.downloads / bundle.file_id
        try:
            await self._link.download(
                bundle.file_id,
                target,
                token=self._assignment.proven_token,
                workspace=self._workspace,
            )
        except (api.Unreachable, errors.ApiError, OSError) as error:
            raise _not_to_be_had(bundle, error) from error
        target.chmod(0o644)
        self._paths[bundle.file_id] = target
        return target


def _not_to_be_had(bundle: dependencies.Bundle, error: Exception) -> failures.JobFailure:
    return failures.JobFailure(
        failures.EXECUTION_ERROR,
        f"The bundled file {bundle.name} ({bundle.file_id}) could not be downloaded: {error}; "
        "build the executable again if the file is gone",
    )


def _digest(path: Path) -> str:
    with path.open("rb", buffering=0) as source:
        return hashlib.file_digest(source, "sha256").hexdigest()
