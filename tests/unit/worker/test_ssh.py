"""The SSH server of a try, with a client of the same library; commands run on this machine here."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import asyncssh
import pytest

from plasmid.client import api
from plasmid.domain.assignments import Assignment, HeldTry, SshAccess
from plasmid.engines import engine
from plasmid.network import into
from plasmid.worker import log_pump, ssh, ssh_grants, ssh_server, try_folder
from plasmid.worker.run import StoppedError
from plasmid.worker.world import World

HERE = "127.0.0.1"
JOB = "job-" + "0" * 24
SECONDS = 20
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
        self.failures = 0
        self.settings = SimpleNamespace(ssh_listen=HERE, ssh_ports="", ssh_host="host.example")
        self.grants = ssh_grants.Grants()

    async def tell_doors(self, held: HeldTry, **doors: Any) -> None:
        assert held == HeldTry(JOB, 0)
        if self.failures:
            self.failures -= 1
            raise api.Unreachable("away")
        self.doors.append(doors)
        self.told.set()

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
        self.allow(*(addresses or (HERE,)))
        self.told.clear()
        world = SimpleNamespace(ssh=self.grants, settings=self.settings, link=self)
        async with ssh.logins(
            cast("World", world),
            cast("Assignment", SimpleNamespace(job=JOB, attempt=0)),
            cast("engine.Sandbox", self.sandbox),
            folder=self.folder,
            pump=cast("log_pump.LogPump", self),
        ):
            await asyncio.wait_for(self.told.wait(), SECONDS)
            yield

    def login(self, **options: Any) -> Any:
        """Return a connection of a client, to be entered."""
        wanted = {"client_keys": [self.key], "username": "dnanexus", **options}
        host_key = asyncssh.import_public_key(self.doors[-1]["ssh_host_key"])
        return asyncssh.connect(
            HERE, self.port, known_hosts=([host_key], [], []), config=None, **wanted
        )


@pytest.fixture
async def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


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


async def test_who_is_not_allowed_gets_not_a_byte(scene: Scene) -> None:
    async with scene.open("192.0.2.0/24"):
        reader, writer = await asyncio.open_connection(HERE, scene.port)
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()
        await until(lambda: [line for line in scene.said if f"from {HERE} was refused" in line])


async def test_what_is_taken_back_ends_what_is_open(scene: Scene) -> None:
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
    async with scene.open():
        strangers = [await asyncio.open_connection(HERE, scene.port) for _ in range(60)]
        async with scene.login() as client:
            assert (await client.run("echo in")).stdout == "in\n"
        for reader, _ in strangers[: 60 - ssh.STRANGERS_MAX]:
            with contextlib.suppress(ConnectionResetError):
                await asyncio.wait_for(reader.read(), SECONDS)
        for _, writer in strangers:
            writer.close()


async def test_without_a_port_the_log_says_so_and_the_job_goes_on(scene: Scene) -> None:
    with socket.create_server((HERE, 0)) as taken:
        port = taken.getsockname()[1]
        scene.settings.ssh_ports = f"{port}-{port}"
        opening = scene.open()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3), opening:
                pass
    assert [line for line in scene.said if line.startswith("No SSH") and "taken" in line]
