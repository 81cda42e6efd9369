"""A command inside a sandbox, with a terminal or with pipes, whose bytes somebody else carries.

The process on this side belongs to the engine (`Sandbox.entry`): ending it, or closing its terminal
or its pipes, ends what it runs inside, unless that has gone its own ways as a daemon does.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import functools
import os
import signal
import struct
import termios
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol

import msgspec

from plasmid.worker import descriptors

_INTERRUPTS: Final = {"INT": b"\x03", "QUIT": b"\x1c"}
_END_OF_INPUT: Final = b"\x04"
_REST_SECONDS_MAX: Final = 1.0
_END_SECONDS_MAX: Final = 1.0
# RFC 4254, 8: the codes of control characters, and of flags by the field of termios they are in.
_CHARACTERS: Final = {
    1: "VINTR", 2: "VQUIT", 3: "VERASE", 4: "VKILL", 5: "VEOF", 6: "VEOL", 7: "VEOL2",
    8: "VSTART", 9: "VSTOP", 10: "VSUSP",
}  # fmt: skip
_FLAGS: Final[tuple[dict[int, str], ...]] = (
    {30: "IGNPAR", 31: "PARMRK", 32: "INPCK", 33: "ISTRIP", 34: "INLCR", 35: "IGNCR",
     36: "ICRNL", 38: "IXON", 39: "IXANY", 40: "IXOFF", 41: "IMAXBEL", 42: "IUTF8"},
    {70: "OPOST", 72: "ONLCR", 73: "OCRNL", 74: "ONOCR", 75: "ONLRET"},
    {},
    {50: "ISIG", 51: "ICANON", 53: "ECHO", 54: "ECHOE", 55: "ECHOK", 56: "ECHONL", 57: "NOFLSH",
     58: "TOSTOP", 59: "IEXTEN", 60: "ECHOCTL", 61: "ECHOKE", 62: "PENDIN"},
)  # fmt: skip
_KNOWN: Final = {"IUTF8": 0o40000}  # not in the module before Python 3.13
_CHARACTERS_FIELD: Final = 6
_CODE_NONE: Final = 255


class Terminal(msgspec.Struct, frozen=True):
    """A terminal as the client has it: columns, rows, their pixels, and modes by RFC 4254, 8."""

    size: tuple[int, int, int, int]
    modes: Mapping[int, int] = {}


class Carrier(Protocol):
    """Brings what a process puts out to where it is wanted, and its input from there."""

    def carry(self, content: bytes, *, is_error: bool) -> None:
        """Take output; `pause_output` of the process says when it is too much."""
        ...

    def pause_input(self) -> None:
        """Bring nothing until `resume_input`."""
        ...

    def resume_input(self) -> None:
        """Bring more."""
        ...


class Process:
    """A running command; `wait` returns when it has ended and its output was carried."""

    def __init__(
        self,
        running: asyncio.subprocess.Process,
        carrier: Carrier,
        ends: Mapping[str, int],
        *,
        is_terminal: bool,
    ) -> None:
        """Read and write the given ends of pipes (`in`, `out`, `error`); they are ours now."""
        self._running = running
        self._terminal = ends["out"] if is_terminal else None
        self._outputs = [
            descriptors.Reading(ends[name], functools.partial(carrier.carry, is_error=is_error))
            for name, is_error in (("out", False), ("error", True))
            if name in ends
        ]
        self._input = descriptors.Writing(
            ends["in"], on_full=carrier.pause_input, on_room=carrier.resume_input
        )

    def feed(self, content: bytes) -> None:
        """Give it input."""
        self._input.write(content)

    def feed_end(self) -> None:
        """Say that no more input comes: a terminal is told as by Ctrl-D."""
        if self._terminal is not None:
            self.feed(_END_OF_INPUT)
        else:
            self._input.end()

    def resize(self, size: tuple[int, int, int, int]) -> None:
        """Give its terminal another size; what runs in it is told."""
        if self._terminal is not None and not self._outputs[0].ended.is_set():
            _resize(self._terminal, size)

    def send_signal(self, name: str) -> None:
        """Send a signal by its name in RFC 4254, 6.9; interrupts go by the terminal's keys."""
        if self._terminal is not None and name in _INTERRUPTS:
            self.feed(_INTERRUPTS[name])
        elif self._running.returncode is None:
            number = {"HUP": signal.SIGHUP, "KILL": signal.SIGKILL}.get(name, signal.SIGTERM)
            with contextlib.suppress(ProcessLookupError):
                self._running.send_signal(number)

    def pause_output(self) -> None:
        """Carry nothing more until `resume_output`; a command that writes on will wait."""
        for output in self._outputs:
            output.pause()

    def resume_output(self) -> None:
        """Carry output again."""
        for output in self._outputs:
            output.resume()

    def hang_up(self) -> None:
        """End it as if its user had gone away."""
        self.send_signal("HUP")
        self._close()

    async def end(self) -> None:
        """Return once it has ended; one that does not by itself, soon, is killed."""
        try:
            async with asyncio.timeout(_END_SECONDS_MAX):
                await self._running.wait()
        except TimeoutError:
            self.send_signal("KILL")
            await self._running.wait()

    async def wait(self) -> int:
        """Return its exit code once it has ended and all that it wrote was carried.

        With pipes that is when nobody holds them any more, as in OpenSSH.
        """
        code = await self._running.wait()
        with contextlib.suppress(TimeoutError):
            # A terminal is over with its first process, whoever else may still hold it.
            async with asyncio.timeout(None if self._terminal is None else _REST_SECONDS_MAX):
                for output in self._outputs:
                    await output.ended.wait()
        self._close()
        return code if 0 <= code < _CODE_NONE else 128 - code if code < 0 else _CODE_NONE

    def _close(self) -> None:
        for output in self._outputs:
            output.close()
        self._input.close()


