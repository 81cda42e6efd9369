"""What a login to a job gets inside: a session of two terminals, a clean command, and what is not
there is said. By the engine, without the network that leads to it (test_ssh.py)."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator, Sequence

import pytest

from plasmid.engines import choice
from tests.e2e import console
from tests.e2e.driver import Dx, until

pytestmark = pytest.mark.e2e

TINY = {"systemRequirements": {"*": {"instanceType": "mem1_hdd2_x1"}}}
BARE = "rm /usr/bin/tmux /usr/lib/openssh/sftp-server; echo 'exit 3' >~/environment; "
GREETING = "This is the DNAnexus Execution Environment"
NAME = "pröject of logins"


def entering(dx: Dx, job: str, *arguments: str, terminal: bool = False, **env: str) -> list[str]:
    """Return the command that logs in to a job."""

    async def argv() -> Sequence[str]:
        folder = dx.site.data / "work" / f"{job}.0" / "sandbox"
        sandbox = await choice.named("auto").adopt(folder)
        assert sandbox is not None
        return sandbox.entry(["/opt/plasmid/login", *arguments], environment=env, terminal=terminal)

    return list(asyncio.run(argv()))


def called(
    dx: Dx, job: str, *arguments: str, content: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    argv = entering(dx, job, *arguments)
    return subprocess.run(argv, input=content, capture_output=True, check=False, timeout=120)


def running(dx: Dx, code: str) -> str:
    """Return a job whose code has come to its sleep."""
    dx("update", "project", dx.project, "--name", NAME)
    job = dx.run(dx.applet(f"{code} echo asleep; sleep 1000", run=TINY))
    until(lambda: "asleep" in [line.msg for line in dx.site.log(job, tail=False)])
    return job


@pytest.fixture(scope="module")
def job(dx: Dx) -> Iterator[str]:
    made = running(dx, "")
    yield made
    dx("terminate", made)


def test_a_session_shows_the_job_in_one_terminal_and_a_shell_in_the_other(dx: Dx, job: str) -> None:
    argv = entering(dx, job, terminal=True, TERM="xterm-kitty")
    with console.running(argv, os.environ) as first:
        for text in (GREETING, f"Project: {NAME}", "The job is running in terminal 1.", "OS ver"):
            first.until(text)
        first.until(f"dnanexus@{job}:~")
        first.type("sudo id -un; dx pwd; touch ~/mine && echo its $USER\n")
        first.until("root")
        first.until("container-")
        first.until("its dnanexus")
        with console.running(argv, os.environ) as second:
            second.until("its dnanexus")  # it is the same session
            second.type("exit\n")
            second.until(f"bash running (job ID {job})")
            second.until("asleep")
            second.type("\x03")
            second.until("[exited]")
            second.until(f"dnanexus@{job}")
            second.type("exit 4\n")
            assert second.end()[0] == 4
        first.until("[exited]")
    with console.running(argv, os.environ) as third:
        third.until(GREETING)


def test_a_command_has_the_jobs_environment_and_nothing_more(dx: Dx, job: str) -> None:
    content = os.urandom(100_000)
    done = called(dx, job, "-c", "cat; echo oops >&2; exit 9", content=content)
    assert (done.returncode, done.stdout, done.stderr) == (9, content, b"oops\n")
    done = called(
        dx, job, "-c", 'pwd; id -un; echo "$DX_JOB_ID $USER"; dx describe $DX_JOB_ID --name'
    )
    name = dx.site.describe(job)["name"]
    assert done.stdout.decode().splitlines() == [
        "/home/dnanexus",
        "dnanexus",
        f"{job} dnanexus",
        name,
    ]


def test_what_an_image_lacks_is_said_and_the_rest_works(dx: Dx) -> None:
    bare = running(dx, BARE)
    with console.running(entering(dx, bare, terminal=True), os.environ) as terminal:
        terminal.until(GREETING)
        terminal.until("no tmux for a terminal 1: plasmid image build")
        terminal.until(f"dnanexus@{bare}")
        terminal.type("exit 5\n")
        assert terminal.end()[0] == 5
    done = called(dx, bare, "--sftp")
    assert (done.returncode, done.stdout) == (127, b"")
    assert b"no openssh-sftp-server: plasmid image build" in done.stderr
    # its environment is what the job has made of it
    assert called(dx, bare, "-c", "id -un; exit 6").stdout == b"dnanexus\n"
    dx("terminate", bare)
