"""A worker on a platform in memory and an engine without sandboxes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from plasmid.client import api
from plasmid.worker import log_pump, platform, resident, try_folder
from plasmid.worker.settings import WorkerSettings
from tests.unit.worker import fake_engine, fake_platform


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test wait for pauses that are made for the real world."""
    monkeypatch.setattr(log_pump, "RETRY", api.Retry(first_pause_ms=1, pause_ms_max=2))
    monkeypatch.setattr(log_pump, "GATHER_SECONDS", 0.001)
    monkeypatch.setattr(resident, "RETRY", api.Retry(first_pause_ms=1, pause_ms_max=2))
    monkeypatch.setattr(resident, "SYNC_PAUSE_SECONDS", 0.0)


class Place:
    """A machine with a work folder, whose sandboxes outlive its workers."""

    def __init__(self, folder: Path) -> None:
        self.platform = fake_platform.FakePlatform()
        self.engine = fake_engine.FakeEngine()
        self.settings = WorkerSettings(
            server_url="http://server",
            token=fake_platform.WORKER_TOKEN,
            name="w1",
            work_folder=folder / "work",
            images_folder=folder,
            layers_folder=folder / "layers",
            tools_folder=folder / "tools",
            image_table={},
            sync_wait_ms=20,
            server_gone_ms_max=50,
        )

    @asynccontextmanager
    async def worker(self, *, stop_all: bool = True) -> AsyncIterator[resident.Stop]:
        """Run a worker during the block, which then ends, by default with all that it has."""
        stop = resident.Stop()
        transport = httpx2.ASGITransport(app=self.platform.app)
        async with (
            api.ApiClient("http://server", "t", transport=transport) as client,
            asyncio.TaskGroup() as group,
        ):
            group.create_task(
                resident.run_worker(
                    self.settings,
                    with_adapters=fake_engine.fake_adapters(self.engine),
                    client=client,
                    stop=stop,
                )
            )
            yield stop
            if stop_all:
                stop.stop_all()
            else:
                stop.leave()

    def folders(self) -> list[str]:
        return [path.name for path in self.settings.work_folder.iterdir() if path.is_dir()]


@pytest.fixture
def server() -> fake_platform.FakePlatform:
    return fake_platform.FakePlatform()


@pytest.fixture
def link(server: fake_platform.FakePlatform) -> platform.Platform:
    """How a worker speaks to that platform."""
    transport = httpx2.ASGITransport(app=server.app)
    return platform.Platform(api.ApiClient("http://server", "t", transport=transport), "w1")


@pytest.fixture
def folder(tmp_path: Path) -> try_folder.TryFolder:
    """The folder of the try `fake_platform.HELD`."""
    return try_folder.TryFolder.create(tmp_path, fake_platform.an_assignment())


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    for sandbox in made.engine.made:
        sandbox.close_kept()
