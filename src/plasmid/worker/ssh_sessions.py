"""What goes on in a channel of an SSH client: a shell, a command, files, or a port inside.

Nothing here reaches this machine: each session is a process of the engine inside the sandbox, files
are served by a program inside, and only ports inside are forwarded.
"""

from __future__ import annotations

import asyncio
import functools
import re
import socket
import termios
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

import asyncssh
import structlog

from plasmid.engines import engine
from plasmid.worker import ssh_process

EXIT_NO_START: Final = 255

_LANGUAGE: Final = re.compile(r"LANG|LC_[A-Z]{1,20}")
_VALUE: Final = re.compile(r"[A-Za-z0-9_.@+-]{1,64}")
# What a killed full-screen program leaves on: another screen, the mouse, a hidden cursor.
_SANE: Final = b"\x1b[?1049l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?2004l\x1b[?25h\x1b[m"
_log = structlog.get_logger()


class Place(Protocol):
    """The sandbox that people log in to."""

    async def command(
        self, arguments: list[str], environment: dict[str, str], *, terminal: bool
    ) -> Sequence[str]:
        """Return the host command that runs the login program inside; raises EngineError."""
        ...

    async def connect(self, port: int) -> socket.socket:
        """Return a connection to a port inside; raises OSError."""
        ...

    async def last_words(self, exit_code: int) -> str:
        """Return the line that a session is to end with; "" if it has ended by itself."""
        ...

    def is_name(self, host: str) -> bool:
        """Say whether a host name is that of the sandbox."""
        ...


class Opened:
    """What a client has opened and not closed; a process may end later than its session."""

    def __init__(self, address: str) -> None:
        self.log: structlog.typing.FilteringBoundLogger = _log.bind(address=address)
        self.sessions: set[Session] = set()
        self.processes: set[ssh_process.Process] = set()
        self.forwards: set[Forward] = set()


class Session(asyncssh.SSHServerSession[bytes]):
    """A shell, a command or the file server: a process inside, and the channel that it is on."""

    def __init__(
        self, place: Place, connection: asyncssh.SSHServerConnection, opened: Opened
    ) -> None:
        self._opened = opened
        self._place = place
        self._connection = connection
        self._channel: asyncssh.SSHServerChannel[bytes] | None = None
        self._process: ssh_process.Process | None = None
        self._terminal: ssh_process.Terminal | None = None
        self._term = ""
        self._arguments: list[str] = []
        self._kind = "none"
        self._is_paused = False
        self._early: list[bytes | None] = []
        opened.sessions.add(self)

    # ------------------------------------------------------------------ what the client asks for

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        """Take note of the channel."""
        self._channel = chan

    def pty_requested(
        self, term_type: str, term_size: tuple[int, int, int, int], term_modes: Mapping[int, int]
    ) -> bool:
        """Have a terminal."""
        self._terminal = ssh_process.Terminal(term_size, dict(term_modes))
        self._term = term_type if _VALUE.fullmatch(term_type) else "xterm"
        return True

    def shell_requested(self) -> bool:
        """Run the session that shows the job, or without a terminal just a shell."""
        self._kind = "shell"
        self._arguments = [] if self._terminal is not None else ["-c", "exec /bin/bash"]
        return True

    def exec_requested(self, command: str) -> bool:
        """Run a command."""
        self._kind = "exec"
        self._arguments = ["-c", command]
        return "\0" not in command

    def subsystem_requested(self, subsystem: str) -> bool:
        """Serve the files inside."""
        self._kind = "sftp"
        self._arguments = ["--sftp"]
        return subsystem == "sftp"

    def session_started(self) -> None:
        """Start the process; errors of its task end the connection and nothing else."""
        if self._channel is not None:
            self._connection.create_task(self._run(self._channel))

    def terminal_size_changed(self, width: int, height: int, pixwidth: int, pixheight: int) -> None:
        """Hand on the size of the client's window."""
        if self._process is not None:
            self._process.resize((width, height, pixwidth, pixheight))
        elif self._terminal is not None:
            size = (width, height, pixwidth, pixheight)
            self._terminal = ssh_process.Terminal(size, self._terminal.modes)

    def signal_received(self, signal: str) -> None:
        """Hand on a signal."""
        if self._process is not None:
            self._process.send_signal(signal)

    def data_received(self, data: bytes, datatype: int | None) -> None:
        """Hand on input; what comes before the process is there waits."""
        if self._process is not None:
            self._process.feed(data)
        else:
            self._early.append(data)
            self.pause_input()

    def eof_received(self) -> bool:
        """Hand on the end of the input; output goes on."""
        if self._process is not None:
            self._process.feed_end()
        else:
            self._early.append(None)
        return True

    def pause_writing(self) -> None:
        """Stop the output of the process for as long as the client does not take it."""
        self._is_paused = True
        if self._process is not None:
            self._process.pause_output()

    def resume_writing(self) -> None:
        """Let output go on."""
        self._is_paused = False
        if self._process is not None:
            self._process.resume_output()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the process as if its user had gone."""
        self._opened.sessions.discard(self)
        if self._process is not None:
            self._process.hang_up()

    # ----------------------------------------------------------------- what the process puts out

    def carry(self, content: bytes, *, is_error: bool) -> None:
        """Bring output to the client."""
        if self._channel is not None and not self._channel.is_closing():
            self._channel.write(content, asyncssh.EXTENDED_DATA_STDERR if is_error else None)

    def pause_input(self) -> None:
        """Take nothing from the client until `resume_input`."""
        if self._channel is not None and not self._channel.is_closing():
            self._channel.pause_reading()

    def resume_input(self) -> None:
        """Take input again."""
        if self._channel is not None and not self._channel.is_closing():
            self._channel.resume_reading()

    def end(self, line: str, code: int = EXIT_NO_START) -> None:
        """End the session from our side with a line that says why."""
        if self._channel is None or self._channel.is_closing():
            return
        if line:
            is_screen = self._terminal is not None
            text = f"{line}\r\n".encode()
            self.carry(_SANE + b"\r\n" + text if is_screen else text, is_error=not is_screen)
        self._channel.exit(code)

    async def _run(self, channel: asyncssh.SSHServerChannel[bytes]) -> None:
        try:
            command = await self._place.command(
                self._arguments, self._environment(channel), terminal=self._terminal is not None
            )
            self._process = await ssh_process.start(command, self, terminal=self._terminal)
        except (engine.EngineError, OSError, ValueError, termios.error) as error:
            self._opened.log.warning("ssh_session_not_started", kind=self._kind, error=str(error))
            self.end(f"The session cannot be started: {error}")
            return
        self._opened.log.info("ssh_session", kind=self._kind)
        if channel.is_closing():
            self._process.hang_up()
        if self._is_paused:
            self._process.pause_output()
        for content in self._early:
            if content is None:
                self._process.feed_end()
            else:
                self._process.feed(content)
        self.resume_input()
        self._opened.processes.add(self._process)
        try:
            code = await self._process.wait()
        finally:
            self._opened.log.info("ssh_session_ended", kind=self._kind)
            self._opened.processes.discard(self._process)
        self.end(await self._place.last_words(code), code)

    def _environment(self, channel: asyncssh.SSHServerChannel[bytes]) -> dict[str, str]:
        """Return what of the client's environment goes inside: the terminal and the language."""
        found = {
            name.decode(): value.decode()
            for name, value in channel.get_environment_bytes().items()
            if name.isascii() and value.isascii()
        }
        taken = {
            name: value
            for name, value in found.items()
            if _LANGUAGE.fullmatch(name) and _VALUE.fullmatch(value)
        }
        return taken | ({"TERM": self._term} if self._term else {})


