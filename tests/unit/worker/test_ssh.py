"""The SSH server of a try, with a client of the same library; commands run on this machine here."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gc
import hashlib
import logging
import socket
import struct
import termios
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest import mock

import asyncssh
import msgspec
import pytest
import structlog
import uvloop

from plasmid.client import api
from plasmid.domain import ssh_access
from plasmid.domain.assignments import Assignment, HeldTry, SshAccess
from plasmid.engines import engine
from plasmid.network import into
from plasmid.worker import (
    log_pump,
    ssh,
    ssh_grants,
    ssh_listening,
    ssh_process,
    ssh_server,
    ssh_sessions,
    try_folder,
)
from plasmid.worker.run import StoppedError
from plasmid.worker.world import World

HERE = "127.0.0.1"
JOB = "job-" + "0" * 24
SECONDS = 120
# As /opt/plasmid/login: a command, or a shell.
LOGIN = 'case $1 in -c) exec /bin/sh -c "$2";; *) exec /bin/sh;; esac'


class Sandbox:
    """Runs what is to run inside on this machine."""

    def __init__(self) -> None:
        self.network_namespace: Path | None = None
        self.environments: list[Mapping[str, str]] = []
        self.is_running = True

    def entry(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        terminal: bool = False,
    ) -> Sequence[str]:
        if not self.is_running:
            raise engine.EngineError("the sandbox is not running")
        assert command[0] == ssh.LOGIN_PROGRAM
        self.environments.append(environment)
        takes = ["setsid", "--ctty", "--wait"] if terminal else []
        variables = [f"{name}={value}" for name, value in environment.items()]
        return [*takes, "env", "-i", *variables, "/bin/sh", "-c", LOGIN, "sh", *command[1:]]


class Scene:
    """A door, who may come in, and what is said of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = try_folder.TryFolder(folder)
        self.sandbox = Sandbox()
        self.key = asyncssh.generate_private_key("ssh-ed25519")
        self.said: list[str] = []
        self.doors: list[dict[str, Any]] = []
        self.told = asyncio.Event()
        self.is_shown = False
        self.failures = 0
        self.looked = 0
        self.doubtful: list[str] = []
        self.settings = SimpleNamespace(ssh_listen=HERE, ssh_ports="", ssh_host="host.example")
        self.grants = ssh_grants.Grants()

    async def tell_doors(self, held: HeldTry, **doors: Any) -> None:
        assert held == HeldTry(JOB, 0)
        if self.failures:
            self.failures -= 1
            raise api.Unreachable("away")
        self.is_shown = "ssh_port" in doors
        if self.is_shown:
            self.doors.append(doors)
            self.told.set()
        else:
            assert doors == {"ssh_closed": True}

    def say(self, message: str, level: str = "INFO") -> None:
        self.said.append(message)

    def allow(self, *addresses: str, key: asyncssh.SSHKey | None = None) -> None:
        public = (key or self.key).export_public_key().decode()
        self.grants.put([SshAccess(JOB, 0, public, addresses, "pröject")] if addresses else [])

    @property
    def port(self) -> int:
        return int(self.doors[-1]["ssh_port"])

    @contextlib.asynccontextmanager
    async def open(self, *addresses: str) -> AsyncIterator[None]:
        """The door for the time of the block, once it is told where it is."""
        self.told.clear()
        async with self.around(*addresses):
            await asyncio.wait_for(self.told.wait(), SECONDS)
            yield

    @contextlib.asynccontextmanager
    async def around(self, *addresses: str) -> AsyncIterator[None]:
        """The logins for the time of the block."""
        self.allow(*(addresses or (HERE,)))
        async with self.closed():
            yield

    @contextlib.asynccontextmanager
    async def closed(self) -> AsyncIterator[None]:
        """The logins for the time of the block, for those who are let in already."""
        world = SimpleNamespace(ssh=self.grants, settings=self.settings, link=self)
        async with ssh.logins(
            cast("World", world),
            cast("Assignment", SimpleNamespace(job=JOB, attempt=0)),
            cast("engine.Sandbox", self.sandbox),
            folder=self.folder,
            pump=cast("log_pump.LogPump", self),
        ):
            yield

    def login(self, **options: Any) -> Any:
        """Return a connection of a client, to be entered."""
        wanted = {"client_keys": [self.key], "username": "dnanexus", **options}
        host_key = asyncssh.import_public_key(self.doors[-1]["ssh_host_key"])
        return asyncssh.connect(
            HERE, self.port, known_hosts=([host_key], [], []), config=None, **wanted
        )

    async def connected(self) -> asyncssh.SSHClientConnection:
        """Return a connection of a client."""
        return cast("asyncssh.SSHClientConnection", await self.login())


