"""A platform that tests may damage, and the checks over it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from plasmid.integrity import checking
from plasmid.integrity.finding import Finding
from tests.worlds import World, a_world


class Damaged:
    """A world whose rows a test may falsify; no audit looks at it."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def falsify(self, statement: str) -> None:
        """Change rows behind the back of the platform."""
        await self.world.rows(statement)

    async def find(self) -> list[Finding]:
        """Return what is wrong."""
        return await checking.find(self.world.stored())

    async def found(self) -> list[tuple[str, str]]:
        """Return the invariants and subjects of what is wrong."""
        return sorted({(finding.invariant, finding.subject) for finding in await self.find()})

    async def details(self) -> str:
        """Return what is wrong as text."""
        return "\n".join(finding.detail for finding in await self.find())

    async def repair(self) -> int:
        """Repair what can be, and return how much is still wrong."""
        await checking.repair(await self.find(), self.world.workshop())
        return len(await self.find())


@pytest.fixture
async def damaged() -> AsyncIterator[Damaged]:
    """A platform in memory that a test damages."""
    async with a_world() as made:
        yield Damaged(made)