class Forward(asyncssh.SSHTCPSession[bytes]):
    """A connection to a port inside the sandbox, and the channel that it is on."""

    def __init__(self, there: socket.socket, port: int, opened: Opened) -> None:
        self._opened = opened
        self._there = there
        self._port = port
        opened.log.info("ssh_forward", port=port)
        opened.forwards.add(self)
        self._link: asyncio.Transport | None = None
        self._side = _Inner(self)
        self._channel: asyncssh.SSHTCPChannel[bytes] | None = None

    async def open(self) -> None:
        """Begin to carry; what comes from inside waits for the channel."""
        loop = asyncio.get_running_loop()
        # Not by create_connection: with uvloop, what breaks early would close another's descriptor.
        self._link, _ = await loop.connect_accepted_socket(
            functools.partial(_inner_of, self), self._there
        )
        self._link.pause_reading()

    def inner(self) -> _Inner:
        """The side that faces the sandbox."""
        return self._side

    def connection_made(self, chan: asyncssh.SSHTCPChannel[bytes]) -> None:
        """Take note of the channel."""
        self._channel = chan

    def session_started(self) -> None:
        """Let what comes from inside go on."""
        self._side.begin()
        if self._link is not None and not self._link.is_closing():
            self._link.resume_reading()

    def data_received(self, data: bytes, datatype: int | None = None) -> None:
        """Hand on what the client sends."""
        if self._link is not None and not self._link.is_closing():
            self._link.write(data)

    def eof_received(self) -> bool:
        """Hand on the client's end; the other direction stays open."""
        if self._link is not None and not self._link.is_closing():
            self._link.write_eof()
        return True

    def pause_writing(self) -> None:
        """Read nothing from inside for as long as the client does not take it."""
        if self._link is not None and not self._link.is_closing():
            self._link.pause_reading()

    def resume_writing(self) -> None:
        """Read from inside again."""
        if self._link is not None and not self._link.is_closing():
            self._link.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Close what is open inside."""
        if self in self._opened.forwards:
            self._opened.log.info("ssh_forward_ended", port=self._port)
        self._opened.forwards.discard(self)
        if self._link is not None:
            self._link.close()
        else:
            self._there.close()

    @property
    def channel(self) -> asyncssh.SSHTCPChannel[bytes] | None:
        """The channel, while it can take anything."""
        is_open = self._channel is not None and not self._channel.is_closing()
        return self._channel if is_open else None


class _Inner(asyncio.Protocol):
    """The side of a forwarded connection that faces the sandbox.

    What comes before the channel is open waits for it: uvloop reads at once, whatever is paused.
    """

    def __init__(self, forward: Forward) -> None:
        self._forward = forward
        self._early: list[Callable[[], object]] | None = []

    def begin(self) -> None:
        """Hand on what came early, and from now on all at once."""
        early, self._early = self._early or [], None
        for each in early:
            each()

    def data_received(self, data: bytes) -> None:
        if self._early is not None:
            self._early.append(functools.partial(self.data_received, data))
        elif self._forward.channel is not None:
            self._forward.channel.write(data)

    def eof_received(self) -> bool:
        if self._early is not None:
            self._early.append(self.eof_received)
        elif self._forward.channel is not None:
            self._forward.channel.write_eof()
        return True

    def pause_writing(self) -> None:
        if self._forward.channel is not None:
            self._forward.channel.pause_reading()

    def resume_writing(self) -> None:
        if self._forward.channel is not None:
            self._forward.channel.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._early is not None:
            self._early.append(functools.partial(self.connection_lost, exc))
        elif self._forward.channel is not None:
            self._forward.channel.close()


def _inner_of(forward: Forward) -> _Inner:
    return forward.inner()