@pytest.fixture
async def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    scene = Scene(tmp_path)
    listen, source_of = ssh_listening.listen, ssh_access.source_of

    async def listened(*arguments: Any) -> socket.socket:
        scene.looked += 1
        return await listen(*arguments)

    def noted(address: str) -> str:
        scene.doubtful.append(address)
        return source_of(address)

    monkeypatch.setattr(ssh_listening, "listen", listened)
    monkeypatch.setattr(ssh_access, "source_of", noted)
    return scene


async def until(condition: Callable[[], object]) -> None:
    """Let others go on until a condition is true."""
    ready = asyncio.Event()
    loop = asyncio.get_running_loop()

    def look() -> None:
        ready.set() if condition() else loop.call_later(0.01, look)

    look()
    await asyncio.wait_for(ready.wait(), SECONDS)


async def test_a_command_runs_inside_and_the_log_says_who_came(scene: Scene) -> None:
    async with scene.open(), scene.login() as client:
        done = await client.run("cat; echo trouble >&2; exit 7", input="in")
        assert (done.exit_status, done.stdout, done.stderr) == (7, "in", "trouble\n")
        fingerprint = scene.key.convert_to_public().get_fingerprint()
        assert f"SSH login from {HERE} (key {fingerprint})" in scene.said
    assert scene.sandbox.environments == [{"PLASMID_PROJECT_NAME": "pröject"}]
    assert scene.doors[0]["ssh_host"] == "host.example"


async def test_a_terminal_has_the_clients_size_and_type(scene: Scene) -> None:
    async with scene.open(), scene.login() as client:
        asked = {"term_type": "xterm-256color", "term_size": (100, 30, 0, 0), "encoding": None}
        process = await client.create_process("stty size; read line; stty size", **asked)
        assert await process.stdout.readline() == b"30 100\r\n"
        process.change_terminal_size(120, 40, 0, 0)
        process.stdin.write(b"go\n")
        assert (await process.stdout.read()).splitlines()[-1] == b"40 120"
    assert scene.sandbox.environments[0]["TERM"] == "xterm-256color"


async def test_much_goes_both_ways_and_an_end_is_an_end(scene: Scene) -> None:
    content = bytes(range(256)) * 20_000
    async with scene.open(), scene.login() as client:
        done = await client.run("cat", input=content, encoding=None)
        assert done.stdout == content
        early = await client.run("head -c 3", input=content, encoding=None)
        assert (early.stdout, early.exit_status) == (content[:3], 0)


@pytest.mark.parametrize(
    "options",
    [
        {"client_keys": [asyncssh.generate_private_key("ssh-ed25519")]},
        {"username": "root"},
        {"client_keys": None, "password": "secret"},
    ],
)
async def test_nobody_else_comes_in(scene: Scene, options: dict[str, Any]) -> None:
    async with scene.open():
        with pytest.raises(asyncssh.PermissionDenied):
            await scene.login(**options)
        assert not [line for line in scene.said if line.startswith("SSH login")]


async def test_who_tries_many_keys_is_sent_away(scene: Scene) -> None:
    keys = [asyncssh.generate_private_key("ssh-ed25519") for _ in range(ssh_server.KEYS_MAX)]
    async with scene.open():
        with pytest.raises(asyncssh.DisconnectError):
            await scene.login(client_keys=[*keys, scene.key])


async def test_who_is_not_allowed_gets_not_a_byte(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "NEWS_SECONDS_MAX", 0.1)
    async with scene.open("192.0.2.0/24"):
        reader, writer = await asyncio.open_connection(HERE, scene.port)
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()
        await until(lambda: [line for line in scene.said if f"from {HERE} was refused" in line])


