"""Looks at a server while it works: its memory, its connections."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.e2e.driver import Site

MB: Final = 1_000_000
GROWTH_BYTES_MAX: Final = 50 * MB


class Memory:
    """The server's memory from now on; where the kernel lets us, its peak begins anew."""

    def __init__(self, site: Site) -> None:
        self._process = Path(f"/proc/{site.server.pid}")
        (self._process / "clear_refs").write_text("5")
        self.before = self._of("VmRSS")

    @property
    def growth_bytes(self) -> int:
        """How far the peak has gone above what was used at first."""
        return self._of("VmHWM") - self.before

    def _of(self, name: str) -> int:
        lines = (self._process / "status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) * 1024


def sockets(site: Site) -> int:
    """Count the server's open files: each connection is one."""
    return len(list(Path(f"/proc/{site.server.pid}/fd").iterdir()))
