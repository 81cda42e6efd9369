"""The conmon that podman starts for a sandbox: found among the processes, as podman hides it."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_END_SECONDS_MAX: Final = 5.0


def await_end(folder: Path) -> None:
    """Wait for the sandbox's conmon to end: podman does not, above all after a failed start."""
    for pidfd in _all_of(folder):
        with contextlib.suppress(OSError):
            poll = select.poll()  # unlike select, it takes descriptors above 1023
            poll.register(pidfd, select.POLLIN)
            if not poll.poll(_END_SECONDS_MAX * 1000):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)


def hold(folder: Path, *, is_held: bool) -> None:
    """Stop the sandbox's conmon, so that it reads nothing more, or let it go on."""
    for pidfd in _all_of(folder):
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, signal.SIGSTOP if is_held else signal.SIGCONT)


def _all_of(folder: Path) -> Iterator[int]:
    """Give pidfds of the conmons of a sandbox's folder, open until the next is asked for."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            argv = (process / "cmdline").read_bytes().split(b"\0")
            if argv[0].endswith(b"conmon") and any(os.fsencode(folder) in a for a in argv):
                pidfd = os.pidfd_open(int(process.name))
                try:
                    yield pidfd
                finally:
                    os.close(pidfd)