async def test_what_is_taken_back_ends_what_is_open(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "NEWS_SECONDS_MAX", 0.1)
    for others in ((), ("192.0.2.1",), (HERE,)):
        async with scene.open(), scene.login() as client:
            process = await client.create_process("echo in; cat")
            assert await process.stdout.readline() == "in\n"
            scene.allow(*others, key=asyncssh.generate_private_key("ssh-ed25519"))
            assert "Access by SSH was taken back." in await process.stderr.read()
            await asyncio.wait_for(client.wait_closed(), SECONDS)
            with pytest.raises((OSError, asyncssh.Error)):
                await scene.login()


async def test_a_change_that_leaves_one_in_disturbs_nothing(scene: Scene) -> None:
    async with scene.open(), scene.login() as client:
        process = await client.create_process("cat")
        scene.allow(HERE, "192.0.2.1")
        process.stdin.write("still here\n")
        assert await process.stdout.readline() == "still here\n"


def test_a_connection_that_breaks_early_touches_no_others_descriptor() -> None:
    async def story() -> None:
        server = await ssh_server.Server.make(ssh_server.new_host_key())
        with socket.create_server((HERE, 0)) as listening:
            client = socket.create_connection(listening.getsockname())
            link, _ = listening.accept()
            link.setblocking(False)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        number = link.fileno()
        visitor = ssh_server.Visitor(cast("Any", None), HERE, link)
        await asyncio.wait_for(server.serve(visitor, link), SECONDS)
        others = [socket.socketpair() for _ in range(8)]
        assert number in [each.fileno() for pair in others for each in pair]
        visitor.turn_away()
        visitor.close()
        del link
        gc.collect()
        for ours, theirs in others:
            with ours, theirs:
                ours.sendall(b"untouched")
                assert theirs.recv(100) == b"untouched"

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(story())


async def test_port_and_host_key_stay_for_the_next_worker(scene: Scene) -> None:
    for _ in range(2):
        async with scene.open():
            pass
    assert scene.doors[0] == scene.doors[1]
    kept = scene.folder.path / "ssh_host_key"
    assert kept.stat().st_mode & 0o777 == 0o600


async def test_the_platform_is_told_once_it_is_back(scene: Scene) -> None:
    scene.failures = 3
    async with scene.open(), scene.login() as client:
        assert (await client.run("echo in")).stdout == "in\n"


@pytest.mark.parametrize(
    "error, line",
    [
        (None, "has ended, and this session with it."),
        (StoppedError, "was stopped, and this session with it."),
        (asyncio.CancelledError, "log in again in a moment."),
    ],
)
async def test_the_end_of_a_job_is_said_and_what_ends_it_comes_out(
    scene: Scene, error: type[BaseException] | None, line: str
) -> None:
    with pytest.raises(error) if error else contextlib.nullcontext():
        async with scene.open():
            client = await scene.login()
            process = await client.create_process("echo in; cat")
            await process.stdout.readline()
            if error is not None:
                raise error
    assert line in await asyncio.wait_for(process.stderr.read(), SECONDS)
    await asyncio.wait_for(client.wait_closed(), SECONDS)


async def test_a_closed_door_is_not_shown_any_more(scene: Scene) -> None:
    async with scene.open():
        assert scene.is_shown
        scene.allow()
        await until(lambda: not scene.is_shown)
        scene.failures = 2
        scene.allow(HERE)
        await until(lambda: scene.is_shown)
    # The worker may have been killed before it could tell that nobody is let in any more.
    scene.allow()
    async with scene.closed():
        await until(lambda: not scene.is_shown)


async def test_a_sandbox_that_cannot_be_entered_is_said_to_the_client(scene: Scene) -> None:
    scene.sandbox.is_running = False
    async with scene.open(), scene.login() as client:
        done = await client.run("id")
        assert done.exit_status == 255
        assert "the sandbox is not running" in str(done.stderr)


