"""Finds uv, the fast installer of Python packages, which Plasmid brings with it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Final

INSIDE: Final = "/opt/plasmid/uv"
"""Where it is seen in a sandbox whose packages it installs."""


def find(python: str = sys.executable) -> Path | None:
    """Return the uv of the environment that a Python belongs to, else the host's; None without.

    It is one file that runs on any Linux with glibc 2.17 or newer.
    """
    own = Path(python).parent / "uv"
    if own.is_file():
        return own
    found = shutil.which("uv")
    return Path(found) if found else None
