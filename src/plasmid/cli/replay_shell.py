"""A shell in the sandbox of a replay, just before the job's own code would begin.

At a terminal it is a login shell with a terminal of its own inside; without one, the commands of
standard input are run.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import tty
from collections.abc import Iterator, Sequence
from typing import Final

from plasmid.cli import run
from plasmid.cli.server import Running
from plasmid.cli.trouble import CommandError
from plasmid.client.api import ApiClient
from plasmid.config import Config
from plasmid.domain import job_states, replays
from plasmid.domain.replays import Run
from plasmid.domain.terminal_text import shown
from plasmid.engines import choice, engine
from plasmid.worker import inside, try_folder
from plasmid.worker.steps import environment, workspace

LOOK_SECONDS: Final = 0.1
READ_BYTES: Final = 1 << 16
_SHELL: Final = ("/bin/bash", "--login")
_SIZE_BYTES: Final = 8


async def enter(
    config: Config, running: Running, client: ApiClient, *, job: Run, interpreter: str
) -> int:
    """Open the shell as soon as the sandbox is ready; return its exit code when it has ended."""
    async with asyncio.TaskGroup() as group:
        following = group.create_task(run.follow(running, client, job.job))
        sandbox = await _ready(config, running, client, job)
        following.cancel()
    if sandbox is None:
        described = await client.call(f"/{job.job}/describe", {})
        raise CommandError(
            f"the sandbox could not be prepared: {described.get('failureReason')}: "
            f"{replays.without_command(described.get('failureMessage') or '')}"
        )
    is_terminal = sys.stdin.isatty()
    terminal = {"TERM": os.environ.get("TERM", "dumb")} if is_terminal else {}
    argv = sandbox.entry(
        _SHELL,
        environment={"HOME": environment.HOME, **terminal},
        working_directory=environment.HOME,
        terminal=is_terminal,
    )
    _greet(job, interpreter)
    try:
        return await _run(argv, is_terminal=is_terminal)
    finally:
        await client.call(f"/{job.job}/terminate", {})


async def _ready(
    config: Config, running: Running, client: ApiClient, job: Run
) -> engine.Sandbox | None:
    """Return the job's sandbox once its code could begin; None if it never comes to that."""
    folder = try_folder.TryFolder(try_folder.path_of(running.data / "work", job.job, job.attempt))
    made = choice.named(config.engine, disk_limit=config.jobs.disk_limit)
    while True:
        described = await client.call(f"/{job.job}/describe", {"fields": {"state": True}})
        if job_states.is_terminal(described["state"]):
            return None
        sandbox = await made.adopt(folder.sandbox) if folder.started_ms() is not None else None
        if sandbox is not None:
            with contextlib.suppress(inside.UnreadableError):
                phase = inside.read_text(sandbox.root, f"{workspace.STATE}/phase", bytes_max=64)
                if (phase or "").strip() == "running":
                    return sandbox
        await asyncio.sleep(LOOK_SECONDS)


def _greet(job: Run, interpreter: str) -> None:
    lines = (
        f"This is the sandbox of {job.job} ({job.name}), just before its code begins:",
        "its files, packages and variables are in place.",
        f"Run the code: {interpreter} ~/{job.job}    Leave: exit",
    )
    for line in lines:
        print(shown(line), file=sys.stderr, flush=True)


async def _run(argv: Sequence[str], *, is_terminal: bool) -> int:
    """Run a command to its end, which a signal to us hastens; return its exit code."""
    child, ours = _started(argv, is_terminal=is_terminal)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, lambda: None)  # the command gets it, too
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, child.send_signal, signal.SIGHUP)
    try:
        if is_terminal:
            await asyncio.to_thread(_at_terminal, ours, child)
        code = await asyncio.to_thread(child.wait)
    finally:
        if is_terminal:
            os.close(ours)
    return code if code >= 0 else 128 - code


def _started(argv: Sequence[str], *, is_terminal: bool) -> tuple[subprocess.Popen[bytes], int]:
    """Start a command, maybe at a terminal of its own; return it with our end of that, or -1."""
    if not is_terminal:
        return subprocess.Popen(list(argv)), -1
    ours, its = pty.openpty()
    _follow_size(ours)
    child = subprocess.Popen(list(argv), stdin=its, stdout=its, stderr=its, start_new_session=True)
    os.close(its)
    return child, ours


def _at_terminal(ours: int, child: subprocess.Popen[bytes]) -> None:
    """Hand on what is typed to a terminal of the command's own, and what is shown there."""
    with _raw():
        _hand_on(ours, child)


@contextlib.contextmanager
def _raw() -> Iterator[None]:
    """Take every key as it comes for the time of the block."""
    before = termios.tcgetattr(sys.stdin)
    tty.setraw(sys.stdin, termios.TCSADRAIN)  # what was typed ahead is not thrown away
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _hand_on(ours: int, child: subprocess.Popen[bytes]) -> None:
    """Copy between the two terminals until the inner one is closed."""
    stdin, stdout = sys.stdin.fileno(), sys.stdout.fileno()
    size = b""
    while True:
        size = _follow_size(ours, size)
        ready, _, _ = select.select([ours, stdin], [], [], LOOK_SECONDS)
        if ours in ready:
            with contextlib.suppress(OSError):
                if shown := os.read(ours, READ_BYTES):
                    os.write(stdout, shown)
                    continue
            return
        if stdin in ready:
            if typed := os.read(stdin, READ_BYTES):
                os.write(ours, typed)
            else:
                child.send_signal(signal.SIGHUP)


def _follow_size(ours: int, before: bytes = b"") -> bytes:
    """Give the inner terminal the size of the outer one; return that."""
    size = fcntl.ioctl(sys.stdin.fileno(), termios.TIOCGWINSZ, bytes(_SIZE_BYTES))
    if size != before:
        fcntl.ioctl(ours, termios.TIOCSWINSZ, size)
    return size
