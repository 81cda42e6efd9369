"""Jobs with dependencies: over a layer that is there, over one that is not, and eight at once."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from websockets.sync import client as websocket

from plasmid import bootstrap, config
from plasmid.engines import engine
from plasmid.environments import layers
from plasmid.environments.images import Images
from plasmid.worker import connect
from plasmid.worker.steps import environment, workspace
from tests import stand_in
from tests.benchmarks import platform

PACKAGE: Final = "samtools"
EIGHT: Final = ("tree", "sl", "pv", "figlet", "cowsay", "rsync", "moreutils", "toilet")
_CODE: Final = "date +%s%N\n"
_INSTALL: Final = "apt-get update && apt-get install --yes --no-install-recommends "


def applet(served: platform.Served, project: str, *packages: str) -> str:
    """Return an applet that needs packages and tells when its code began."""
    spec = {
        "interpreter": "bash", "code": _CODE, "distribution": "Ubuntu", "release": "24.04",
        "version": "0", "execDepends": [{"name": name} for name in packages],
    }  # fmt: skip
    body = {"project": project, "name": "a", "runSpec": spec, "inputSpec": [], "outputSpec": []}
    return str(served.call("/applet/new", body)["id"])


def seconds_to_code(served: platform.Served, of: str, project: str) -> float:
    """Return how long a job takes from the run call to its code."""
    started = time.time()
    job = served.start(of, project)
    served.wait(job)
    return _code_began(served, job) - started


def _code_began(served: platform.Served, job: str) -> float:
    url = f"ws://127.0.0.1:{served.port}/{job}/getLog/websocket"
    first = {"access_token": served.token, "token_type": "Bearer", "tail": True}
    with websocket.connect(url, proxy=None) as stream:
        stream.send(json.dumps(first | {"numRecentMessages": 1000}))
        while (told := json.loads(stream.recv())).get("msg") != "END_LOG":
            if told.get("level") == "STDOUT" and told["msg"].isdigit():
                return int(told["msg"]) / 1e9
    raise RuntimeError(f"{job} did not tell when its code began")


def forget(served: platform.Served) -> int:
    """Delete all layers; return how many there were."""
    kept = layers.Layers(served.data.parent / "layers")
    found = kept.all()
    for layer in found:
        while kept.holders(layer.about.key):
            time.sleep(0.01)
        kept.remove(layer.about.key)
    return len(found)


def present(scratch: Path, images: Path, rounds: int) -> tuple[float, float]:
    """Return seconds to user code: with a package whose layer is there, and without any."""
    with platform.served(scratch, images, jobs_max=2) as served:
        project = served.project()
        with_package, without = applet(served, project, PACKAGE), applet(served, project)
        for each in (with_package, without):
            seconds_to_code(served, each, project)
        pairs = [
            (
                seconds_to_code(served, with_package, project),
                seconds_to_code(served, without, project),
            )
            for _ in range(rounds)
        ]
    ours, other = (statistics.median(side) for side in zip(*pairs, strict=True))
    return ours, other


def absent(scratch: Path, images: Path, rounds: int) -> tuple[float, float]:
    """Return seconds: to user code when the layer is made first, and for apt in a bare sandbox."""
    pairs = []
    with platform.served(scratch, images, jobs_max=2) as served:
        project = served.project()
        seconds_to_code(served, applet(served, project), project)
        with_package = applet(served, project, PACKAGE)
        for _ in range(rounds):
            forget(served)
            pairs.append(
                (
                    seconds_to_code(served, with_package, project),
                    asyncio.run(_bare_seconds(scratch, images)),
                )
            )
    ours, other = (statistics.median(side) for side in zip(*pairs, strict=True))
    return ours, other


async def _bare_seconds(scratch: Path, images: Path) -> float:
    """Return how long apt takes in a sandbox of the same base image and network."""
    found = config.load(os.environ | {"PLASMID_HOME": str(images.parent)})
    settings = bootstrap.worker_settings(found, url="http://127.0.0.1:9", token="", work=scratch)
    adapters = connect.adapters_from(settings)
    image = Images(images, stand_in.TABLE).find("Ubuntu", "24.04", "0")
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        Path(folder).chmod(0o711)
        inner = Path(folder) / "sandbox"
        inner.mkdir()
        spec = engine.SandboxSpec(
            name=f"bare-{Path(folder).name}",
            folder=inner,
            base_image=image.root,
            hostname="bare",
            command=("/bin/sh", "-c", _INSTALL + PACKAGE),
            environment={**environment.BASE, "DEBIAN_FRONTEND": "noninteractive"},
            working_directory="/",
            files=workspace.network_files(None),
            memory_bytes=4 << 30,
            cpu_weight=200,
        )
        return await _timed(adapters.engine, adapters.network, spec, image.apt_hosts)


async def _timed(
    with_engine: engine.Engine, network: Any, spec: engine.SandboxSpec, hosts: tuple[str, ...]
) -> float:
    started = time.perf_counter()
    sandbox = await with_engine.create(spec)
    try:
        async with network(sandbox, (), lambda _: None, package_hosts=hosts):
            await sandbox.start()
            ended = await sandbox.wait()
        if ended.exit_code != 0:
            raise RuntimeError(f"apt failed: {sandbox.log_path.read_text()[-2000:]}")
        return time.perf_counter() - started
    finally:
        await sandbox.remove()


def eight(scratch: Path, images: Path) -> tuple[float, float]:
    """Return seconds for jobs with eight different layers: all at once, and one after another."""
    with platform.served(scratch, images, jobs_max=8) as served:
        project = served.project()
        seconds_to_code(served, applet(served, project), project)
        applets = [applet(served, project, name) for name in EIGHT]
        started = time.perf_counter()
        for job in [served.start(each, project) for each in applets]:
            served.wait(job)
        at_once = time.perf_counter() - started
        if (made := forget(served)) != len(EIGHT):
            raise RuntimeError(f"{made} layers were made and not {len(EIGHT)}")
        started = time.perf_counter()
        for each in applets:
            served.wait(served.start(each, project))
        return at_once, time.perf_counter() - started
