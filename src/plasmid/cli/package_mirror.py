"""The package mirror of this host, asked in the way that apt itself goes there.

Standard library only, as `plasmid doctor` itself.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Final

SECONDS_MAX: Final = 15


def find() -> str | None:
    """Return the address of the release file of apt's first source; None if it has none."""
    listed = output_of(["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)"])
    for line in (listed or "").splitlines():
        uri, _, release = line.partition(" ")
        if uri.startswith("http") and release:
            return f"{uri.rstrip('/')}/dists/{release}/InRelease"
    return None


def fetch(address: str) -> str:
    """Return the text at an address, fetched as apt does it: its proxy, its certificates."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "release"
        output_of(["/usr/lib/apt/apt-helper", "download-file", address, str(target)])
        return target.read_text(errors="replace") if target.exists() else ""


def output_of(command: list[str]) -> str | None:
    """Return what a command printed, or None if it failed or did not end in time."""
    try:
        ran = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=SECONDS_MAX
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return ran.stdout + ran.stderr if ran.returncode == 0 else None
