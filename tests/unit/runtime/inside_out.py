"""Runs the files of the runtime outside of a sandbox, in a folder that stands for its root."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

RUNTIME = Path(__file__).resolve().parents[3] / "src" / "plasmid" / "runtime"
PLACES = ("/opt/plasmid", "/opt/dnanexus", "/home/dnanexus", "/usr/bin/dx-unpack")


def put(root: Path, name: str, target: str, **replaced: str) -> Path:
    """Copy a file of the runtime under a root, with the places it names moved there."""
    text = (RUNTIME / name).read_text()
    for place in (*PLACES, "/usr/bin/pcp-dstat"):
        text = text.replace(place, f"{root}{place}")
    for old, new in replaced.items():
        text = text.replace(f"@{old}@", new)
    path = root / target.lstrip("/")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def run(
    *command: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
