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
from typing import Any, Final

_PIDFD_GETFD: Final = 438  # one number on all architectures
_SIZE_BYTES: Final = 8
_HANDED_ON: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
_FOLLOWS_SINCE: Final = (1, 9)
_VERSION_SECONDS_MAX: Final = 10.0
_FIRST_PAUSE_SECONDS: Final = 0.02
_PAUSE_SECONDS_MAX: Final = 1.0


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
    # Signals are taken one by one, so that no two of them can give two sizes in the wrong order.
    awaited = {*_HANDED_ON, signal.SIGWINCH, signal.SIGCHLD}
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # who ignores it never hears of an end
    signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
    child = subprocess.Popen(argv, preexec_fn=_unblock)  # noqa: PLW1509
    looks = _Looks()
    while child.poll() is None:
        told = looks.wait(awaited)
        if told in _HANDED_ON:
            child.send_signal(told)
        elif told != signal.SIGCHLD:
            looks.note(_resize(child.pid))
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def _unblock() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


class _Looks:
    """When the size is given without a signal: our terminal may change before the command has its.

    Soon and ever more seldom, until it was given for a while; from then on signals tell.
    """

    def __init__(self) -> None:
        self._pause: float | None = _FIRST_PAUSE_SECONDS
        self._is_given = False

    def wait(self, awaited: set[signal.Signals]) -> int | None:
        """Return the next signal; None if it is time to look."""
        if self._pause is None:
            return signal.sigwaitinfo(awaited).si_signo
        told = signal.sigtimedwait(awaited, self._pause)
        if told is not None:
            return told.si_signo
        if self._pause < _PAUSE_SECONDS_MAX:
            self._pause *= 2
        elif self._is_given:
            self._pause = None
        return None

    def note(self, terminals: int) -> None:
        """Take note of how many terminals were given the size."""
        self._is_given = self._is_given or terminals > 0


def _resize(pid: int) -> int:
    """Give every terminal that a process holds the other end of the size of ours; return how many.

    Each for itself: what a process has open comes and goes while this looks.
    """
    # This takes as long as all the rest: the command is started first.
    import ctypes  # noqa: PLC0415

    libc = ctypes.CDLL(None)
    given = 0
    with contextlib.suppress(OSError), contextlib.ExitStack() as opened:
        size = fcntl.ioctl(0, termios.TIOCGWINSZ, bytes(_SIZE_BYTES))
        pidfd = os.pidfd_open(pid)
        opened.callback(os.close, pidfd)
        for number in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208 - pathlib takes long to load
            with contextlib.suppress(OSError):
                given += _resize_one(libc, pidfd, f"/proc/{pid}/fd/{number}", size)
    return given


def _resize_one(libc: Any, pidfd: int, link: str, size: bytes) -> bool:
    """Give the terminal of an open file of a process a size; False if it is not one's other end."""
    if not os.readlink(link).endswith("/ptmx"):  # noqa: PTH115
        return False
    end = libc.syscall(_PIDFD_GETFD, pidfd, int(link.rpartition("/")[2]), 0)
    if end < 0:
        return False
    try:
        fcntl.ioctl(end, termios.TIOCSWINSZ, size)
    finally:
        os.close(end)
    return True


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
