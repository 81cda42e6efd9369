"""Another user than the first one of a server."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.e2e.driver import ROOT


def add_user(data: Path, user: str) -> str:
    """Add a user as the operator of a running server does, and return a token."""
    name = user.removeprefix("user-")
    plasmid(data, "user", "add", name, "--email", f"{name}@example.org")
    return plasmid(data, "token", "new", name, "--label", "a test's")


def plasmid(data: Path, *command: str) -> str:
    """Run a command of the operator on the server of a data folder; return what it prints."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("PLASMID_", "DX_"))}
    ran = subprocess.run(
        [sys.executable, "-P", "-m", "plasmid", *command, "--data", str(data)],
        env=environ | {"PYTHONPATH": str(ROOT / "src")},
        stdout=subprocess.PIPE,
        check=True,
        timeout=60,
    )
    return ran.stdout.decode().strip()
