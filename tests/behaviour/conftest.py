"""The server of the cases: one of our own, started once, or the one that `just behaviour` names."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest

from tests.behaviour import server as servers
from tests.behaviour.server import Server


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """What the cases are called on."""
    given = servers.from_environment()
    if given is not None:
        yield given
        return
    with servers.Own() as own:
        yield own


@pytest.fixture(scope="session")
def http() -> Iterator[httpx2.Client]:
    """One client, whose connections stay open."""
    with httpx2.Client(timeout=60, trust_env=False) as client:
        yield client
