"""One server for all tests; each module works in a project of its own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from plasmid import config
from plasmid.engines import oci
from tests import bases, stand_in
from tests.e2e.driver import Dx, Site, opened, user


@pytest.fixture(scope="session")
def images_folder() -> Path:
    """The machine's base images; the one that stands in for all is made if it is not there."""
    if os.geteuid() != 0:
        pytest.skip("sandboxes with limits of their own need root")
    if missing := asyncio.run(oci.OciEngine(None).check()):
        pytest.skip(f"no engine: {missing[0]}")
    found = config.load(os.environ)
    bases.make_if_missing(stand_in.NAME, found.images_folder)
    return found.images_folder


@pytest.fixture(scope="session")
def site(images_folder: Path) -> Iterator[Site]:
    """The server that the tests share."""
    with opened(images_folder) as site:
        yield site


@pytest.fixture
def own_site(images_folder: Path) -> Iterator[Site]:
    """A server that a test may treat badly."""
    with opened(images_folder) as site:
        yield site


@pytest.fixture(scope="module")
def dx(
    site: Site, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Dx]:
    """The client, in a project that is named for the module and removed after it."""
    name = request.module.__name__.rpartition(".")[2]
    dx = user(site, tmp_path_factory.mktemp(name), name)
    yield dx
    dx.call(f"/{dx.project}/destroy", {"terminateJobs": True})


@pytest.fixture
def own_dx(own_site: Site, tmp_path: Path) -> Dx:
    """The client of one's own server."""
    return user(own_site, tmp_path, "own")
