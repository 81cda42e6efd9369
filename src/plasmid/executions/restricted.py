"""What a restricted project does not let out: to other projects, or into their jobs (contract C.1).

A workspace and a project's caches are as restricted as their project.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from plasmid.domain import failures
from plasmid.domain.failures import JobFailure
from plasmid.metadata import objects, projects
from plasmid.metadata.database import Reader
from plasmid.metadata.rows import ContainerRow

FLAG: Final = "restricted"
FIRST: Final = 10


async def home_of(reader: Reader, row: ContainerRow) -> ContainerRow:
    """Return the project to which a container belongs, or the container if it belongs to none."""
    if row.project is None:
        return row
    return await projects.find_container(reader, row.project) or row


class Homes:
    """Which containers let what lies in them be used in one project; each is looked up once."""

    def __init__(self, reader: Reader, project: str) -> None:
        self._reader = reader
        self._project = project
        self._known: dict[str, tuple[str | None, str]] = {}

    async def closed_by(self, container_id: str) -> str | None:
        """Return the restricted project that keeps what lies in a container, None if none does."""
        return (await self._look(container_id))[0]

    async def _look(self, container_id: str) -> tuple[str | None, str]:
        """Return the restricted project that keeps what lies in a container, and the region."""
        if container_id in self._known:
            return self._known[container_id]
        keeper, region = None, ""
        row = await projects.find_container(self._reader, container_id)
        if row is not None:
            region = row.region
            home = await home_of(self._reader, row)
            keeper = home.id if home.id != self._project and home.flags.get(FLAG) else None
        self._known[container_id] = keeper, region
        return keeper, region

    async def only_in(self, container_ids: Iterable[str], region: str) -> str | None:
        """Return the region in which all of some containers are that lies elsewhere, or None."""
        found = None
        for container_id in container_ids:
            there = (await self._look(container_id))[1]
            if there == region:
                return None
            found = found or there
        return found

    async def all_closed_by(self, container_ids: Iterable[str]) -> str | None:
        """Return the first of the restricted projects if none of some containers is open."""
        found = None
        for container_id in container_ids:
            closed = await self.closed_by(container_id)
            if closed is None:
                return None
            found = found or closed
        return found


def told(object_id: str, project: str) -> str:
    """Return in words why an object cannot be used."""
    return f"{object_id} is in {project}, which is restricted: only jobs of that project can use it"


async def require_nowhere(reader: Reader, homes: Homes, object_id: str) -> None:
    """Raise JobFailure (InputError) if an object cannot be used because a project keeps it."""
    keeper = await keeper_of(reader, homes, object_id)
    if keeper is not None:
        raise JobFailure(failures.INPUT_ERROR, told(object_id, keeper))


async def keeper_of(reader: Reader, homes: Homes, object_id: str) -> str | None:
    """Return the restricted project that keeps an object, wherever else it may lie.

    What many jobs are given lies in the workspace of each, but first where it was made.
    """
    containers = await objects.find_containers_of(reader, object_id, FIRST)
    keeper = await homes.all_closed_by(containers)
    if keeper is None or len(containers) < FIRST:
        return keeper
    return await homes.all_closed_by(await objects.find_containers_of(reader, object_id, -1))
