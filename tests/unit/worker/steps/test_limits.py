"""What a job is told at its beginning about what it does not have."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from plasmid.domain import assignments
from plasmid.engines import engine, simulated
from plasmid.worker import try_folder
from plasmid.worker.steps import limits, output
from tests.unit.worker import fake_platform

SPEC = engine.SandboxSpec(
    name="j.0",
    folder=Path("/none"),
    base_image=Path("/none"),
    hostname="j",
    command=("/bin/true",),
    environment={},
    working_directory="/",
    files={},
    memory_bytes=1,
    cpu_weight=1,
)


class Weak(simulated.SimulatedEngine):
    """An engine that enforces little."""

    reasons = ("disk: 50 GB is no limit", "cores: 2 is no limit")

    async def unenforced(self, spec: engine.SandboxSpec) -> list[str]:
        return list(self.reasons)


class Said:
    """A log that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str, level: str = "INFO") -> None:
        self.lines.append(f"{level} {line}")


async def told(
    with_engine: engine.Engine, folder: Path, assignment: assignments.Assignment
) -> tuple[list[str], try_folder.TryFolder]:
    kept = try_folder.TryFolder.create(folder, assignment)
    said = Said()
    await limits.tell(with_engine, SPEC, assignment=assignment, folder=kept, pump=said)  # type: ignore[arg-type]
    return said.lines, kept


async def test_notes_and_what_is_not_enforced_are_said_and_kept(tmp_path: Path) -> None:
    assignment = msgspec.structs.replace(fake_platform.an_assignment(), notes=["it is smaller"])
    lines, kept = await told(Weak(), tmp_path, assignment)
    assert lines == [
        "INFO it is smaller",
        "INFO Not enforced on this machine: disk: 50 GB is no limit",
        "INFO Not enforced on this machine: cores: 2 is no limit",
    ]
    again = try_folder.TryFolder(kept.path)
    assert again.unenforced() == list(Weak.reasons)


async def test_nothing_is_said_where_all_is_enforced(tmp_path: Path) -> None:
    lines, kept = await told(simulated.SimulatedEngine(), tmp_path, fake_platform.an_assignment())
    assert lines == []
    assert kept.unenforced() == []
    (kept.path / "unenforced.json").write_text("[1")
    assert kept.unenforced() == []


@pytest.mark.parametrize(
    ("free_blocks", "names", "free_names", "is_full"),
    [
        (1 << 20, 100, 50, False),
        (1 << 20, 100, 0, True),
        (10, 100, 50, True),
        (1 << 20, 0, 0, False),  # a file system that does not count names
    ],
)
def test_a_disk_is_full_without_bytes_or_without_names(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    free_blocks: int,
    names: int,
    free_names: int,
    *,
    is_full: bool,
) -> None:
    figures = (4096, 4096, 1 << 30, free_blocks, free_blocks, names, free_names, free_names, 0, 255)
    monkeypatch.setattr("os.statvfs", lambda _: os.statvfs_result(figures))
    assert output.is_full(tmp_path) == is_full
