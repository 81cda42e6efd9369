"""The SSH protocol of a try's server: who may log in, and what they may open.

Nobody but the owner of one key comes in, and what they get is within the sandbox: no forwarding to
other hosts, of an agent, of X11, of unix sockets, or from inside to the client.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable
from typing import Final, Protocol

import asyncssh
import structlog

from plasmid.worker.ssh_sessions import Forward, Opened, Place, Session

USER: Final = "dnanexus"
SESSIONS_MAX: Final = 10
FORWARDS_MAX: Final = 100
KEYS_MAX: Final = 20
LEAVING_SECONDS_MAX: Final = 1.0
_LOOK_SECONDS: Final = 0.02
LOGIN_SECONDS_MAX: Final = 30
KEY_KIND: Final = "ssh-ed25519"

_HERE: Final = ("localhost", "127.0.0.1")
# The quick ones only: what these cost is taken from the worker's other tasks.
_CIPHERS: Final = (
    "aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com",
    "aes256-ctr", "aes192-ctr", "aes128-ctr",
)  # fmt: skip
_log = structlog.get_logger()


def new_host_key() -> bytes:
    """Return a new private key."""
    return asyncssh.generate_private_key(KEY_KIND).export_private_key()


def is_host_key(content: bytes) -> bool:
    """Say whether this is a private key, and not half of one."""
    try:
        asyncssh.import_private_key(content)
    except asyncssh.KeyImportError:
        return False
    return True


def public_line(host_key: bytes) -> str:
    """Return the public part of a private key: one line without a comment."""
    public = asyncssh.import_private_key(host_key).export_public_key()
    return " ".join(public.decode().split()[:2])


def key_of(line: str) -> bytes:
    """Return the binary form of a public key, of its line in OpenSSH's form; b"" for nonsense."""
    # Without the comment, which may be of any letters: the library knows those of ASCII only.
    kind_and_key = " ".join(line.split()[:2])
    try:
        return asyncssh.import_public_key(kind_and_key).public_data
    # The two others are what the library lets through of numbers that make no key.
    except (asyncssh.KeyImportError, ValueError, OverflowError) as error:
        _log.warning("ssh_key_unusable", error=str(error))
        return b""


class Door(Place, Protocol):
    """The sandbox that people log in to, and who may."""

    def is_key(self, key: bytes) -> bool:
        """Say whether a public key, in its binary form, is that of who may log in."""
        ...

    def admitted(self, visitor: Visitor, fingerprint: str) -> None:
        """Note that somebody has logged in."""
        ...


