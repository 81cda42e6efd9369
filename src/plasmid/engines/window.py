"""A runtime with a terminal, whose size follows that of ours: crun does not see to it before 1.9.

Run by its path, as `python -I -S window.py COMMAND…`: it imports nothing of ours. It runs the
command, hands signals on to it, and ends with its exit code. Whenever our terminal has changed its
size, it gives the same to the one that the command holds the other end of. That end is taken out of
the command (pidfd_getfd(2)), which is crun and runs outside the sandbox: by a path, it would be the
job that says what is opened.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import signal
import subprocess
import sys
import termios
from types import FrameType
from typing import Final

_PIDFD_GETFD: Final = 438  # one number on all architectures
_SIZE_BYTES: Final = 8
_HANDED_ON: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
_FOLLOWS_SINCE: Final = (1, 9)
_VERSION_SECONDS_MAX: Final = 10.0


@functools.cache
def follows(crun: str) -> bool:
    """Say whether a crun follows the size of its terminal by itself."""
    try:
        told = subprocess.run(
            [crun, "--version"], capture_output=True, check=False, timeout=_VERSION_SECONDS_MAX
        ).stdout.split()
        version = told[2].decode().split("-")[0].split(".")
        return (int(version[0]), int(version[1])) >= _FOLLOWS_SINCE
    except (OSError, subprocess.SubprocessError, IndexError, ValueError):
        return False


def command(argv: list[str]) -> list[str]:
    """Return the command line that runs another one so."""
    return [sys.executable, "-I", "-S", __file__, *argv]


def run(argv: list[str]) -> int:
    """Run a command to its end, with our terminal; returns its exit code, 128+n after signal n."""
    with contextlib.suppress(OSError):
        # Who leads a session without a terminal gets the first one that it opens.
        os.close(os.open("/proc/self/fd/0", os.O_RDWR))
    signal.pthread_sigmask(signal.SIG_BLOCK, (*_HANDED_ON, signal.SIGWINCH))
    child = subprocess.Popen(argv, preexec_fn=_unblock)  # noqa: PLW1509

    def on_signal(number: int, _: FrameType | None) -> None:
        if number != signal.SIGWINCH:
            child.send_signal(number)
            return
        with contextlib.suppress(OSError):
            _resize(child.pid)

    for number in (*_HANDED_ON, signal.SIGWINCH):
        signal.signal(number, on_signal)
    _unblock()
    code = child.wait()
    return code if code >= 0 else 128 - code


def _unblock() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _resize(pid: int) -> None:
    """Give every terminal that a process holds the other end of the size of ours."""
    # These take as long as all the rest, and few people change their window.
    import ctypes  # noqa: PLC0415
    import pathlib  # noqa: PLC0415

    size = fcntl.ioctl(0, termios.TIOCGWINSZ, bytes(_SIZE_BYTES))
    pidfd = os.pidfd_open(pid)
    libc = ctypes.CDLL(None)
    for link in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        end = -1
        if link.readlink().name == "ptmx":
            end = libc.syscall(_PIDFD_GETFD, pidfd, int(link.name), 0)
        if end >= 0:
            fcntl.ioctl(end, termios.TIOCSWINSZ, size)
            os.close(end)
    os.close(pidfd)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
