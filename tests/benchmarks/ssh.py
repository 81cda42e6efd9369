"""From the start of `ssh` to a prompt: into a job, and into this machine by Debian's sshd."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.benchmarks import beside, logs, platform

SSHD: Final = "/usr/sbin/sshd"
PORT: Final = 18_122
# The client's own options; keys are checked, known hosts are not kept.
OPTIONS: Final = (
    "-F", "none", "-tt", "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR",
    "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
)  # fmt: skip
# A home that is not there has no start files of its own, which may take longer than all the rest.
CONFIG: Final = """
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/key.pub
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
PidFile none
PrintMotd no
SetEnv HOME=/nonexistent
"""
SECONDS_MAX: Final = 60.0


def seconds(scratch: Path, images: Path, rounds: int) -> tuple[list[float], list[float]]:
    """Return how long logins take to a prompt: into a running job, and beside it into Debian's."""
    folder = scratch / "ssh"
    folder.mkdir(mode=0o755)
    for name in ("key", "host"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(command, check=True)
    with platform.served(scratch, images, jobs_max=2) as served, sshd(folder):
        job = _job(served, (folder / "key.pub").read_text(encoding="utf-8"))
        described = served.call(f"/{job}/describe", {})
        place = ("-p", str(described["sshPort"]), "-l", "dnanexus", described["host"])
        ours = ["ssh", "-i", str(folder / "key"), *OPTIONS, *place]
        other = ["ssh", "-i", str(folder / "key"), *OPTIONS,
                 "-p", str(PORT), "-l", "root", "127.0.0.1"]  # fmt: skip
        pairs = [
            (prompt_seconds(ours, f"dnanexus@{job}"), prompt_seconds(other, "root@"))
            for _ in range(rounds + 1)
        ][1:]
        served.terminate(job)
    mine, theirs = zip(*pairs, strict=True)
    return list(mine), list(theirs)


def _job(served: platform.Served, key: str) -> str:
    """Return a job that runs and lets its user in."""
    served.call(f"/{served.user}/update", {"sshPublicKey": key})
    project = served.project()
    waits = logs.applet(served, project, "sleep 3600")
    asked = {"input": {}, "project": project, "allowSSH": ["127.0.0.1"]}
    job = str(served.call(f"/{waits}/run", asked)["id"])
    deadline = time.monotonic() + SECONDS_MAX
    while not served.call(f"/{job}/describe", {}).get("sshHostKey"):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{job} tells no host key")
        time.sleep(0.05)
    return job


@contextlib.contextmanager
def sshd(folder: Path) -> Iterator[None]:
    """Run Debian's server, for the key in a folder, while the block runs."""
    config = folder / "sshd_config"
    config.write_text(CONFIG.format(folder=folder, port=PORT), encoding="utf-8")
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    server = subprocess.Popen([SSHD, "-D", "-e", "-f", str(config)], stderr=subprocess.DEVNULL)
    try:
        beside.wait_for_port(PORT)
        yield
    finally:
        server.terminate()
        server.wait()


def prompt_seconds(command: list[str], prompt: str) -> float:
    """Return how long a command takes to write a prompt to its terminal; then it is ended."""
    ours, theirs = os.openpty()
    begun = time.perf_counter()
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    said = b""
    try:
        while prompt.encode() not in said:
            said += os.read(ours, 65536)
        return time.perf_counter() - begun
    except OSError as error:
        raise RuntimeError(f"{command}: {said.decode(errors='replace')}") from error
    finally:
        process.kill()
        process.wait()
        os.close(ours)
