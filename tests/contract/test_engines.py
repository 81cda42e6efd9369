"""What every engine promises (engines/engine.py), against each one that this machine can run."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import itertools
import os
import pty
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from plasmid.engines import choice, conmon, disk, engine
from plasmid.environments import images
from plasmid.network import inside, namespaces
from plasmid.worker import file_watch
from tests.small_disk import small_disk

HOME = Path(os.environ.get("PLASMID_HOME") or "/var/lib/plasmid")
MIB = 1 << 20
MB = 1_000_000
SECONDS_MAX = 120
SOURCES = Path(__file__).resolve().parents[2] / "src"


@pytest.fixture(scope="session")
def base_image() -> Path:
    try:
        return images.Images(HOME / "images").find("Debian", "12", "0").root
    except images.ImageError as error:
        pytest.skip(str(error))


@pytest.fixture(params=["crun", "runc", "podman"])
async def an_engine(request: pytest.FixtureRequest) -> tuple[str, engine.Engine]:
    if os.geteuid() != 0 and request.param != "podman":
        pytest.skip(f"{request.param} needs root")
    made = choice.named(request.param)
    problems = await made.check()
    if problems:
        pytest.skip(f"{request.param} cannot work here: {problems[0]}")
    return request.param, made


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that other users can pass through, as a work folder is."""
    path = Path(tempfile.mkdtemp(prefix="plasmid-contract-", dir="/var/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


class Workshop:
    """Makes sandboxes and, at the end, looks whether anything of them is left."""

    def __init__(self, kind: str, made: engine.Engine, base_image: Path, folder: Path) -> None:
        self.kind = kind
        self.engine = made
        self.folder = folder
        self._base_image = base_image
        self._sandboxes: list[engine.Sandbox] = []
        self._numbers = itertools.count()

    def spec(self, *command: str, **changes: object) -> engine.SandboxSpec:
        name = f"{self.folder.name}.{next(self._numbers)}"
        path = self.folder / name
        path.mkdir()
        plain = engine.SandboxSpec(
            name=name,
            folder=path,
            base_image=self._base_image,
            hostname="job-1",
            command=command,
            environment={"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
            working_directory="/",
            files={},
            memory_bytes=512 * MIB,
            cpu_weight=100,
        )
        return msgspec.structs.replace(plain, **changes)

    async def created(self, *command: str, **changes: object) -> engine.Sandbox:
        sandbox = await self.engine.create(self.spec(*command, **changes))
        self._sandboxes.append(sandbox)
        return sandbox

    async def started(self, script: str, **changes: object) -> engine.Sandbox:
        sandbox = await self.created("/bin/bash", "-c", script, **changes)
        await sandbox.start()
        return sandbox

    async def ran(self, script: str, **changes: object) -> tuple[engine.Exit, list[str]]:
        """Run a script to its end; gives how it ended and what it wrote to stdout."""
        sandbox = await self.started(script, **changes)
        ended = await sandbox.wait()
        return ended, output(sandbox)

    async def close(self) -> None:
        for sandbox in self._sandboxes:
            await sandbox.remove()


def output(sandbox: engine.Sandbox, stream: str = "stdout") -> list[str]:
    """Return the lines that a sandbox has written, put together from their parts."""
    lines, begun = [], ""
    for entry in sandbox.log_path.read_text().splitlines():
        _, where, kind, *text = entry.split(" ", 3)
        if where == stream:
            begun += text[0] if text else ""
            if kind == "F":
                lines.append(begun)
                begun = ""
    return lines


def traces(name: str, path: Path) -> list[str]:
    """Return what a sandbox has left on this machine."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    found = [line for line in mounts if str(path) in line]
    # not by glob: groups of others go while it looks
    found += [f"{at}/{name}" for at, groups, _ in os.walk("/sys/fs/cgroup") if name in groups]
    found += [str(p) for p in [path] if p.exists()]
    for loop in Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):
            found += [f"{loop}: {path}"] if str(path) in loop.read_text() else []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.fsencode(path) in (process / "cmdline").read_bytes():
                found.append(f"{process}: {(process / 'cmdline').read_bytes()!r}")
    return found


@pytest.fixture
async def workshop(
    an_engine: tuple[str, engine.Engine], base_image: Path, folder: Path
) -> AsyncIterator[Workshop]:
    made = Workshop(*an_engine, base_image, folder)
    async with asyncio.timeout(SECONDS_MAX):
        yield made
        await made.close()
    left = [trace for path in folder.iterdir() for trace in traces(path.name, path)]
    assert left == []


async def until(holds: Callable[[], bool]) -> None:
    """Return once something holds, looking at every turn of a slow loop."""
    while not holds():
        await turn()


async def turn() -> None:
    """Return at the next turn of a slow loop."""
    turned = asyncio.Event()
    asyncio.get_running_loop().call_later(0.02, turned.set)
    await turned.wait()


def of_podman(workshop: Workshop) -> bool:
    return workshop.engine.name == "podman"


# ------------------------------------------------------------------------------- how it ends


@pytest.mark.parametrize("code", [0, 1, 7, 255])
async def test_the_exit_code_is_the_commands(workshop: Workshop, code: int) -> None:
    ended, _ = await workshop.ran(f"exit {code}")
    assert (ended.exit_code, ended.out_of_memory) == (code, False)


async def test_a_signal_is_128_and_its_number(workshop: Workshop) -> None:
    # The first process of a pid namespace gets no deadly signal from inside.
    sandbox = await workshop.started("echo begun; while :; do sleep 100; done")
    await until(lambda: output(sandbox) == ["begun"])
    await sandbox.kill()
    assert (await sandbox.wait()).exit_code == 128 + signal.SIGKILL
    ended, _ = await workshop.ran("bash -c 'kill -SEGV $$'; exit $?")
    assert ended.exit_code == 128 + signal.SIGSEGV


async def test_waiting_again_tells_the_same(workshop: Workshop) -> None:
    sandbox = await workshop.started("exit 5")
    assert await sandbox.wait() == await sandbox.wait()


EAT = "python3 -c 'b = bytearray(300 << 20); print(len(b))'"


async def test_memory_within_the_limit_is_given_and_its_peak_is_told(workshop: Workshop) -> None:
    ended, lines = await workshop.ran(EAT, memory_bytes=512 * MIB)
    assert (ended.exit_code, lines) == (0, [str(300 * MIB)])
    if not of_podman(workshop):
        assert ended.peak_memory_bytes is not None
        assert 300 * MIB < ended.peak_memory_bytes < 512 * MIB


async def test_processes_are_limited(workshop: Workshop) -> None:
    if os.geteuid() != 0 and not Path("/sys/fs/cgroup/cgroup.controllers").exists():
        pytest.skip("without root no limit holds with version 1 cgroups")
    script = "for i in $(seq 100); do sleep 100 & done; wait"
    sandbox = await workshop.started(script, processes_max=30)
    await until(lambda: any("fork" in line for line in output(sandbox, "stderr")))
    await sandbox.kill()
    ended = await sandbox.wait()
    assert (ended.exit_code, ended.processes_full) == (137, not of_podman(workshop))


async def test_how_a_command_has_ended_is_told_while_its_sandbox_lives_on(
    workshop: Workshop,
) -> None:
    hog = "python3 -c 'bytearray(300 << 20)'"
    sandbox = await workshop.started(
        f"{hog}; echo $?; while :; do sleep 100; done", memory_bytes=128 * MIB
    )
    await until(lambda: bool(output(sandbox)))
    seen = await sandbox.so_far(7)
    assert (seen.exit_code, seen.processes_full) == (7, False)
    if not of_podman(workshop):
        assert (output(sandbox), seen.out_of_memory) == (["137"], True)
    assert not await ends_within(sandbox, 0.05)


async def ends_within(sandbox: engine.Sandbox, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await sandbox.wait()
    except TimeoutError:
        return False
    return True


# ----------------------------------------------------------------------------- what it writes


async def test_a_long_log_is_complete_and_in_order(workshop: Workshop) -> None:
    _, lines = await workshop.ran("seq 100000")
    assert lines == [str(number) for number in range(1, 100_001)]


async def test_both_streams_are_kept_apart_and_long_lines_whole(workshop: Workshop) -> None:
    script = "printf 'x%.0s' $(seq 50000); echo; echo oops >&2; printf 'no end'"
    sandbox = await workshop.started(script)
    await sandbox.wait()
    assert output(sandbox)[0] == "x" * 50000
    entries = sandbox.log_path.read_text().splitlines()
    assert any(entry.endswith(" no end") and " stdout " in entry for entry in entries)
    assert output(sandbox, "stderr") == ["oops"]


# -------------------------------------------------------------------------------- what it gets


async def test_environment_hostname_folder_and_no_input(workshop: Workshop) -> None:
    _, lines = await workshop.ran(
        'echo "$GREETING"; hostname; pwd; cat; echo end; getent hosts job-1 | wc -l',
        environment={"PATH": "/usr/bin:/bin", "GREETING": "two words = $HOME\ttab"},
        working_directory="/home/dnanexus",
    )
    assert lines == ["two words = $HOME\ttab", "job-1", "/home/dnanexus", "end", "1"]


async def test_files_are_roots_with_their_modes_and_folders_keep_theirs(
    workshop: Workshop,
) -> None:
    files = {"/home/dnanexus/start": b"#!/bin/sh\necho started", "/new/folder/data": b"bytes"}
    _, lines = await workshop.ran(
        "stat -c '%U %a' /home/dnanexus/start /new/folder/data /new/folder /home/dnanexus;"
        "/home/dnanexus/start; rm /home/dnanexus/start /new/folder/data && echo removed",
        files=files,
    )
    assert lines[:3] == ["root 755", "root 644", "root 755"]
    assert lines[3].startswith("dnanexus ")
    assert lines[4:] == ["started", "removed"]


async def test_a_file_below_a_link_is_refused_and_leaves_nothing(workshop: Workshop) -> None:
    with pytest.raises(engine.EngineError, match="'bin' is a link"):
        await workshop.engine.create(workshop.spec("/bin/true", files={"/bin/sh": b"x"}))


async def test_folders_of_the_host_are_seen_read_only_unless_said(
    workshop: Workshop, folder: Path
) -> None:
    # Below a folder that only its owner can enter, as a home folder is.
    closed = folder / "closed"
    shared, open_folder = closed / "shared", closed / "open"
    shared.mkdir(parents=True)
    open_folder.mkdir()
    open_folder.chmod(0o777)
    closed.chmod(0o700)
    (shared / "data").write_text("from the host\n")
    mounts = (
        engine.Mount(str(shared), "/mnt/shared"),
        engine.Mount(str(open_folder), "/mnt/open", read_only=False),
    )
    script = "cat /mnt/shared/data; touch /mnt/shared/x || echo refused; echo hi >/mnt/open/said"
    _, lines = await workshop.ran(script, mounts=mounts)
    assert lines == ["from the host", "refused"]
    assert (open_folder / "said").read_text() == "hi\n"
    shutil.rmtree(closed)


async def test_root_inside_is_nobody_outside(workshop: Workshop) -> None:
    sandbox = await workshop.started("id -u; touch /root/mine; echo 1 >/proc/sys/kernel/domainname")
    await sandbox.wait()
    assert output(sandbox) == ["0"]
    assert output(sandbox, "stderr") != []
    outside = (sandbox.root / "root/mine").lstat().st_uid
    assert outside == (300000 if os.geteuid() == 0 else os.geteuid())


async def test_nobody_else_on_the_host_reads_what_a_sandbox_was_given(workshop: Workshop) -> None:
    """Its environment holds a token; its folder is where another user could come to it."""
    if workshop.kind == "podman" and os.geteuid() != 0:
        return  # there all is in podman's own folder
    sandbox = await workshop.started("sleep 60", environment={"TOKEN": "s3cret", "PATH": "/bin"})
    (folder,) = workshop.folder.iterdir()
    assert folder.stat().st_mode & 0o007 == 0
    for config in folder.glob("bundle/config.json"):
        assert b"s3cret" in config.read_bytes()
        assert config.stat().st_mode & 0o077 == 0
    await sandbox.kill()


async def test_users_can_be_switched_and_files_given_away(workshop: Workshop) -> None:
    _, lines = await workshop.ran(
        "su dnanexus -c 'id -un; sudo id -un'; touch /f; chown nobody:1234 /f; stat -c '%U %g' /f"
    )
    assert lines == ["dnanexus", "root", "nobody 1234"]


async def test_there_is_no_network_but_its_own_loopback(workshop: Workshop) -> None:
    script = (
        "ls /sys/class/net; (exec 3<>/dev/tcp/192.0.2.1/80) 2>/dev/null || echo unreachable;"
        "getent hosts example.org || echo unknown"
    )
    _, lines = await workshop.ran(script)
    assert lines == ["lo", "unreachable", "unknown"]


async def test_a_listener_can_be_put_into_its_network_before_it_starts(
    workshop: Workshop,
) -> None:
    sandbox = await workshop.created("/bin/bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8124; cat <&3")
    namespace = await asyncio.to_thread(lambda: sandbox.network_namespace)
    assert namespace is not None
    made = await namespaces.open_sockets(namespace, inside.Plan((8124,)))
    (listener,) = made.sockets
    with listener:
        await sandbox.start()
        connection, _ = await asyncio.get_running_loop().sock_accept(listener)
        with connection:
            connection.sendall(b"hello from outside\n")
        await sandbox.wait()
    assert output(sandbox) == ["hello from outside"]


async def test_sandboxes_do_not_see_each_other(workshop: Workshop) -> None:
    first = await workshop.started("sleep 100 & echo secret >/note; read line </dev/tty; wait")
    ended, lines = await workshop.ran("pgrep sleep; cat /note; ls /proc | grep -c '^[0-9]'")
    assert int(lines[-1]) < 8
    assert "secret" not in lines
    assert ended.exit_code == 0
    await first.kill()


# ------------------------------------------------------------------------------------ its end


async def test_a_tree_of_processes_that_ignores_signals_is_killed_at_once(
    workshop: Workshop,
) -> None:
    stubborn = "trap '' TERM INT HUP; (trap '' TERM; setsid sleep 1000 & sleep 1000) & "
    sandbox = await workshop.started(stubborn + "echo ready; while :; do sleep 1000; done")
    await until(lambda: output(sandbox) == ["ready"])
    await sandbox.kill()
    assert (await sandbox.wait()).exit_code == 137


async def test_what_is_left_running_ends_with_the_command(workshop: Workshop) -> None:
    ended, lines = await workshop.ran("setsid sleep 1000 & echo left; exit 0")
    assert (ended.exit_code, lines) == (0, ["left"])


async def test_killing_one_that_was_never_started_or_has_ended_is_fine(
    workshop: Workshop,
) -> None:
    sandbox = await workshop.created("/bin/true")
    await sandbox.kill()
    with contextlib.suppress(engine.EngineError):
        await sandbox.wait()
    ended = await workshop.started("exit 4")
    await ended.wait()
    await ended.kill()
    assert (await ended.wait()).exit_code == 4


async def test_removing_a_running_one_and_removing_twice_leaves_nothing(
    workshop: Workshop,
) -> None:
    sandbox = await workshop.started("trap '' TERM; while :; do sleep 100; done")
    await sandbox.remove()
    await sandbox.remove()
    assert traces(sandbox.name, sandbox.folder) == []


async def test_a_root_full_of_nasty_names_is_removed(workshop: Workshop) -> None:
    await workshop.ran(
        'cd /tmp; python3 -c \'import os; [(os.mkdir("d"), os.chdir("d")) for _ in range(1200)]\';'
        " touch -- '-rf' $'new\\nline' $'\\xff'; mkdir closed; touch closed/f;"
        "chmod 000 closed; ln -s / root; mkfifo pipe; rm -rf /usr/share/doc"
    )


async def tried(workshop: Workshop, spec: engine.SandboxSpec) -> None:
    """Create and start a sandbox; some runtimes look for the command only when it starts."""
    sandbox = await workshop.engine.create(spec)
    try:
        await sandbox.start()
    finally:
        await sandbox.remove()


@pytest.mark.parametrize("broken", ["base", "command", "folder"])
async def test_one_that_cannot_be_made_leaves_nothing(workshop: Workshop, broken: str) -> None:
    spec = workshop.spec("/no/such/program" if broken == "command" else "/bin/true")
    if broken == "base":
        spec = msgspec.structs.replace(spec, base_image=Path("/no/such/image"))
    if broken == "folder":
        spec = msgspec.structs.replace(spec, working_directory="/etc/passwd/x")
    with pytest.raises(engine.EngineError, match="plasmid-contract"):
        await tried(workshop, spec)
    assert traces(spec.name, spec.folder) == []


async def test_many_at_once_all_work(workshop: Workshop) -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(workshop.ran(f"echo {n}; exit {n}")) for n in range(8)]
    assert [task.result()[0].exit_code for task in tasks] == list(range(8))
    assert [task.result()[1] for task in tasks] == [[str(n)] for n in range(8)]


# ---------------------------------------------------------------------------- other processes

CREATOR = """
import asyncio, sys
import msgspec
from plasmid.engines import choice, engine

async def main():
    spec = msgspec.json.decode(
        sys.stdin.readline(), type=engine.SandboxSpec, dec_hook=lambda kind, value: kind(value)
    )
    sandbox = await choice.named(sys.argv[1]).create(spec)
    if sys.argv[2] == "start":
        await sandbox.start()
    print("ready", flush=True)
    sys.stdin.read()

asyncio.run(main())
"""


async def made_by_another(workshop: Workshop, spec: engine.SandboxSpec, how: str) -> None:
    """Let another process create a sandbox, and kill it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", CREATOR, workshop.kind, how),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(msgspec.json.encode(spec, enc_hook=str) + b"\n")
    assert await process.stdout.readline() == b"ready\n"
    process.kill()
    await process.wait()


GATE = "echo begun; until test -e /gate/open; do sleep 0.02; done; seq 1000; exit 9"


async def adopted(
    workshop: Workshop, folder: Path, how: str
) -> tuple[engine.Sandbox, Callable[[], None]]:
    """Give a sandbox whose creator was killed, and what opens its gate."""
    gate = folder / "gate"
    gate.mkdir()
    spec = workshop.spec(*("/bin/bash", "-c", GATE), mounts=(engine.Mount(str(gate), "/gate"),))
    await made_by_another(workshop, spec, how)
    sandbox = await workshop.engine.adopt(spec.folder)
    assert sandbox is not None

    def open_gate() -> None:
        (gate / "open").touch()

    return sandbox, open_gate


async def finished(sandbox: engine.Sandbox, folder: Path) -> None:
    ended = await sandbox.wait()
    assert ended.exit_code == 9
    assert output(sandbox) == ["begun", *(str(n) for n in range(1, 1001))]
    await sandbox.remove()
    shutil.rmtree(folder / "gate")


async def test_one_whose_creator_was_killed_goes_on_and_is_adopted(
    workshop: Workshop, folder: Path
) -> None:
    sandbox, open_gate = await adopted(workshop, folder, "start")
    await until(lambda: output(sandbox) == ["begun"])
    open_gate()
    await finished(sandbox, folder)


async def test_an_adopted_one_can_be_started_whether_it_was_or_not(
    workshop: Workshop, folder: Path
) -> None:
    sandbox, open_gate = await adopted(workshop, folder, "create")
    await sandbox.start()
    await until(lambda: output(sandbox) == ["begun"])
    await sandbox.start()
    open_gate()
    await finished(sandbox, folder)


async def test_one_that_ended_meanwhile_is_adopted_with_its_exit_code(
    workshop: Workshop, folder: Path
) -> None:
    sandbox, open_gate = await adopted(workshop, folder, "start")
    open_gate()
    await sandbox.wait()
    again = await workshop.engine.adopt(sandbox.folder)
    assert again is not None
    await finished(again, folder)


async def test_nothing_is_adopted_from_an_empty_or_damaged_folder(
    workshop: Workshop, folder: Path
) -> None:
    empty = folder / "empty"
    empty.mkdir()
    assert await workshop.engine.adopt(empty) is None
    for name in ("sandbox.json", "podman.json"):
        (empty / name).write_text('{"name": ')
    assert await workshop.engine.adopt(empty) is None
    shutil.rmtree(empty)


def supervisor_of(sandbox: engine.Sandbox) -> int | None:
    """Return the pid of the conmon that has this sandbox's log in its command line."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            arguments = (process / "cmdline").read_bytes().split(b"\0")
            wanted = os.fsencode(f"k8s-file:{sandbox.log_path}")
            if wanted in arguments and b"conmon" in arguments[0]:
                return int(process.name)
    return None


async def test_one_that_lost_its_supervisor_is_ended_and_says_so(workshop: Workshop) -> None:
    sandbox = await workshop.started("echo begun; while :; do sleep 100; done")
    await until(lambda: output(sandbox) == ["begun"])
    pid = supervisor_of(sandbox)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(engine.EngineError, match="lost its supervisor"):
        await sandbox.wait()
    await sandbox.remove()
    assert traces(sandbox.name, sandbox.folder) == []


# ------------------------------------------------------------------------- only the oci engine


by_oci = pytest.mark.parametrize("an_engine", ["crun", "runc"], indirect=True)


@by_oci
async def test_running_out_of_memory_is_told_from_a_kill(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    eaten, _ = await workshop.ran(f"exec {EAT}", memory_bytes=64 * MIB)
    assert (eaten.exit_code, eaten.out_of_memory) == (137, True)
    child, _ = await workshop.ran(f"{EAT}; exit 3", memory_bytes=64 * MIB)
    assert (child.exit_code, child.out_of_memory) == (3, True)
    killed, _ = await workshop.ran("bash -c 'kill -KILL $$'; exit $?", memory_bytes=64 * MIB)
    assert (killed.exit_code, killed.out_of_memory) == (137, False)
    assert list(here.iterdir()) == []


@by_oci
async def test_a_work_folder_that_nobody_else_can_enter_will_do(
    workshop: Workshop, folder: Path
) -> None:
    folder.chmod(0o700)
    ended, lines = await workshop.ran("touch /x && id -u")
    assert (ended.exit_code, lines) == (0, ["0"])


@by_oci
@pytest.mark.parametrize("step", ["disk", "overlay", "groups", "conmon"])
async def test_one_whose_creator_was_killed_half_way_is_adopted_and_removed(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    class KilledError(BaseException):
        """Stands for SIGKILL: nothing is tidied up after it."""

    def die(*_: object, **__: object) -> None:
        raise KilledError

    places = {
        "disk": "plasmid.engines.overlay.mount",
        "overlay": "plasmid.engines.overlay.put_files",
        "groups": "plasmid.engines.conmon.command",
        "conmon": "plasmid.engines.conmon._check_report",
    }
    spec = workshop.spec("/bin/true", disk_bytes=64 * MB)
    with monkeypatch.context() as patched:
        patched.setattr(places[step], die)
        with pytest.raises(KilledError):
            await workshop.engine.create(spec)
    assert traces(spec.name, spec.folder) != []
    sandbox = await workshop.engine.adopt(spec.folder)
    assert sandbox is not None
    await sandbox.remove()
    assert traces(spec.name, spec.folder) == []


@by_oci
async def test_a_sandboxs_memory_limit_is_seen_inside(workshop: Workshop) -> None:
    _, lines = await workshop.ran(
        "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null",
        memory_bytes=64 * MIB,
    )
    assert lines == [str(64 * MIB)]


@by_oci
async def test_calls_that_no_job_needs_are_refused(workshop: Workshop) -> None:
    # keyctl(KEYCTL_GET_KEYRING_ID) is number 250 on x86-64 and 219 on arm64.
    script = (
        "import ctypes, os, platform; n = 250 if platform.machine() == 'x86_64' else 219;"
        "c = ctypes.CDLL(None, use_errno=True);"
        "print(c.syscall(n, 0, -3, 0, 0, 0), os.strerror(ctypes.get_errno()))"
    )
    _, lines = await workshop.ran(f'python3 -c "{script}"')
    assert lines == ["-1 Operation not permitted"]


@by_oci
async def test_a_reused_pid_is_not_taken_for_the_supervisor(workshop: Workshop) -> None:
    sandbox = await workshop.started("exit 0")
    await sandbox.wait()
    files = conmon.Files(sandbox.folder, sandbox.name)
    files.conmon_pid.write_text(str(os.getpid()))
    files.sandbox_pid.write_text(str(os.getpid()))
    assert (await sandbox.wait()).exit_code == 0
    await sandbox.kill()
    with pytest.raises(engine.EngineError, match="not running"):
        _ = sandbox.network_namespace
    await sandbox.remove()


# ------------------------------------------------------------- what its instance type promises

COUNTED = """
import os, subprocess, time
print(len(os.sched_getaffinity(0)), os.cpu_count(), subprocess.getoutput("nproc"))
print(open("/proc/cpuinfo").read().count("processor\t:"))
begun = time.monotonic()
end = begun + 0.6
for _ in range(3):
    if os.fork() == 0:
        while time.monotonic() < end:
            pass
        os._exit(0)
for _ in range(3):
    os.wait()
used = os.times()
print((used.children_user + used.children_system) / (time.monotonic() - begun))
"""


async def unenforced(workshop: Workshop, **changes: object) -> list[str]:
    spec = workshop.spec("/bin/true", **changes)
    reasons = await workshop.engine.unenforced(spec)
    spec.folder.rmdir()
    return reasons


async def test_cores_are_a_limit_and_are_what_programs_count(workshop: Workshop) -> None:
    reasons = await unenforced(workshop, cores=1)
    if reasons:
        pytest.skip(reasons[0])
    _, lines = await workshop.ran("python3 /count", cores=1, files={"/count": COUNTED.encode()})
    assert lines[:2] == ["1 1 1", "1"]
    assert float(lines[2]) < 1.3


async def test_its_memory_is_what_programs_see_and_cannot_be_changed(workshop: Workshop) -> None:
    reasons = await unenforced(workshop)
    if reasons:
        pytest.skip(reasons[0])
    script = (
        "free -b | awk '/^Mem/ {print $2, ($4 <= $2), ($7 <= $2)} /^Swap/ {print $2}';"
        "echo 1 2>/dev/null >/proc/meminfo || echo refused"
    )
    _, lines = await workshop.ran(script, memory_bytes=512 * MIB)
    assert lines == [f"{512 * MIB} 1 1", "0", "refused"]


@by_oci
async def test_the_memory_that_is_left_is_told_while_it_runs(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plasmid.engines.views.REFRESH_SECONDS", 0.05)
    script = """
import re
held = bytearray(300 << 20)
left = 512 << 20
while left > 250 << 20:
    left = int(re.search(r"MemAvailable: +([0-9]+)", open("/proc/meminfo").read())[1]) << 10
print("seen", len(held))
"""
    _, lines = await workshop.ran(
        "python3 /eat", files={"/eat": script.encode()}, memory_bytes=512 * MIB
    )
    assert lines == [f"seen {300 << 20}"]


@by_oci
async def test_two_with_a_core_each_have_different_ones(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    # By themselves: what runs beside this test has processors, too.
    monkeypatch.setattr("plasmid.engines.cgroups.PARENT_NAME", workshop.folder.name)
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("this machine has one core")
    script = (
        "python3 -c 'import os; print(os.sched_getaffinity(0))'; read line </dev/tty; sleep 100"
    )
    first, second = [await workshop.started(script, cores=1) for _ in range(2)]
    await until(lambda: bool(output(first) and output(second)))
    assert output(first) != output(second)
    await first.remove()
    third = await workshop.started(script, cores=1)
    await until(lambda: bool(output(third)))
    assert output(third) != output(second)
    for sandbox in (second, third):
        await sandbox.kill()


# ----------------------------------------------------------- what stays open without the worker

KEEPER = """
import asyncio, socket, sys
from pathlib import Path
from plasmid.engines import choice
async def main(kind, folder, path):
    sandbox = await choice.named(kind).adopt(Path(folder))
    with socket.socket() as listener, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        told.bind(path)
        assert await sandbox.keep_open("other", [listener])
        assert await sandbox.keep_open("both", [listener, told])
        print(listener.getsockname()[1])
asyncio.run(main(*sys.argv[1:]))
"""


@by_oci
async def test_sockets_stay_open_while_nobody_but_the_sandbox_lives(
    workshop: Workshop, tmp_path: Path
) -> None:
    script = "ls -l /proc/[0-9]*/fd | grep -c socket; read line </dev/tty; sleep 100"
    sandbox = await workshop.created("/bin/bash", "-c", script)
    path = str(tmp_path / "told")
    argv = [sys.executable, "-c", KEEPER, workshop.kind, str(sandbox.folder), path]
    keeper = await asyncio.to_thread(
        subprocess.run, argv, env=os.environ | {"PYTHONPATH": str(SOURCES)}, capture_output=True
    )
    assert keeper.returncode == 0, keeper.stderr.decode()
    await sandbox.start()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"meanwhile", path)
    with socket.create_connection(("127.0.0.1", int(keeper.stdout))):
        for _ in range(2):
            listener, told = await sandbox.kept_open("both")
            with listener, told:
                assert told.recv(100, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b"meanwhile"
        listener, told = await sandbox.kept_open("both")
        with listener, told:
            listener.accept()[0].close()
    assert await sandbox.kept_open("never kept") == []
    await until(lambda: bool(output(sandbox)))
    assert output(sandbox) == ["0"], "something in the sandbox has a socket"
    await sandbox.kill()
    await sandbox.wait()
    assert await sandbox.kept_open("both") == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(keeper.stdout)))


async def test_what_an_engine_cannot_keep_it_says(workshop: Workshop) -> None:
    sandbox = await workshop.created("/bin/true")
    with socket.socket() as any_socket:
        kept = await sandbox.keep_open("x", [any_socket])
    found = await sandbox.kept_open("x")
    for each in found:
        each.close()
    assert kept == bool(found)
    assert kept != of_podman(workshop)


def needs_disks(workshop: Workshop) -> None:
    if (problem := disk.problem()) is not None:
        pytest.skip(f"{workshop.kind} cannot limit disks here: {problem}")
    workshop.engine = choice.named(workshop.kind, disk_limit="loop")


class Growth:
    """Tells when a file grows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._news = asyncio.Event()
        self._watch = file_watch.FileWatch()
        self._watch.add(path, self._news.set)

    async def over(self, size: int) -> None:
        """Wait until it is larger."""
        while self._path.stat().st_size <= size:
            await self._news.wait()
            self._news.clear()

    async def end(self) -> int:
        """Return its size once nobody makes it larger for a while."""
        with contextlib.suppress(TimeoutError):
            while True:
                size = self._path.stat().st_size
                await asyncio.wait_for(self.over(size), 0.3)
        return size

    def close(self) -> None:
        self._watch.close()


async def test_writers_of_held_output_wait_and_lose_nothing(workshop: Workshop) -> None:
    sandbox = await workshop.started(
        "n=0; until [ -e /stop ]; do n=$((n+1)); echo $n; done; echo end $n"
    )
    growth = Growth(sandbox.log_path)
    await growth.over(0)
    await sandbox.hold_output(True)
    size = await growth.end()
    another = await workshop.engine.adopt(sandbox.folder)  # as the next worker would
    assert another is not None
    await another.hold_output(False)
    await growth.over(size)
    growth.close()
    (sandbox.root / "stop").touch()
    assert (await another.wait()).exit_code == 0
    *numbers, end = output(sandbox)
    assert (numbers, end) == ([str(n + 1) for n in range(len(numbers))], f"end {len(numbers)}")


async def test_the_end_of_one_whose_output_is_held_comes_when_it_is_let_go(
    workshop: Workshop,
) -> None:
    sandbox = await workshop.started("until [ -e /go ]; do sleep 0.05; done; exit 3")
    await sandbox.hold_output(True)
    (sandbox.root / "go").touch()
    async with asyncio.TaskGroup() as group:
        ended = group.create_task(sandbox.wait())
        assert await asyncio.wait({ended}, timeout=0.5) == (set(), {ended})
        await sandbox.hold_output(False)
    assert ended.result().exit_code == 3
    await sandbox.hold_output(True)


async def test_one_whose_output_is_held_can_be_killed_and_removed(workshop: Workshop) -> None:
    sandbox = await workshop.started("yes")
    growth = Growth(sandbox.log_path)
    await growth.over(0)
    growth.close()
    await sandbox.hold_output(True)
    await sandbox.kill()
    await sandbox.hold_output(True)
    assert (await sandbox.wait()).exit_code == 137
    other = await workshop.started("yes")
    await other.hold_output(True)
    await other.remove()


@by_oci
async def test_its_disk_has_the_size_and_not_a_byte_more(workshop: Workshop) -> None:
    needs_disks(workshop)
    assert await unenforced(workshop, disk_bytes=300 * MB) == []
    ended, lines = await workshop.ran(
        "df -B1 --output=size / | tail -1; dd if=/dev/zero of=/big bs=1M; code=$?;"
        "cat /dev/zero >/small || echo full; exit $code",
        disk_bytes=300 * MB,
    )
    assert int(lines[0]) == pytest.approx(300 * MB, rel=0.01)
    assert (ended.exit_code, lines[1:]) == (1, ["full"])


@by_oci
async def test_files_on_a_limited_disk_keep_owners_links_and_attributes(
    workshop: Workshop,
) -> None:
    needs_disks(workshop)
    script = (
        "touch /a; chown nobody:1234 /a; ln /a /b; ln -s a /c; chmod 4711 /a; mkfifo /p;"
        "stat -c '%U %g %h %a' /a; rm /etc/hostname; ls /etc/hostname 2>/dev/null || echo gone;"
        "mv /usr/share/doc /moved && ls /moved | wc -l | grep -qv '^0$' && echo moved"
    )
    _, lines = await workshop.ran(script, disk_bytes=300 * MB)
    assert lines == ["nobody 1234 2 4711", "gone", "moved"]


@by_oci
@pytest.mark.alone  # others that write and delete change what is left
async def test_a_disk_larger_than_what_is_left_is_told_and_made_smaller(
    workshop: Workshop,
) -> None:
    needs_disks(workshop)
    huge = 1 << 60
    (reason,) = await unenforced(workshop, disk_bytes=huge)
    assert "left on this machine" in reason
    _, lines = await workshop.ran("df -B1 --output=size / | tail -1", disk_bytes=huge)
    left = shutil.disk_usage(workshop.folder).free
    assert 0.5 * left < int(lines[0]) <= left


@by_oci
async def test_a_site_can_leave_disks_without_a_limit_and_is_told(
    workshop: Workshop,
) -> None:
    workshop.engine = choice.named(workshop.kind, disk_limit="off")
    (reason,) = await unenforced(workshop, disk_bytes=64 * MB)
    assert "[jobs] disk_limit is off" in reason
    ended, _ = await workshop.ran("dd if=/dev/zero of=/big bs=1M count=100", disk_bytes=64 * MB)
    assert ended.exit_code == 0


@by_oci
async def test_what_a_full_machine_did_not_take_is_told_even_after_a_good_end(
    workshop: Workshop, folder: Path
) -> None:
    """All disks together may be larger than the machine's: then writing fails behind the back."""
    needs_disks(workshop)
    gate = folder / "gate"
    gate.mkdir()
    with small_disk(folder / "small", size_bytes=64 * MIB) as small:
        small.chmod(0o755)
        path = small / "j"
        path.mkdir()
        script = "until test -e /gate/open; do sleep 0.02; done; head -c 20M </dev/urandom >/mine"
        spec = workshop.spec(
            *("/bin/bash", "-c", script),
            disk_bytes=1000 * MB,
            mounts=(engine.Mount(str(gate), "/gate"),),
        )
        spec.folder.rmdir()
        spec = msgspec.structs.replace(spec, folder=path)
        sandbox = await workshop.engine.create(spec)
        await sandbox.start()
        left = shutil.disk_usage(small).free
        (small / "filler").write_bytes(bytes(left - 4 * MIB))
        (gate / "open").touch()
        ended = await sandbox.wait()
        assert (ended.exit_code, ended.lost_writes) == (0, True)
        await sandbox.remove()
        assert traces(spec.name, path) == []
    shutil.rmtree(gate)
    (folder / "small").rmdir()


HOGS = {
    "processes": ":(){ : | : & }; : 2>/dev/null; sleep 0.5; echo survived",
    "memory": "python3 -c 'b = bytearray(1 << 34)' 2>&1 | grep -c . ; head -c 1G </dev/zero | tail",
    "processors": "for i in 1 2 3 4; do timeout 1 sh -c 'while :; do :; done' & done; wait",
    "disk": "dd if=/dev/zero of=/big bs=1M",
    "names": "mkdir /d; cd /d; python3 -c 'for i in range(10**6): open(str(i), \"w\").close()'",
    "output": "timeout 0.5 yes",
}


@by_oci
@pytest.mark.parametrize("what", HOGS)
async def test_a_hog_meets_its_limit_and_its_neighbour_does_not_notice(
    workshop: Workshop, what: str
) -> None:
    needs_disks(workshop)
    mine = {"cores": 1, "memory_bytes": 128 * MIB, "processes_max": 60, "disk_bytes": 100 * MB}
    hog = await workshop.started(HOGS[what], **mine)
    script = (
        "for i in $(seq 20); do python3 -c 'print(sum(range(10**5)))' || exit 1; done;"
        "dd if=/dev/zero of=/fine bs=1M count=30 && echo fine"
    )
    ended, lines = await workshop.ran(script, **mine)
    assert (ended.exit_code, lines) == (0, [*["4999950000"] * 20, "fine"])
    if what == "processes":
        await hog.kill()
    ended = await hog.wait()
    if what == "memory":
        assert ended.out_of_memory
    if what in ("disk", "names"):
        assert ended.exit_code == 1
        assert any("No space left" in line for line in output(hog, "stderr"))


@by_oci
async def test_devices_of_the_host_come_by_their_description(
    workshop: Workshop, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A harmless one: another name of /dev/zero, a file, a variable and a hook."""
    library = folder / "library"
    library.write_text("of the vendor\n")
    description = f"""
cdiVersion: 0.6.0
kind: example.org/gpu
containerEdits:
  env: [COMMON=yes]
  hooks:
  - hookName: createRuntime
    path: /usr/bin/touch
    args: [touch, {tmp_path}/called]
devices:
- name: "0"
  containerEdits:
    env: [CARD=first]
    deviceNodes: [{{path: /dev/card0, hostPath: /dev/zero}}]
    mounts: [{{hostPath: {library}, containerPath: /usr/lib/vendor.so, options: [ro, bind]}}]
"""
    (tmp_path / "example.yaml").write_text(description)
    (tmp_path / "example.yaml").chmod(0o644)
    monkeypatch.setattr("plasmid.engines.cdi.FOLDERS", (tmp_path,))
    _, lines = await workshop.ran(
        "head -c 3 /dev/card0 | od -An -tx1; cat /usr/lib/vendor.so; echo $CARD $COMMON;"
        "test -c /dev/card0 && echo device",
        devices=("example.org/gpu=0",),
    )
    assert lines == [" 00 00 00", "of the vendor", "first yes", "device"]
    assert (tmp_path / "called").exists()
    with pytest.raises(engine.EngineError, match=r"no device example.org/gpu=1 .*gpu=0"):
        await workshop.engine.create(workshop.spec("/bin/true", devices=("example.org/gpu=1",)))
    library.unlink()


async def test_what_a_sandbox_uses_is_told_while_it_works(workshop: Workshop) -> None:
    program = (
        "import time; b = bytearray(100 << 20); t = time.process_time()\n"
        "while time.process_time() < t + 0.5: pass\n"
        "print('worked', flush=True); time.sleep(100)"
    )
    sandbox = await workshop.created("/usr/bin/python3", "-c", program)
    before = await sandbox.usage()
    await sandbox.start()
    await until(lambda: "worked" in output(sandbox))
    after = await sandbox.usage()
    worked = after.cpu_user_ms + after.cpu_system_ms - before.cpu_user_ms - before.cpu_system_ms
    assert 450 <= worked < 5000
    assert 100 * MIB <= after.memory_bytes < 200 * MIB
    assert after.processes >= 1
    await sandbox.kill()
    await sandbox.wait()


async def test_what_a_sandbox_has_used_is_told_when_it_has_ended(workshop: Workshop) -> None:
    size = 64 * MIB
    script = (
        "dd if=/dev/urandom of=/data bs=1M count=64 oflag=direct;"
        "head -c 300000000 /dev/urandom >/dev/null"
    )
    sandbox = await workshop.created("/bin/bash", "-c", script, disk_bytes=1 << 30)
    before = await sandbox.usage()
    await sandbox.start()
    assert (await sandbox.wait()).exit_code == 0
    if of_podman(workshop):
        with pytest.raises((engine.EngineError, OSError)):
            await sandbox.usage()  # it asks the processes themselves
        return
    after = await sandbox.usage()
    assert after.cpu_system_ms - before.cpu_system_ms > 100
    assert after.peak_memory_bytes is not None
    assert after.peak_memory_bytes > after.memory_bytes > 0
    assert after.disk_used_bytes is not None
    assert size <= after.disk_used_bytes < 2 * size
    assert after.disk_total_bytes is not None
    assert 0.95 * (1 << 30) < after.disk_total_bytes <= 1 << 30
    assert before.written_bytes is not None
    assert after.written_bytes is not None
    assert size <= after.written_bytes - before.written_bytes < 2 * size
    assert after.writes > before.writes
    await sandbox.remove()
    with pytest.raises(FileNotFoundError):
        await sandbox.usage()


# ------------------------------------------------------------------ commands that run in it besides


def entered(sandbox: engine.Sandbox, script: str, **options: Any) -> list[str]:
    """Return the lines of a script that runs inside; its stdin is empty."""
    options = {"environment": {"PATH": "/usr/bin:/bin"}, **options}
    done = called(sandbox.entry(["/bin/bash", "-c", script], **options))
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode().splitlines()


def called(argv: Sequence[str], content: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        argv, input=content, capture_output=True, check=False, timeout=SECONDS_MAX
    )


def restrictions(pid: int | str) -> dict[str, str]:
    """Return what a process may do at most, and which namespaces it is in."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    found = {key: status[key] for key in ("CapBnd", "CapAmb", "Seccomp", "Seccomp_filters")}
    for link in Path(f"/proc/{pid}/ns").iterdir():
        found[link.name] = str(link.readlink())
    return found


@contextlib.contextmanager
def running(argv: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Give a process that is ended with the block."""
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options)
    with process:
        try:
            yield process
        finally:
            process.kill()


def first_line(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().decode().strip()


async def idle(workshop: Workshop, script: str = "", **changes: object) -> engine.Sandbox:
    """Return a sandbox that has done its script and then does nothing."""
    sandbox = await workshop.started(
        f"{script}\necho idle; while :; do sleep 1000; done", **changes
    )
    await until(lambda: "idle" in output(sandbox))
    return sandbox


async def test_a_command_runs_in_it_besides_as_the_user_that_is_asked_for(
    workshop: Workshop,
) -> None:
    sandbox = await idle(workshop, "echo made >/tmp/made; mkdir -p /mine")
    script = "id -un; pwd; hostname; cat /tmp/made; echo $SAID; sudo -n id -un; cat; ls /proc/1/fd"
    options = {"user": "1000:1000", "working_directory": "/mine"}
    variables = {"PATH": "/usr/bin:/bin", "SAID": "two words = $HOME"}
    lines = entered(sandbox, f"({script}) 2>/dev/null; true", environment=variables, **options)
    assert lines == ["dnanexus", "/mine", "job-1", "made", "two words = $HOME", "root"]
    assert entered(sandbox, "id -u; ls /proc/self/fd; id -G") == ["0", "0", "1", "2", "3", "0"]


async def test_it_has_what_the_job_has_and_no_more_and_counts_as_the_jobs(
    workshop: Workshop,
) -> None:
    sandbox = await idle(workshop)
    job = sandbox.network_namespace
    assert job is not None
    argv = sandbox.entry(["/bin/bash", "-c", "echo ready; read line"], environment={})
    with running(argv) as process:
        assert first_line(process) == "ready"
        (inside,) = [
            pid
            for pid in Path("/proc").glob("[0-9]*")
            if "read line" in said(pid) and said(pid).startswith("/bin/bash -c echo ready")
        ]
        assert restrictions(inside.name) == restrictions(job.parts[2])
        groups = Path(f"/proc/{job.parts[2]}/cgroup").read_text()
        assert Path(inside, "cgroup").read_text() == groups
        assert sandbox.name in groups or of_podman(workshop)
        score = int(Path(inside, "oom_score_adj").read_text())
        assert score >= int(Path(f"/proc/{job.parts[2]}/oom_score_adj").read_text())


def said(process: Path) -> str:
    """Return a process's command line; "" when it has ended."""
    with contextlib.suppress(OSError):
        return (process / "cmdline").read_text(errors="replace").replace("\0", " ")
    return ""


ATTACH = """
import ctypes, os
ptrace = ctypes.CDLL(None, use_errno=True).ptrace
(pid,) = map(int, os.popen("pgrep -f 'sleep 1015$'").read().split())
print(ptrace(0x4206, pid, 0, 0), os.strerror(ctypes.get_errno()))
print(len(open(f"/proc/{pid}/environ").read()) > 0, len(os.listdir(f"/proc/{pid}/fd")) > 0)
"""


async def test_who_comes_in_as_root_can_debug_what_the_job_runs_as_root(
    workshop: Workshop,
) -> None:
    # stopped any earlier it could still be the shell's own copy
    script = 'sleep 1015 &\nuntil [ "$(< /proc/$!/comm)" = sleep ]; do sleep 0.02; done'
    sandbox = await idle(workshop, script, files={"/attach": ATTACH.encode()})
    await sandbox.stop_processes()
    attached, seen = entered(sandbox, "python3 /attach")
    assert seen == "True True"
    # Yama keeps those without a capability of their own from debugging what is not their child.
    scope = Path("/proc/sys/kernel/yama/ptrace_scope")
    assert attached == "0 Success" or (scope.exists() and scope.read_text().strip() != "0")


async def test_bytes_and_exit_codes_of_such_a_command_pass_as_they_are(
    workshop: Workshop,
) -> None:
    sandbox = await idle(workshop)
    content = os.urandom(300_000)
    argv = sandbox.entry(["/bin/sh", "-c", "cat; echo oops >&2; exit 41"], environment={})
    done = called(argv, content)
    assert (done.returncode, done.stdout, done.stderr) == (41, content, b"oops\n")
    argv = sandbox.entry(["/bin/sh", "-c", "kill -TERM $$"], environment={})
    assert called(argv).returncode == 128 + signal.SIGTERM
    done = called(sandbox.entry(["/no/such/program"], environment={}))
    assert done.returncode != 0
    assert b"no/such/program" in done.stderr


async def test_such_a_command_gets_signals_and_goes_with_its_sandbox(workshop: Workshop) -> None:
    sandbox = await idle(workshop)
    script = "trap 'echo told; exit 9' TERM; echo ready; while :; do sleep 0.05; done"
    with running(sandbox.entry(["/bin/bash", "-c", script], environment={})) as process:
        assert first_line(process) == "ready"
        process.terminate()
        if not of_podman(workshop):
            assert first_line(process) == "told"
            assert process.wait(SECONDS_MAX) == 9
    with running(sandbox.entry(["/bin/bash", "-c", script], environment={})) as process:
        assert first_line(process) == "ready"
        await sandbox.kill()
        assert process.wait(SECONDS_MAX) != 0
    await sandbox.wait()
    await until(lambda: not can_enter(sandbox))
    with pytest.raises(engine.EngineError, match="is not running"):
        sandbox.entry(["/bin/true"], environment={})


def can_enter(sandbox: engine.Sandbox) -> bool:
    try:
        sandbox.entry(["/bin/true"], environment={})
    except engine.EngineError:
        return False
    return True


async def test_a_sandbox_that_is_not_started_cannot_be_entered(workshop: Workshop) -> None:
    sandbox = await workshop.created("/bin/true")
    with pytest.raises(engine.EngineError, match="is not running"):
        sandbox.entry(["/bin/true"], environment={})


class Screen:
    """A terminal with a command in a sandbox on it, as a client's window is."""

    def __init__(self, sandbox: engine.Sandbox, script: str) -> None:
        self.end, other = pty.openpty()
        self.unread = b""
        self.resize(20, 90)
        argv = sandbox.entry(["/bin/bash", "-c", script], environment={}, terminal=True)
        self.process = subprocess.Popen(
            argv, stdin=other, stdout=other, stderr=other, start_new_session=True
        )
        os.close(other)

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.end, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def shows(self, text: str) -> None:
        """Read until a text has come."""
        while text.encode() not in self.unread:
            assert select.select([self.end], [], [], SECONDS_MAX)[0], self.unread
            self.unread += os.read(self.end, 4096)
        self.unread = self.unread.partition(text.encode())[2]

    def hang_up(self) -> None:
        end, self.end = self.end, -1
        if end >= 0:
            os.close(end)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.hang_up()


# Signals wait until they are asked for: a shell's trap may lose the one that comes in it.
SCREEN = """
import os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGWINCH})
print(os.ttyname(0), flush=True)
for wanted in ((20, 90), (33, 100)):
    while (os.get_terminal_size().lines, os.get_terminal_size().columns) != wanted:
        signal.sigwait({signal.SIGWINCH})
    print(*wanted, flush=True)
try:
    print("waits", flush=True)
    signal.pause()
except KeyboardInterrupt:
    print("stopped", flush=True)
    os._exit(6)
"""


async def test_a_terminal_has_its_size_keys_and_end(workshop: Workshop) -> None:
    sandbox = await idle(workshop)
    with contextlib.closing(Screen(sandbox, f"exec python3 -c '{SCREEN}'")) as screen:
        screen.shows("/dev/pts/")
        screen.shows("20 90")
        screen.resize(33, 100)
        screen.shows("33 100")
        screen.shows("waits")
        os.write(screen.end, b"\x03")
        screen.shows("stopped")
        assert screen.process.wait(SECONDS_MAX) == 6


@by_oci
async def test_who_hangs_up_leaves_no_process(workshop: Workshop) -> None:
    sandbox = await idle(workshop)
    ways: list[Callable[[Screen], None]] = [Screen.hang_up, lambda screen: screen.process.kill()]
    for leave in ways:
        with contextlib.closing(Screen(sandbox, "echo here; sleep 1001; true")) as screen:
            screen.shows("here")
            leave(screen)
            screen.process.wait(SECONDS_MAX)
        await until(lambda: not any("1001" in each for each in entered(sandbox, "ps -eo args=")))


def everything() -> str:
    return "\n".join(said(process) for process in Path("/proc").glob("[0-9]*"))


LEAVES = """
sleep 1011 &
(trap '' TERM STOP; while :; do sleep 0.01; done) &
setsid -f sh -c 'while :; do sleep 0.01; done'
su dnanexus -c 'sleep 1012' &
until pgrep -f 'sleep 1012$' >/dev/null; do sleep 0.01; done
"""


async def test_what_its_command_has_left_can_be_stopped_but_not_who_came_in(
    workshop: Workshop,
) -> None:
    sandbox = await idle(workshop, LEAVES)
    script = (
        "sleep 1013 & (setsid -f sleep 1014 &) ; echo ready; while read line; do echo $line; done"
    )
    with running(sandbox.entry(["/bin/bash", "-c", script], environment={})) as process:
        assert first_line(process) == "ready"
        # by its whole command line: the script that starts it names it too
        await until(lambda: "sleep 1014 " in everything().splitlines())
        await sandbox.stop_processes()
        listed = entered(sandbox, "ps -eo state=,pid=,args=")
        states = {line.split(None, 2)[2]: line.split()[0] for line in listed}
        left = ["sleep 1000", "sleep 1011", "sleep 1012", "sh -c while :; do sleep 0.01; done"]
        assert [states[command] for command in left] == ["T"] * len(left)
        assert [states[f"sleep {number}"] for number in (1013, 1014)] == ["S", "S"]
        # a loop's parent and its child; D: it waits in vfork for a child that was stopped there
        assert [line for line in listed if "sleep 0.01" in line and line[0] not in "TZD"] == [
            line for line in listed if line.split()[1] == "1"
        ]
        assert process.stdin is not None
        process.stdin.write(b"goes on\n")
        process.stdin.flush()
        assert first_line(process) == "goes on"
    await sandbox.kill()
    assert (await sandbox.wait()).exit_code == 128 + signal.SIGKILL
