"""A program in a terminal, as somebody who sits at it sees and types."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Iterator, Mapping, Sequence

SECONDS_MAX = 120.0


class Console:
    """A running program and what it has written; `until` reads on, `type` answers."""

    def __init__(self, pid: int, terminal: int) -> None:
        self._pid = pid
        self._terminal = terminal
        self._unread = b""
        self.code: int | None = None

    def until(self, text: str, seconds: float = SECONDS_MAX) -> str:
        """Read until a text has come, and return what came before it."""
        wanted = text.encode()
        deadline = time.monotonic() + seconds
        while wanted not in self._unread:
            assert self._read(deadline), (
                f"no {text!r} came: {self._unread.decode('utf-8', 'replace')}"
            )
        before, _, self._unread = self._unread.partition(wanted)
        return before.decode("utf-8", "replace")

    def type(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def resize(self, rows: int, columns: int) -> None:
        size = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, size)

    def end(self, seconds: float = SECONDS_MAX) -> tuple[int, str]:
        """Wait for the program's end and return its exit code and what it has still written."""
        deadline = time.monotonic() + seconds
        while self._read(deadline):
            pass
        _, status = os.waitpid(self._pid, 0)
        self.code = os.waitstatus_to_exitcode(status)
        return self.code, self._unread.decode("utf-8", "replace")

    def close(self) -> None:
        """End it if it has not ended."""
        if self.code is None:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
        os.close(self._terminal)

    def _read(self, deadline: float) -> bool:
        """Read once; False at the end of all, or when the time is over."""
        left = max(0.0, deadline - time.monotonic())
        if not select.select([self._terminal], [], [], left)[0]:
            return False
        try:
            content = os.read(self._terminal, 65536)
        except OSError:  # nobody holds the other end any more
            return False
        self._unread += content
        return bool(content)


@contextlib.contextmanager
def running(command: Sequence[str], environ: Mapping[str, str]) -> Iterator[Console]:
    """A program in a terminal of 24 by 100 for the time of the block."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(command[0], list(command), dict(environ))
    console = Console(pid, terminal)
    console.resize(24, 100)
    try:
        yield console
    finally:
        console.close()
