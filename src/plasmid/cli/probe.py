"""One tiny sandbox, made, run and removed: the doctor's last question."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from plasmid import bootstrap, config
from plasmid.cli import processes
from plasmid.engines import engine
from plasmid.environments import images
from plasmid.worker import connect

_MEMORY_BYTES: Final = 256 * 1024 * 1024
_SAID: Final = "a sandbox of this machine"


class ProbeError(Exception):
    """The sandbox did not do what it should; the message says what it did."""


def run(environ: Mapping[str, str]) -> tuple[str, str, str]:
    """Return (level, what was found, remedy) of making, running and removing a sandbox."""
    try:
        settings = config.load(environ)
        told = bootstrap.worker_settings(settings, url="", token="", work=settings.home)
        chosen = connect.adapters_from(told).engine
        problems = processes.run(chosen.check())
        if problems:
            return "FAIL", f"{chosen.name}: {problems[0]}", "mend this, then look again"
        found = images.Images(settings.images_folder, settings.images).list()
        if not found:
            return "warn", f"{chosen.name} is ready, but there is no base image", "plasmid demo"
        root = settings.images_folder / found[0].digest / "root"
        with tempfile.TemporaryDirectory(prefix="doctor-", dir=settings.home) as folder:
            begun = time.monotonic()
            processes.run(_try(chosen, root, Path(folder)))
            took_ms = round((time.monotonic() - begun) * 1000)
    except (config.ConfigError, engine.EngineError, ProbeError, OSError) as error:
        return "FAIL", str(error), "see the findings above"
    return "ok", f"{chosen.name} ran one of {found[0].name} in {took_ms} ms", ""


async def _try(chosen: engine.Engine, root: Path, folder: Path) -> None:
    spec = engine.SandboxSpec(
        name=folder.name,
        folder=folder,
        base_image=root,
        hostname="doctor",
        command=("/bin/cat", "/said"),
        environment={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        working_directory="/",
        files={"/said": _SAID.encode()},
        memory_bytes=_MEMORY_BYTES,
        cpu_weight=100,
    )
    sandbox = await chosen.create(spec)
    try:
        await sandbox.start()
        ended = await sandbox.wait()
        if ended.exit_code != 0 or _SAID not in sandbox.log_path.read_text(errors="replace"):
            raise ProbeError(f"{chosen.name}: a sandbox ended with {ended.exit_code}")
    finally:
        await sandbox.remove()
