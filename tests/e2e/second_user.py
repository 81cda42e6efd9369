"""Other users than the first one of a server, which the tests of all modules share.

Whoever asks gets one of their own, so that it does not matter which modules share a server.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.e2e.driver import ROOT, Dx, Site

_NUMBERS: Final = itertools.count(1)


def new_name(word: str) -> str:
    """Return a user's name that no other test has."""
    return f"{word}.{next(_NUMBERS)}"


def add_user(site: Site, word: str) -> tuple[str, str]:
    """Add a user as the operator of a running server does, and return its id and a token.

    Nobody else has that user: its name only begins with the given word.
    """
    name = new_name(word)
    plasmid(site.data, "user", "add", name, "--email", f"{name}@example.org")
    return f"user-{name}", plasmid(site.data, "token", "new", name, "--label", "a test's")


def client(site: Site, home: Path, word: str) -> Dx:
    """Return the client of a new user."""
    user, token = add_user(site, word)
    return Dx(site, home, user=user, token=token)


def plasmid(data: Path, *command: str) -> str:
    """Run a command of the operator on the server of a data folder; return what it prints."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("PLASMID_", "DX_"))}
    ran = subprocess.run(
        [sys.executable, "-P", "-m", "plasmid", *command, "--data", str(data)],
        env=environ | {"PYTHONPATH": str(ROOT / "src")},
        stdout=subprocess.PIPE,
        check=True,
        timeout=120,
    )
    return ran.stdout.decode().strip()