async def start(command: Sequence[str], carrier: Carrier, *, terminal: Terminal | None) -> Process:
    """Start a host process, in a session of its own.

    Raises OSError, and ValueError or termios.error for what no command line or terminal can be.
    """
    ours, theirs = _terminal_ends(terminal) if terminal is not None else _pipe_ends()
    try:
        running = await asyncio.create_subprocess_exec(
            *command,
            stdin=theirs["in"],
            stdout=theirs["out"],
            stderr=theirs["error"],
            env={"PATH": os.environ.get("PATH", os.defpath)},
            start_new_session=True,
        )
    except BaseException:
        _close_all(ours.values())
        raise
    finally:
        _close_all(set(theirs.values()))
    return Process(running, carrier, ours, is_terminal=terminal is not None)


def _pipe_ends() -> tuple[dict[str, int], dict[str, int]]:
    with contextlib.ExitStack() as opened:
        (input_end, to_input), (out, from_out), (error, from_error) = (
            _kept(opened, *os.pipe()) for _ in range(3)
        )
        opened.pop_all()
    ours = {"in": to_input, "out": out, "error": error}
    return ours, {"in": input_end, "out": from_out, "error": from_error}


def _terminal_ends(terminal: Terminal) -> tuple[dict[str, int], dict[str, int]]:
    with contextlib.ExitStack() as opened:
        ours, theirs = _kept(opened, *os.openpty())
        _resize(ours, terminal.size)
        _set_modes(theirs, terminal.modes)
        to_input = os.dup(ours)
        opened.pop_all()
    return {"in": to_input, "out": ours}, dict.fromkeys(("in", "out", "error"), theirs)


def _kept(opened: contextlib.ExitStack, one: int, other: int) -> tuple[int, int]:
    """Return a pair of descriptors that are closed if what follows fails."""
    opened.callback(os.close, one)
    opened.callback(os.close, other)
    return one, other


def _resize(terminal: int, size: tuple[int, int, int, int]) -> None:
    columns, rows, width, height = (min(max(0, value), 0xFFFF) for value in size)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, width, height))


def _set_modes(terminal: int, modes: Mapping[int, int]) -> None:
    """Set the modes that this system knows; the others are left as they are."""
    attributes = termios.tcgetattr(terminal)
    for field, flags in enumerate(_FLAGS):
        for code, name in flags.items():
            bit = getattr(termios, name, _KNOWN.get(name))
            if code in modes and bit is not None:
                kept = attributes[field] & ~bit
                attributes[field] = kept | bit if modes[code] else kept
    for code, name in _CHARACTERS.items():
        if code in modes and hasattr(termios, name):
            character = bytes([modes[code] if 0 <= modes[code] < _CODE_NONE else 0])
            attributes[_CHARACTERS_FIELD][getattr(termios, name)] = character
    termios.tcsetattr(terminal, termios.TCSANOW, attributes)


def _close_all(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