class Visitor(asyncssh.SSHServer):
    """One connection of a client: who it is, and what it has open."""

    def __init__(self, place: Door, address: str, link: socket.socket) -> None:
        self.address = address
        self.gone = asyncio.Event()
        self._link = link.dup()  # whatever becomes of that of the transport
        self._opened = Opened(address)
        self._place = place
        self._connection: asyncssh.SSHServerConnection | None = None
        self._keys = 0
        self._fingerprint = ""

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Take note of the connection."""
        self._connection = conn

    def connection_lost(self, exc: Exception | None) -> None:
        """Close what is open inside, also what no channel was opened for any more."""
        for forward in list(self._opened.forwards):
            forward.connection_lost(exc)

    def begin_auth(self, username: str) -> bool:
        """Ask everybody for a key."""
        if username != USER and self._connection is not None:
            self._connection.send_auth_banner(f"Log in to jobs as {USER}, as `dx ssh` does.\r\n")
        return True

    def public_key_auth_supported(self) -> bool:
        """Say that keys are taken, and so nothing else is."""
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Say whether a key opens the sandbox; who tries many is sent away."""
        self._keys += 1
        if self._keys > KEYS_MAX and self._connection is not None:
            reason = "Too many keys: name yours with ssh -i and IdentitiesOnly=yes"
            self._connection.disconnect(asyncssh.DISC_NO_MORE_AUTH_METHODS_AVAILABLE, reason)
        is_good = username == USER and self._place.is_key(key.public_data)
        if is_good:
            self._fingerprint = key.get_fingerprint()
        return is_good and self._keys <= KEYS_MAX

    def auth_completed(self) -> None:
        """Note the login."""
        self._place.admitted(self, self._fingerprint)

    def session_requested(self) -> Session | bool:
        """Open a session, up to a limit."""
        if len(self._opened.sessions) >= SESSIONS_MAX or self._connection is None:
            return False
        return Session(self._place, self._connection, self._opened)

    def connection_requested(
        self, dest_host: str, dest_port: int, orig_host: str, orig_port: int
    ) -> Awaitable[asyncssh.SSHTCPSession[bytes]]:
        """Forward a connection to a port inside the sandbox, and to nowhere else."""
        if dest_host.lower() not in _HERE and not self._place.is_name(dest_host):
            raise asyncssh.ChannelOpenError(
                asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED,
                f"only ports of the job itself are forwarded (localhost:{dest_port})",
            )
        if not 0 < dest_port < 1 << 16 or len(self._opened.forwards) >= FORWARDS_MAX:
            raise asyncssh.ChannelOpenError(
                asyncssh.OPEN_RESOURCE_SHORTAGE, "no such port, or too many connections"
            )
        return self._forward(dest_port)

    def turn_away(self) -> None:
        """End the connection at once, whatever it is doing."""
        with contextlib.suppress(OSError):
            self._link.shutdown(socket.SHUT_RDWR)

    async def rest(self) -> None:
        """Return once nothing of it runs any more, after its connection has ended."""
        for process in list(self._opened.processes):
            await process.end()

    def close(self) -> None:
        """Let go of its link, once that is served."""
        self._link.close()

    def send_away(self, line: str) -> None:
        """End all of it, with a line that says why; who does not go is turned away soon."""
        if self._connection is None:  # its protocol has not begun
            self.turn_away()
        for session in list(self._opened.sessions):
            session.end(line)
        self._leave(line, LEAVING_SECONDS_MAX)

    def _leave(self, line: str, seconds_left: float) -> None:
        """Close the connection as soon as the client has all that was sent to its sessions."""
        if self._connection is None or self._connection.is_closed():
            return
        if self._opened.sessions and seconds_left > 0:
            loop = asyncio.get_running_loop()
            loop.call_later(_LOOK_SECONDS, self._leave, line, seconds_left - _LOOK_SECONDS)
        else:
            self._connection.disconnect(asyncssh.DISC_BY_APPLICATION, line)

    async def _forward(self, port: int) -> asyncssh.SSHTCPSession[bytes]:
        try:
            there = await self._place.connect(port)
        except OSError as error:
            raise asyncssh.ChannelOpenError(
                asyncssh.OPEN_CONNECT_FAILED, f"port {port} of the job: {error.strerror}"
            ) from error
        forward = Forward(there, port, self._opened)
        await forward.open()
        return forward


class Server:
    """Serves connections with one host key."""

    def __init__(self, options: asyncssh.SSHServerConnectionOptions) -> None:
        self._options = options

    @classmethod
    async def make(cls, host_key: bytes) -> Server:
        """Return a server that shows itself with a private key."""
        options = await asyncssh.SSHServerConnectionOptions.construct(
            server_host_keys=[asyncssh.import_private_key(host_key)],
            server_version="Plasmid",
            login_timeout=LOGIN_SECONDS_MAX,
            keepalive_interval=30,
            keepalive_count_max=4,
            encryption_algs=_CIPHERS,
            compression_algs=None,
            encoding=None,
            line_editor=False,
            agent_forwarding=False,
            x11_forwarding=False,
            gss_host=None,
        )
        return cls(options)

    async def serve(self, visitor: Visitor, link: socket.socket) -> None:
        """Serve a connection to its end, whatever that is; its socket is closed then."""
        identity = _identity(link)
        try:
            connection = await asyncssh.run_server(
                link, options=self._options, server_factory=lambda: visitor
            )
            await connection.wait_closed()
        # ValueError: what is no packet, no text, or no key; anybody can send that.
        except (OSError, ValueError, asyncssh.Error) as error:
            _log.info("ssh_connection_ended", address=visitor.address, error=str(error))
        finally:
            visitor.turn_away()
            if _identity(link) == identity:
                link.close()
            else:  # uvloop closes what breaks early and tells nobody: the number is another's now
                link.detach()


def _identity(link: socket.socket) -> tuple[int, int] | None:
    """Return what tells the socket of a descriptor from all others; None if there is none."""
    try:
        found = os.fstat(link.fileno())
    except OSError:
        return None
    return found.st_dev, found.st_ino
