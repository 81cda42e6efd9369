"""The SSH server of one try, for as long as its sandbox lives and somebody may log in (H.2, H.6).

It has a port and a host key of its own; both stay over restarts of the worker. Whoever does not
come from an allowed address gets not a byte. When a key, an address or all access is taken back,
what is open by it is cut.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import socket
from collections.abc import AsyncIterator, Sequence
from typing import Final

import structlog

from plasmid.domain import assignments, ssh_access
from plasmid.engines import engine
from plasmid.network import into
from plasmid.worker import (
    log_pump,
    side_tasks,
    ssh_grants,
    ssh_listening,
    ssh_server,
    ssh_sign,
    task_errors,
    try_folder,
)
from plasmid.worker.world import World

STRANGERS_MAX: Final = 20
GUESTS_MAX: Final = 32
REFUSALS_SAID_MAX: Final = 20
# Who is not allowed may be so in a moment: `dx ssh` comes as soon as it has asked for that.
NEWS_SECONDS_MAX: Final = 2.0
DOUBTFUL_MAX: Final = 20
DOUBTFUL_OF_ONE_MAX: Final = 4
# With some that were turned away and have not gone yet.
CONNECTIONS_MAX: Final = GUESTS_MAX + 2 * STRANGERS_MAX + DOUBTFUL_MAX
LISTEN_AGAIN_SECONDS: Final = 15.0
GOODBYE_SECONDS_MAX: Final = 2.0
LOGIN_PROGRAM: Final = "/opt/plasmid/login"
PROJECT_NAME: Final = "PLASMID_PROJECT_NAME"

_KILLED: Final = 137
_KILLED_SECONDS: Final = 0.3
_ACCEPT_PAUSE_SECONDS: Final = 0.5
_log = structlog.get_logger()


@contextlib.asynccontextmanager
async def logins(
    world: World,
    assignment: assignments.Assignment,
    sandbox: engine.Sandbox,
    *,
    folder: try_folder.TryFolder,
    pump: log_pump.LogPump,
) -> AsyncIterator[None]:
    """Let people log in for the time of the block, which may raise what it likes.

    Nothing that goes wrong with logins disturbs the block: there are none then.
    """
    door = _Door(world, assignment, sandbox, folder=folder, pump=pump)
    with task_errors.unwrapped():
        async with asyncio.TaskGroup() as group:
            story = side_tasks.guarded("ssh_logins", door.follow(group), on_trouble=door.fail)
            following = group.create_task(story)
            telling = group.create_task(side_tasks.guarded("ssh_sign", door.sign.run()))
            try:
                yield
                door.say_goodbye(f"{assignment.job} has ended, and this session with it.")
            except asyncio.CancelledError:
                door.say_goodbye("The worker of this job restarts: log in again in a moment.")
                raise
            except BaseException:
                door.say_goodbye(f"{assignment.job} was stopped, and this session with it.")
                raise
            finally:
                following.cancel()
                telling.cancel()
                await side_tasks.guarded("ssh_goodbyes", door.close())


class _Door:
    """Where people log in to one try."""

    def __init__(
        self,
        world: World,
        assignment: assignments.Assignment,
        sandbox: engine.Sandbox,
        *,
        folder: try_folder.TryFolder,
        pump: log_pump.LogPump,
    ) -> None:
        self.held = assignments.HeldTry(assignment.job, assignment.attempt)
        self.sign = ssh_sign.Sign(world.link, self.held)
        self._world = world
        self._sandbox = sandbox
        self._folder = folder
        self._pump = pump
        self._access: assignments.SshAccess | None = None
        self._key: bytes = b""
        self._host_key = ""
        self._server: ssh_server.Server | None = None
        self._lobbies = (ssh_grants.Lobby(STRANGERS_MAX), world.ssh.lobby)
        self._visitors: set[ssh_server.Visitor] = set()
        self._guests: set[ssh_server.Visitor] = set()
        self._connections = 0
        self._room = asyncio.Event()
        self._doubtful: list[str] = []
        self._news = asyncio.Event()
        self._trouble = ""
        self._refused: set[str] = set()
        self._last_words = ""
        self._closing = asyncio.Event()

    # --------------------------------------------------------------------- opening and closing

    async def follow(self, group: asyncio.TaskGroup) -> None:
        """Open, change and close it as the platform says, until this is cancelled."""
        if self._folder.ssh_port():
            self.sign.take_down()  # what an earlier worker has told, which may have been killed
        while True:
            await self._hear()
            while self._access is not None:
                listening = await self._listen()
                if listening is not None:
                    with listening:
                        await self._open(listening, group)
                else:  # until a port is free, or nobody wants one any more
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(LISTEN_AGAIN_SECONDS):
                            await self._hear()

    async def _open(self, listening: socket.socket, visitors: asyncio.TaskGroup) -> None:
        """Let people in until nobody is allowed in any more."""
        async with asyncio.TaskGroup() as group:
            accepting = group.create_task(self._accept(listening, visitors))
            self._tell(listening.getsockname()[1])
            while self._access is not None:
                await self._hear()
            accepting.cancel()
        self.sign.take_down()

    async def _hear(self) -> None:
        """Wait until the platform names others, and go by that."""
        self._admit(await self._world.ssh.changed(self.held, self._access))

    def _admit(self, access: assignments.SshAccess | None) -> None:
        """Let in whom the platform names now, and cut off who is not among them any more."""
        key = ssh_server.key_of(access.public_key) if access is not None else b""
        is_other_key = key != self._key
        if access is not None and not key:
            self._pump.say("No SSH: the account's key is of a kind that is not known", "WARNING")
        self._access, self._key = access, key
        news, self._news = self._news, asyncio.Event()
        news.set()
        for visitor in list(self._visitors):
            if is_other_key or not self._is_allowed(visitor.address):
                visitor.send_away("Access by SSH was taken back.")

    async def _listen(self) -> socket.socket | None:
        """Return a listening socket, at the port of before if that is free; None if none is."""
        settings = self._world.settings
        try:
            host_key = self._folder.ssh_host_key()
            if host_key is None or not ssh_server.is_host_key(host_key):
                host_key = ssh_server.new_host_key()
                self._folder.keep_ssh_host_key(host_key)
            self._server = await ssh_server.Server.make(host_key)
            self._host_key = ssh_server.public_line(host_key)
            made = await ssh_listening.listen(
                settings.ssh_listen, settings.ssh_ports, self._folder.ssh_port()
            )
        except OSError as error:
            if (trouble := str(error)) != self._trouble:
                self._trouble = trouble
                self._pump.say(f"No SSH: the worker cannot listen for logins: {error}", "WARNING")
            return None
        self._trouble = ""
        with contextlib.suppress(OSError):  # else only the next worker takes another one
            self._folder.keep_ssh_port(made.getsockname()[1])
        return made

    def _tell(self, port: int) -> None:
        """Tell the platform and the job's log where it is."""
        host = ssh_listening.host_told(self._world.settings.ssh_host)
        addresses = ", ".join(self._access.addresses) if self._access is not None else ""
        self._pump.say(f"Setting SSH public key: logins from {addresses} at {host} port {port}")
        self.sign.show(host, port, self._host_key)

    def say_goodbye(self, line: str) -> None:
        """Say with which line the sessions are to end now."""
        self._last_words = line
        self._closing.set()

    def fail(self, trouble: str) -> None:
        """Cut off everybody, since nobody would hear any more who is allowed in."""
        self._shut()
        self.sign.take_down()
        for visitor in list(self._visitors):
            visitor.turn_away()
        self._pump.say(f"No SSH: {trouble}", "WARNING")

    async def close(self) -> None:
        """End all sessions, politely if that goes quickly."""
        self._shut()
        try:
            for visitor in list(self._visitors):
                visitor.send_away(self._last_words)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GOODBYE_SECONDS_MAX):
                    for visitor in list(self._visitors):
                        await visitor.gone.wait()
        finally:
            for visitor in list(self._visitors):
                visitor.turn_away()

    def _shut(self) -> None:
        self._access, self._key = None, b""
        self._news.set()

    # -------------------------------------------------------------------------------- visitors

    async def _accept(self, listening: socket.socket, group: asyncio.TaskGroup) -> None:
        loop = asyncio.get_running_loop()
        while True:
            while self._connections >= CONNECTIONS_MAX:
                self._room.clear()
                await self._room.wait()
            try:
                made, peer = await loop.sock_accept(listening)
            except OSError as error:
                _log.warning("ssh_not_accepted", error=str(error))
                await asyncio.sleep(_ACCEPT_PAUSE_SECONDS)
                continue
            address = ssh_access.plain_address(str(peer[0]))
            self._connections += 1
            group.create_task(side_tasks.guarded("ssh_connection", self._receive(made, address)))

    async def _receive(self, made: socket.socket, address: str) -> None:
        """Serve one connection to its end if its address is allowed, or is so in a moment."""
        is_welcome = False
        try:
            is_welcome = await self._is_soon_allowed(address)
            if is_welcome and self._server is not None:
                await self._serve(self._server, made, address)
            elif self._access is not None:
                self._refuse(address)
        finally:
            if not is_welcome:  # else it was closed with its transport
                made.close()
            self._connections -= 1
            self._room.set()

    async def _is_soon_allowed(self, address: str) -> bool:
        source = ssh_access.source_of(address)
        is_full = self._doubtful.count(source) >= DOUBTFUL_OF_ONE_MAX
        if self._is_allowed(address) or is_full or len(self._doubtful) >= DOUBTFUL_MAX:
            return self._is_allowed(address)
        self._doubtful.append(source)
        try:
            async with asyncio.timeout(NEWS_SECONDS_MAX):
                while not self._is_allowed(address) and self._access is not None:
                    await self._news.wait()
        except TimeoutError:
            pass
        finally:
            self._doubtful.remove(source)
        return self._is_allowed(address)

    def _is_allowed(self, address: str) -> bool:
        return self._access is not None and ssh_access.is_allowed(address, self._access.addresses)

    def _refuse(self, address: str) -> None:
        if address not in self._refused and len(self._refused) < REFUSALS_SAID_MAX:
            self._refused.add(address)
            self._pump.say(
                f"An SSH connection from {address} was refused: "
                f"`dx ssh --allow-ssh {address} {self.held.job}` allows the address",
                "WARNING",
            )

    async def _serve(self, server: ssh_server.Server, made: socket.socket, address: str) -> None:
        """Serve one connection to its end."""
        visitor = ssh_server.Visitor(self, address, made)
        self._visitors.add(visitor)
        for lobby in self._lobbies:
            lobby.enter(visitor)
        try:
            await server.serve(visitor, made)
            await visitor.rest()
        finally:
            for lobby in self._lobbies:
                lobby.leave(visitor)
            visitor.close()
            visitor.gone.set()
            self._visitors.discard(visitor)
            self._guests.discard(visitor)

    # ------------------------------------------------------- what visitors ask (Place)

    def is_key(self, key: bytes) -> bool:
        """Say whether a public key, in its binary form, is that of who may log in."""
        return bool(self._key) and key == self._key

    def admitted(self, visitor: ssh_server.Visitor, fingerprint: str) -> None:
        """Note in the job's log, and in ours, that somebody has logged in."""
        for lobby in self._lobbies:
            lobby.leave(visitor)
        self._pump.say(f"SSH login from {visitor.address} (key {fingerprint})")
        _log.info("ssh_login", address=visitor.address, key=fingerprint)
        self._guests.add(visitor)
        if len(self._guests) > GUESTS_MAX:
            visitor.send_away(f"{GUESTS_MAX} logins to this job are open already: close one")

    async def command(
        self, arguments: list[str], environment: dict[str, str], *, terminal: bool
    ) -> Sequence[str]:
        """Return the host command that runs the login program inside; raises EngineError."""
        name = self._access.project_name if self._access is not None else ""
        shown = "".join(character for character in name if character.isprintable())
        entry = functools.partial(
            self._sandbox.entry,
            [LOGIN_PROGRAM, *arguments],
            environment=environment | {PROJECT_NAME: shown},
            terminal=terminal,
        )
        return await asyncio.to_thread(entry)  # an engine may ask another program first

    def is_name(self, host: str) -> bool:
        """Say whether a host name is that of the sandbox."""
        return host.lower() == self.held.job.lower()

    async def connect(self, port: int) -> socket.socket:
        """Return a connection to a port inside; raises OSError."""
        try:
            namespace = await asyncio.to_thread(lambda: self._sandbox.network_namespace)
        except engine.EngineError as error:
            raise OSError(errno.ENETUNREACH, str(error)) from error
        if namespace is None:
            raise OSError(errno.ENETUNREACH, "this engine gives jobs no network of their own")
        return await into.connect(namespace, port)

    async def last_words(self, exit_code: int) -> str:
        """Return the line that a session is to end with; "" if it has ended by itself."""
        # Killed as with its sandbox: then we are told in a moment.
        if exit_code == _KILLED and not await self._is_closing_within(_KILLED_SECONDS):
            try:
                await asyncio.to_thread(lambda: self._sandbox.network_namespace)
            except engine.EngineError:  # its sandbox has ended
                await self._is_closing_within(GOODBYE_SECONDS_MAX)
        return self._last_words

    async def _is_closing_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        return self._closing.is_set()
