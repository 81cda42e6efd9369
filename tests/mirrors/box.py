"""Runs a program in a real sandbox of the base image, with the network of a layer being built."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Final, NamedTuple

from plasmid import config
from plasmid.engines import engine
from plasmid.worker import connect
from plasmid.worker.settings import WorkerSettings
from plasmid.worker.steps import environment

GIB: Final = 1 << 30
RUNTIME: Final = resources.files("plasmid").joinpath("runtime")
INSTALL: Final = "/opt/plasmid/install-dependencies"
NOBODY: Final = "http://127.0.0.1:9"
_RECORD: Final = re.compile(r"^\S+ (?:stdout|stderr) [FP] ", re.MULTILINE)


class Ran(NamedTuple):
    """How a sandbox ended: exit code, what it printed, what was refused, and what it changed."""

    code: int
    printed: str
    refused: list[str]
    changes: Path

    def read(self, path: str) -> str:
        """A file that it wrote; "" if there is none."""
        file = self.changes / path.lstrip("/")
        return file.read_text(errors="replace") if file.is_file() else ""

    def has(self, path: str) -> bool:
        return (self.changes / path.lstrip("/")).exists()

    @property
    def failure(self) -> str:
        return self.read("/opt/plasmid/failure")

    @property
    def resolved(self) -> Any:
        text = self.read("/opt/plasmid/resolved.json")
        return json.loads(text) if text else None


class Bench:
    """Makes one sandbox after the other; what each changed stays, to be a layer of later ones."""

    def __init__(self, folder: Path, images_folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir(exist_ok=True)
        self.folder.chmod(0o711)
        self._count = 0
        loaded = config.load(os.environ)
        self.ca_bundle = Path(loaded.network.ca_bundle) if loaded.network.ca_bundle else None
        settings = WorkerSettings(
            server_url=NOBODY,
            token="",
            name="box",
            work_folder=folder,
            images_folder=images_folder,
            layers_folder=folder / "layers",
            tools_folder=folder / "tools",
            image_table={"*": "debian-12"},
        )
        self._adapters = connect.adapters_from(settings)
        self.image = self._adapters.images.find("Debian", "12", "0")

    def run(
        self,
        *command: str,
        files: Mapping[str, bytes] | None = None,
        hosts: Sequence[str] = (),
        layers: Sequence[Path] = (),
        mounts: Sequence[tuple[str, str]] = (),
        variables: Mapping[str, str] | None = None,
        seconds: float = 110.0,
    ) -> Ran:
        """Run a command; `hosts` are all that it reaches, `mounts` are (outside, inside)."""
        self._count += 1
        home = self.folder / f"{self._count}"
        home.mkdir()
        home.chmod(0o711)
        given = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
            "LANG": "C.UTF-8",
            "PIP_BREAK_SYSTEM_PACKAGES": "1",
            **environment.network_variables(self.ca_bundle),
        }
        bundle = [(str(self.ca_bundle), environment.CA_BUNDLE)] if self.ca_bundle else []
        spec = engine.SandboxSpec(
            name=f"box-{os.getpid()}-{self._count}",
            folder=home / "sandbox",
            base_image=self.image.root,
            hostname="box",
            command=command,
            environment={**given, **(variables or {})},
            working_directory="/",
            files=dict(files or {}),
            memory_bytes=8 * GIB,
            cpu_weight=100,
            mounts=tuple(engine.Mount(*pair) for pair in (*bundle, *mounts)),
            layers=tuple(layers),
        )
        spec.folder.mkdir()
        return asyncio.run(self._ran(spec, hosts, seconds))

    async def _ran(self, spec: engine.SandboxSpec, hosts: Sequence[str], seconds: float) -> Ran:
        refused: list[str] = []
        kept = spec.folder.parent / "changes"
        sandbox = await self._adapters.engine.create(spec)
        try:
            network = self._adapters.network(sandbox, (), refused.append, package_hosts=hosts)
            async with network:
                await sandbox.start()
                try:
                    async with asyncio.timeout(seconds):
                        ended = await sandbox.wait()
                except TimeoutError:
                    await sandbox.kill()
                    ended = await sandbox.wait()
            printed = _RECORD.sub("", sandbox.log_path.read_text(errors="replace"))
            with contextlib.suppress(FileNotFoundError):
                shutil.move(sandbox.changes, kept)
        finally:
            await sandbox.remove()
        return Ran(ended.exit_code, printed, refused, kept)


def program() -> dict[str, bytes]:
    """Return the installer's files, by their places in a sandbox."""
    files = {INSTALL: RUNTIME.joinpath("install_dependencies.py").read_bytes()}
    for entry in RUNTIME.joinpath("installers").iterdir():
        if entry.is_file():
            files[f"/opt/plasmid/installers/{entry.name}"] = entry.read_bytes()
    return files
