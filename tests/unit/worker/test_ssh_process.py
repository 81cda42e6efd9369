"""What is left of a session that cannot begin."""

from __future__ import annotations

import errno
import os
import termios
from pathlib import Path
from typing import Any

import pytest

from plasmid.worker import ssh_process

TERMINAL = ssh_process.Terminal((80, 24, 0, 0))


class Nobody:
    """Carries nothing."""

    def carry(self, content: bytes, *, is_error: bool) -> None:
        raise AssertionError(content, is_error)

    def pause_input(self) -> None:
        raise AssertionError

    def resume_input(self) -> None:
        raise AssertionError


def open_count() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("broken", ["pipe", "dup"])
async def test_no_descriptor_stays_open_when_there_are_no_more(
    monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    given = iter([os.pipe(), os.pipe()])

    def full(*_: Any) -> tuple[int, int]:
        for pair in given:
            return pair
        raise OSError(errno.EMFILE, "Too many open files")

    before = open_count() - 4
    if broken == "dup":
        for pair in given:
            for descriptor in pair:
                os.close(descriptor)
    monkeypatch.setattr(os, broken, full)
    with pytest.raises(OSError, match="Too many open files"):
        await ssh_process.start(["true"], Nobody(), terminal=TERMINAL if broken == "dup" else None)
    assert open_count() == before


async def test_no_descriptor_stays_open_of_a_terminal_that_takes_no_modes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: Any) -> None:
        raise termios.error(errno.EIO, "Input/output error")

    before = open_count()
    monkeypatch.setattr(termios, "tcsetattr", broken)
    with pytest.raises(termios.error):
        await ssh_process.start(["true"], Nobody(), terminal=TERMINAL)
    assert open_count() == before


async def test_no_descriptor_stays_open_of_what_is_no_command() -> None:
    before = open_count()
    for terminal in (None, TERMINAL):
        with pytest.raises(ValueError, match="null byte"):
            await ssh_process.start(["tr\0ue"], Nobody(), terminal=terminal)
    assert open_count() == before
