"""conmon, the supervisor of one sandbox: starts the runtime, keeps its output and its exit code.

conmon outlives whoever started it, so a sandbox does too. Its files in the sandbox's folder:

- `log`           what the command wrote, in the k8s-file format: `<RFC 3339 time> stdout|stderr F|P
                  <text>` a line, where P marks a line that goes on in the next entry
- `exit/<name>`   the exit code, once the command has ended and all of its output is in the log
- `conmon.pid`, `sandbox.pid`   the pids of conmon and of the sandbox's first process
- `conmon.sockets`  the numbers of two sockets that it holds for us (kept_sockets.py)
- `conmon.error`  what conmon itself had to say
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from plasmid.engines import engine, kept_sockets

_CREATE_SECONDS_MAX: Final = 60.0


class Files:
    """Where conmon keeps its things in a sandbox's folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self.bundle = folder / "bundle"
        self.log = folder / "log"
        self.exit_folder = folder / "exit"
        self.exit_code = folder / "exit" / name
        self.conmon_pid = folder / "conmon.pid"
        self.sandbox_pid = folder / "sandbox.pid"
        self.sockets = folder / "conmon.sockets"
        self.errors = folder / "conmon.error"


def find() -> str | None:
    """Return conmon's path, if it is installed."""
    return shutil.which("conmon", path=f"{os.environ.get('PATH', '')}:/usr/libexec/podman:/usr/bin")


def command(conmon: str, files: Files, name: str, runtime: Sequence[str]) -> list[str]:
    """Return conmon's command line; `runtime` is the runtime's command with its global options."""
    return [
        conmon,
        "--full-attach",  # else it wants a socket folder that only CRI-O has
        *("--cid", name, "--cuuid", name, "--name", name),
        *("--bundle", str(files.bundle)),
        *("--container-pidfile", str(files.sandbox_pid)),
        *("--conmon-pidfile", str(files.conmon_pid)),
        *("--exit-dir", str(files.exit_folder)),
        *("--log-path", f"k8s-file:{files.log}"),
        *("--log-level", "error"),
        "--no-sync-log",
        *("--runtime", runtime[0]),
        *(f"--runtime-arg={argument}" for argument in runtime[1:]),
    ]


def create(argv: Sequence[str], files: Files, environment: dict[str, str]) -> None:
    """Start conmon and return once the sandbox is ready to start.

    Raises EngineError with the runtime's own words if it could not make it.
    """
    files.exit_folder.mkdir()
    read_end, write_end = os.pipe()
    with contextlib.closing(os.fdopen(read_end, "rb", buffering=0)) as pipe:
        try:
            with files.errors.open("wb") as errors, kept_sockets.pair() as ends:
                files.sockets.write_text(f"{ends[0]} {ends[1]}")
                subprocess.run(
                    argv,
                    cwd=files.exit_folder,  # where conmon leaves a mark when memory runs out
                    env={**environment, "_OCI_SYNCPIPE": str(write_end)},
                    pass_fds=(write_end, *ends),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=errors,
                    check=False,
                    timeout=_CREATE_SECONDS_MAX,
                )
        finally:
            os.close(write_end)
        report = _read_line(pipe.fileno())
    _check_report(report, files)


def _read_line(fd: int) -> bytes:
    """Read one line, or all there is before the end or the time limit."""
    line = b""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    while not line.endswith(b"\n") and poll.poll(_CREATE_SECONDS_MAX * 1000):
        more = os.read(fd, 65536)
        if not more:
            break
        line += more
    return line


def _check_report(report: bytes, files: Files) -> None:
    """Raise EngineError unless conmon says that the sandbox was made.

    It writes {"data": pid} (old versions: {"pid": pid}), with pid -1 and a message on failure.
    """
    try:
        said = json.loads(report)
        pid = int(said.get("data", said.get("pid", -1)))
        message = str(said.get("message", "")).strip()
    except (ValueError, AttributeError, TypeError):
        pid, message = -1, report.decode(errors="replace").strip()
    if pid > 0:
        return
    message = message or files.errors.read_text(errors="replace").strip() or "no reason given"
    raise engine.EngineError(f"the runtime could not make the sandbox: {message}")


def read_pid(file: Path) -> int | None:
    """Return the pid in a pid file; None if there is none yet."""
    try:
        return int(file.read_text())
    except (FileNotFoundError, ValueError):
        return None


def open_pidfd(files: Files) -> int | None:
    """Return a pidfd of this sandbox's conmon, or None once it has ended.

    A process that got its pid later is never taken for it: conmon is told by the sandbox's bundle
    in its command line and by running as us (nothing in a sandbox does), read while the pidfd
    holds the pid. Its program is not compared: an upgrade replaces that under a running conmon.
    """
    pid = read_pid(files.conmon_pid)
    if pid is None:
        return None
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    if _is_conmon(Path(f"/proc/{pid}"), files):
        return pidfd
    os.close(pidfd)
    return None


def _is_conmon(process: Path, files: Files) -> bool:
    try:
        arguments = (process / "cmdline").read_bytes().split(b"\0")
        is_ours = process.stat().st_uid == os.geteuid()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return is_ours and os.fsencode(files.bundle) in arguments


def read_exit_code(files: Files) -> int | None:
    """Return the exit code that conmon wrote; None if it has not."""
    return read_pid(files.exit_code)


def hold(files: Files, *, is_held: bool) -> None:
    """Stop conmon, so that it reads nothing more from its pipes, or let it go on."""
    pidfd = open_pidfd(files)
    if pidfd is None:
        return
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGSTOP if is_held else signal.SIGCONT)
    finally:
        os.close(pidfd)


def keep_open(files: Files, name: str, sockets: Sequence[socket.socket]) -> bool:
    """Let conmon hold sockets under a name until it ends; False where that cannot be."""
    pidfd = open_pidfd(files)
    ends = _ends(files)
    if pidfd is None:
        return False
    try:
        return ends is not None and kept_sockets.put(pidfd, ends, name, sockets)
    finally:
        os.close(pidfd)


def kept_open(files: Files, name: str) -> list[socket.socket]:
    """Return duplicates of the sockets that conmon holds under a name; [] if it holds none."""
    pidfd = open_pidfd(files)
    ends = _ends(files)
    if pidfd is None:
        return []
    try:
        return kept_sockets.get(pidfd, ends, name) if ends is not None else []
    finally:
        os.close(pidfd)


def _ends(files: Files) -> kept_sockets.Ends | None:
    try:
        first, second = files.sockets.read_text().split()
        return int(first), int(second)
    except (FileNotFoundError, ValueError):
        return None  # of a sandbox that an older version has made
