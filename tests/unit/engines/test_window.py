"""A runtime's terminal has the size of ours, also with a crun that does not see to it."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from plasmid.engines import window

# Holds the other end of a terminal, as crun does, and tells the size of that one.
HOLDER = """
import fcntl, os, pty, struct, sys, termios, time
for _ in sys.argv[1:]:
    os.write(1, b"begins\\n")
    os.read(0, 1)
ours, theirs = pty.openpty()
seen = None
while seen != b"stop":
    size = struct.unpack("HHHH", fcntl.ioctl(theirs, termios.TIOCGWINSZ, bytes(8)))[:2]
    if size != seen:
        os.write(1, b"size %d %d\\n" % size)
    seen = size
    time.sleep(0.01)
"""


class Terminal:
    """A terminal with a command on it."""

    def __init__(self, *command: str) -> None:
        self.end, theirs = pty.openpty()
        self.unread = b""
        self.process = subprocess.Popen(
            window.command(list(command)),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.end, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def shows(self, text: bytes) -> None:
        while text not in self.unread:
            assert select.select([self.end], [], [], 30)[0], self.unread
            self.unread += os.read(self.end, 4096)
        self.unread = self.unread.partition(text)[2]


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    made: list[Terminal] = []
    yield made
    for terminal in made:
        terminal.process.kill()
        terminal.process.wait()
        os.close(terminal.end)


def test_the_terminal_that_a_command_holds_follows_the_size_of_ours(
    terminals: list[Terminal],
) -> None:
    terminal = Terminal("/usr/bin/env", "python3", "-c", HOLDER)
    terminals.append(terminal)
    terminal.shows(b"size 0 0")
    terminal.resize(33, 100)
    terminal.shows(b"size 33 100")
    terminal.resize(50, 120)
    terminal.shows(b"size 50 120")


def test_a_size_from_before_the_command_had_its_terminal_is_given_to_it(
    terminals: list[Terminal],
) -> None:
    terminal = Terminal("/usr/bin/env", "python3", "-c", HOLDER, "late")
    terminals.append(terminal)
    terminal.resize(33, 100)
    terminal.shows(b"begins")
    os.write(terminal.end, b"\n")
    terminal.shows(b"size 33 100")


def test_an_open_file_that_goes_meanwhile_keeps_no_terminal_from_its_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours, theirs = pty.openpty()
    names = ["99999", str(ours), "99998"]
    ioctl, size = fcntl.ioctl, struct.pack("HHHH", 33, 100, 0, 0)

    def with_a_terminal(fd: int, request: int, given: bytes) -> bytes:
        return size if fd == 0 else ioctl(fd, request, given)

    monkeypatch.setattr("plasmid.engines.window.fcntl.ioctl", with_a_terminal)
    monkeypatch.setattr("plasmid.engines.window.os.listdir", lambda _: names)
    try:
        assert window._resize(os.getpid()) == 1
        assert ioctl(theirs, termios.TIOCGWINSZ, bytes(len(size))) == size
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_process_that_has_ended_is_given_nothing() -> None:
    ended = subprocess.Popen(["/bin/true"])
    ended.wait()
    assert window._resize(ended.pid) == 0


def test_exit_codes_and_signals_pass(terminals: list[Terminal]) -> None:
    script = "trap 'echo told; exit 9' TERM; echo ready; while :; do sleep 0.02; done"
    terminal = Terminal("/bin/sh", "-c", script)
    terminals.append(terminal)
    terminal.shows(b"ready")
    terminal.process.send_signal(signal.SIGTERM)
    terminal.shows(b"told")
    assert terminal.process.wait(60) == 9
    killed = Terminal("/bin/sh", "-c", "kill -KILL $$")
    terminals.append(killed)
    assert killed.process.wait(60) == 128 + signal.SIGKILL


@pytest.mark.parametrize(
    ("version", "follows"),
    [
        ("crun version 1.8.1", False),
        ("crun version 0.17", False),
        ("crun version 1.9", True),
        ("crun version 1.14.1-1", True),
        ("crun version 1.21-dirty", True),
        ("something else", False),
    ],
)
def test_what_a_crun_does_by_itself_is_told_by_its_version(
    tmp_path: Path, version: str, *, follows: bool
) -> None:
    crun = tmp_path / "crun"
    crun.write_text(f"#!/bin/sh\necho {version}\necho commit: abc\n")
    crun.chmod(0o755)
    assert window.follows(str(crun)) == follows
    assert not window.follows(str(tmp_path / "nothing"))