async def test_a_port_is_forwarded_into_the_sandbox_and_nowhere_else(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    asked: list[tuple[Path, int]] = []

    async def connect(namespace: Path, port: int) -> socket.socket:
        asked.append((namespace, port))
        if port != 8000:
            raise ConnectionRefusedError(111, "Connection refused")
        return ours

    monkeypatch.setattr(into, "connect", connect)
    async with scene.open(), scene.login() as client:
        with pytest.raises(asyncssh.ChannelOpenError, match="no network of their own"):
            await client.open_connection("localhost", 8000)
        scene.sandbox.network_namespace = Path("/proc/1/ns/net")
        for host in ("192.0.2.1", "169.254.169.254", "::1", "host.example"):
            with pytest.raises(asyncssh.ChannelOpenError, match="only ports of the job itself"):
                await client.open_connection(host, 8000)
        with pytest.raises(asyncssh.ChannelOpenError, match="Connection refused"):
            await client.open_connection("127.0.0.1", 22)
        reader, writer = await client.open_connection(JOB, 8000)
        writer.write(b"to you")
        writer.write_eof()
        theirs.setblocking(False)
        loop = asyncio.get_running_loop()
        assert await loop.sock_recv(theirs, 100) == b"to you"
        assert await loop.sock_recv(theirs, 100) == b""
        await loop.sock_sendall(theirs, b"to me")
        theirs.close()
        assert await reader.read() == b"to me"
    assert asked == [(Path("/proc/1/ns/net"), port) for port in (22, 8000)]


async def test_no_other_way_leads_anywhere(scene: Scene) -> None:
    async with scene.open(), scene.login() as client:
        with pytest.raises(asyncssh.ChannelOpenError):
            await client.open_unix_connection("/run/x.sock")
        with pytest.raises(asyncssh.ChannelListenError):
            await client.forward_remote_port("", 0, "localhost", 22)
        with pytest.raises(asyncssh.ChannelListenError):
            await client.forward_remote_path("/tmp/x.sock", "/tmp/y.sock")
        done = await client.run("echo $LC_ALL-$LD_PRELOAD", env={"LC_ALL": "C", "LD_PRELOAD": "/x"})
        assert done.stdout == "C-\n"
        bad = {"LC_ALL": "x; id", "LANG": "../x", "LC_X y": "C"}
        assert (await client.run("env", env=bad)).exit_status == 0
    assert "LANG" not in scene.sandbox.environments[-1]
    assert "LC_ALL" not in scene.sandbox.environments[-1]


async def test_a_storm_of_strangers_keeps_nobody_out(scene: Scene) -> None:
    async with asyncio.TaskGroup() as group, scene.open():
        strangers = [await asyncio.open_connection(HERE, scene.port) for _ in range(60)]
        async with scene.login() as client:
            assert (await client.run("echo in")).stdout == "in\n"
        ends = [group.create_task(read_all(reader)) for reader, _ in strangers]
        await until(lambda: sum(not end.done() for end in ends) <= ssh.STRANGERS_MAX)
        for _, writer in strangers:
            writer.close()
        await asyncio.wait(ends, timeout=SECONDS)


async def read_all(reader: asyncio.StreamReader) -> bytes:
    with contextlib.suppress(ConnectionResetError):
        return await reader.read()
    return b""


async def test_without_a_port_the_log_says_so_and_a_port_is_taken_once_one_is_free(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "LISTEN_AGAIN_SECONDS", 0.01)
    with socket.create_server((HERE, 0)) as taken:
        port = taken.getsockname()[1]
        scene.settings.ssh_ports = f"{port}-{port}"
        async with asyncio.TaskGroup() as group, scene.around():
            await until(lambda: [line for line in scene.said if "are taken: allow more" in line])
            await until(lambda: scene.looked >= 3)
            taken.close()
            told = group.create_task(scene.told.wait())
            await asyncio.wait_for(told, SECONDS)
            assert scene.port == port
    assert len([line for line in scene.said if line.startswith("No SSH")]) == 1


# ---------------------------------------------------------------- what others do to break it

BANNER = b"SSH-2.0-Test\r\n"


def packet(*payload: int) -> bytes:
    """Return what is sent as a message of the protocol before there are keys."""
    padding = 8 - (5 + len(payload)) % 8 + 8
    body = bytes([padding, *payload]) + bytes(padding)
    return len(body).to_bytes(4, "big") + body


@pytest.mark.parametrize(
    "sent",
    [
        b"SSH-2.0-\xff\r\n",
        BANNER + packet(20),
        BANNER + packet(20, *bytes(16), 0xFF, 0xFF, 0xFF, 0xFF),
        BANNER + packet(20, *bytes(16), *(0, 0, 0, 1, 0xFF) * 10, 0),
        BANNER + packet(1, 0, 0, 0, 2, 0, 0, 0, 1, 0xFF),
        BANNER + packet(5, 0, 0, 0, 1, 0xFF),
        BANNER + b"\xff" * 100,
        b"\0" * 50_000,
        hashlib.shake_128(b"noise").digest(500),
        BANNER + hashlib.shake_128(b"noise").digest(500),
    ],
)
async def test_nothing_that_is_sent_ends_the_try(scene: Scene, sent: bytes) -> None:
    async with scene.open():
        reader, writer = await asyncio.open_connection(HERE, scene.port)
        writer.write(sent)
        writer.write_eof()
        await asyncio.wait_for(read_all(reader), SECONDS)
        writer.close()
        async with scene.login() as client:
            assert (await client.run("echo in")).stdout == "in\n"


async def test_a_mistake_with_logins_ends_them_and_not_the_try(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(line: str) -> bytes:
        raise RuntimeError(line)

    async with scene.open():
        async with scene.login() as client:
            monkeypatch.setattr(ssh_server, "key_of", broken)
            scene.allow(HERE, "192.0.2.1")
            await asyncio.wait_for(client.wait_closed(), SECONDS)
        await until(lambda: [line for line in scene.said if line.startswith("No SSH: ")])


async def test_one_connection_that_breaks_leaves_the_others(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: object, __: object, link: socket.socket) -> None:
        with link:
            raise RuntimeError("a mistake")

    async with scene.open(), scene.login() as client:
        with monkeypatch.context() as patched:
            patched.setattr(ssh_server.Server, "serve", broken)
            with pytest.raises((OSError, asyncssh.Error)):
                await asyncio.wait_for(scene.login(), SECONDS)
        assert (await client.run("echo in")).stdout == "in\n"


def line_of(kind: str, *parts: bytes) -> str:
    strings = [kind.encode(), *parts]
    blob = b"".join(len(part).to_bytes(4, "big") + part for part in strings)
    return f"{kind} {base64.b64encode(blob).decode()}"


@pytest.mark.parametrize(
    "line",
    [
        "",
        "ssh-ed25519",
        line_of("ssh-ed25519", b"short"),
        line_of("ssh-ed448", b"x" * 57),
        line_of("ecdsa-sha2-nistp256", b"nistp256", b"\4" + b"x" * 64),
        line_of("ecdsa-sha2-nistp256", b"nistp999", b"\4" + b"x" * 64),
        line_of("ecdsa-sha2-nistp256", b"\xff", b"\4" + b"x" * 64),
        line_of("sk-ssh-ed25519@openssh.com", b"x", b"ssh:"),
        line_of("sk-ssh-ed25519@openssh.com", b"x" * 32, b"\xff"),
        line_of("sk-ecdsa-sha2-nistp256@openssh.com", b"nistp256", b"\4x", b"ssh:"),
        line_of("ssh-rsa", b"\0", b"\0" + b"\xff" * 256),
        line_of("ssh-rsa", b"\2", b"\0" + b"\xff" * 256),
        line_of("ssh-rsa", b"\xff", b"\0" + b"\xff" * 256),
        line_of("ssh-rsa", b"\3", b"\xff" * 256),
        line_of("ssh-rsa", b"\3", b"\0" + b"\xff" * 8_000),
    ],
)
def test_no_line_of_a_key_is_an_error(line: str) -> None:
    assert isinstance(ssh_server.key_of(line), bytes)


async def test_a_comment_of_any_letters_does_not_matter(scene: Scene) -> None:
    async with scene.open():
        public = scene.key.export_public_key().decode().strip()
        scene.grants.put([SshAccess(JOB, 0, f"{public} Jörg's \ud800 key\n", (HERE, "192.0.2.1"))])
        await until(lambda: scene.grants.told[0].public_key.endswith("key\n"))
        async with scene.login() as client:
            assert (await client.run("echo in")).stdout == "in\n"


async def test_a_project_of_any_name_has_sessions(scene: Scene) -> None:
    async with scene.open():
        access = msgspec.structs.replace(
            scene.grants.told[0], project_name="a\0b\x1b[31m\nc\ud800 ü"
        )
        scene.grants.put([access])
        async with scene.login() as client:
            assert (await client.run("echo in")).stdout == "in\n"
    assert scene.sandbox.environments == [{"PLASMID_PROJECT_NAME": "ab[31mc ü"}]


async def test_what_cannot_be_started_ends_its_session_with_a_message(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    for error in (ValueError("embedded null byte"), termios.error(5, "Input/output error")):
        monkeypatch.setattr(ssh_process, "start", mock.AsyncMock(side_effect=error))
        async with scene.open(), scene.login() as client:
            done = await client.run("id")
            assert done.exit_status == 255
            assert "The session cannot be started" in str(done.stderr)


async def test_who_is_allowed_a_moment_later_comes_in(scene: Scene) -> None:
    async with asyncio.TaskGroup() as group, scene.open("192.0.2.1"):
        login = group.create_task(scene.connected())
        await until(lambda: scene.doubtful)
        scene.allow("192.0.2.1", HERE)
        async with await asyncio.wait_for(login, SECONDS) as client:
            assert (await client.run("echo in")).stdout == "in\n"
    assert not [line for line in scene.said if "was refused" in line]


async def test_the_end_of_a_job_does_not_wait_for_who_is_not_allowed(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "NEWS_SECONDS_MAX", 1000)
    async with asyncio.timeout(SECONDS):
        async with scene.open("192.0.2.1"):
            _, writer = await asyncio.open_connection(HERE, scene.port)
            await until(lambda: scene.doubtful)
        writer.close()


async def test_few_of_one_address_may_wait_to_be_allowed(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "NEWS_SECONDS_MAX", 1000)
    async with asyncio.TaskGroup() as group, scene.open("192.0.2.1"):
        count = ssh.DOUBTFUL_OF_ONE_MAX + 1
        links = [await asyncio.open_connection(HERE, scene.port) for _ in range(count)]
        done, _ = await asyncio.wait(
            [group.create_task(read_all(reader)) for reader, _ in links],
            timeout=SECONDS, return_when=asyncio.FIRST_COMPLETED,
        )  # fmt: skip
        assert len(done) == 1
        for _, writer in links:
            writer.close()


async def test_a_command_that_kills_itself_ends_its_session_soon(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "GOODBYE_SECONDS_MAX", 1000)
    async with scene.open(), scene.login() as client:
        done = await asyncio.wait_for(client.run("kill -9 $$"), SECONDS)
        assert done.exit_status == 137


@contextlib.contextmanager
def logged_lines() -> Iterator[list[Any]]:
    """Return what is logged in the time of the block, also in a test of a quiet platform."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
    try:
        with structlog.testing.capture_logs() as logged:
            yield logged
    finally:
        structlog.configure(**before)


async def test_each_session_and_its_end_is_in_the_workers_log(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    monkeypatch.setattr(into, "connect", mock.AsyncMock(return_value=ours))
    scene.sandbox.network_namespace = Path("/proc/1/ns/net")
    with logged_lines() as logged, theirs:
        async with scene.open(), scene.login() as client:
            await client.run("echo in")
            await client.run(input="exit\n")
            _, writer = await client.open_connection("localhost", 8000)
            writer.close()
            await until(lambda: [entry for entry in logged if "forward_ended" in entry["event"]])
    audited = [
        (entry["event"], entry.get("kind") or entry.get("port"), entry["address"])
        for entry in logged
        if "session" in entry["event"] or "forward" in entry["event"]
    ]
    assert audited == [
        (event, what, HERE)
        for name, what in (("session", "exec"), ("session", "shell"), ("forward", 8000))
        for event in (f"ssh_{name}", f"ssh_{name}_ended")
    ]


class Channel:
    """What a client's side of a forwarded connection is given."""

    def __init__(self) -> None:
        self.said = b""
        self.has_ended = asyncio.Event()

    def is_closing(self) -> bool:
        return False

    def write(self, data: bytes) -> None:
        assert not self.has_ended.is_set()
        self.said += data

    def write_eof(self) -> None:
        self.has_ended.set()


@pytest.mark.parametrize("loop_factory", [uvloop.new_event_loop, asyncio.new_event_loop])
def test_what_a_port_says_before_it_is_asked_reaches_the_client(
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def story() -> bytes:
        inside, there = socket.socketpair()
        with there:
            there.sendall(b"220 ready\r\n")
            there.shutdown(socket.SHUT_WR)
            inside.setblocking(False)
            forward = ssh_sessions.Forward(inside, 8000, ssh_sessions.Opened("192.0.2.1"))
            await forward.open()
            channel: Any = Channel()
            forward.connection_made(channel)
            forward.session_started()
            async with asyncio.timeout(60):
                await channel.has_ended.wait()
            forward.connection_lost(None)
            said: bytes = channel.said
            return said

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        assert runner.run(story()) == b"220 ready\r\n"
