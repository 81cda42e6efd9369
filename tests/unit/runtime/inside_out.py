"""Runs the files of the runtime outside of a sandbox, in a folder that stands for its root."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
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
        timeout=120,
    )


@contextlib.contextmanager
def started(
    *command: str | Path, env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command during the block, in a session that is ended with all its processes."""
    with subprocess.Popen(
        [str(part) for part in command],
        env={**os.environ, **(env or {})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def until(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    """Return as soon as a condition is true; fail if that takes too long."""
    deadline = time.monotonic() + seconds
    nothing = threading.Event()
    while not condition():
        assert time.monotonic() < deadline
        nothing.wait(0.01)
