"""All that is told of the routes, together."""

from __future__ import annotations

from typing import Final

from plasmid.methods.described import (
    executables,
    executions,
    finding,
    objects,
    orgs,
    people,
    projects,
    workflows,
)
from plasmid.methods.described.values import Told, anything

TOLD: Final[dict[str, Told]] = {
    **projects.ROUTES,
    **objects.ROUTES,
    **executables.ROUTES,
    **executions.ROUTES,
    **finding.ROUTES,
    **people.ROUTES,
    **workflows.ROUTES,
    **orgs.ROUTES,
}
# Of a route that nobody has described yet; tests/contract/test_described.py asks for it.
UNTOLD: Final = Told({}, anything("What it answers"))
