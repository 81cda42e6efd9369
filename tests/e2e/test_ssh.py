"""Logging in to jobs with the real dx and OpenSSH (contract H.1-H.6, reliability X12)."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import console, second_user
from tests.e2e.driver import DX, Dx, Site, lines_of, opened, until

pytestmark = pytest.mark.e2e

TINY = {"systemRequirements": {"*": {"instanceType": "mem1_hdd2_x1"}}}
# Listens at a port of its own, and waits.
CODE = "main() { echo working; echo served > index.html; python3 -m http.server 8000; }"
HERE = "127.0.0.1"
BYTES = os.urandom(5_000_000)
TAKEN_BACK = "Access by SSH was taken back."


@pytest.fixture(scope="module")
def site(images_folder: Path) -> Iterator[Site]:
    """A server of this module's own: it is killed and started again."""
    with opened(images_folder) as site:
        yield site


def configure(dx: Dx) -> None:
    """Make a key by `dx ssh_config` or have it use that which is there."""
    has_key = (dx.home / ".dnanexus_config" / "ssh_id").exists()
    with console.running([str(DX), "ssh_config"], dx.environ) as terminal:
        terminal.until("Pick")
        terminal.type("0\n")
        if not has_key:
            terminal.until("Enter passphrase")
            terminal.type("\n")
            terminal.until("again")
            terminal.type("\n")
        terminal.until("configured for use with SSH")


@pytest.fixture(scope="module")
def keyed(dx: Dx) -> Dx:
    """The client of a user whose account has a key."""
    (dx.home / ".dnanexus_config").mkdir(exist_ok=True)
    dx.environ["TERM"] = "xterm"
    configure(dx)
    return dx


@pytest.fixture(scope="module")
def applet(keyed: Dx) -> str:
    return keyed.applet(CODE, run=TINY)


@pytest.fixture(scope="module")
def job(keyed: Dx, applet: str) -> Iterator[str]:
    """A running job that lets in who comes from here."""
    job = keyed.id("run", applet, "-y", "--allow-ssh", HERE)
    wait_for_door(keyed, job)
    yield job
    keyed("terminate", job)


def wait_for_door(dx: Dx, job: str) -> dict[str, Any]:
    """Wait until a job's log says that there are logins, and return what describe says."""
    fields = dict.fromkeys(("state", "host", "sshPort", "sshHostKey", "allowSSH"), True)

    def there() -> dict[str, Any] | None:
        found = dx.site.describe(job, fields=fields)
        return found if found.get("host") else None

    return until(there) or {}


def options(dx: Dx, job: str, *, key: Path | None = None, user: str = "dnanexus") -> list[str]:
    """Return what `dx ssh` gives to ssh, also as scp and sftp take it."""
    found = wait_for_door(dx, job)
    known = dx.home / f"known-{job}"
    known.write_text(f"{job}.dnanex.us {found['sshHostKey']}\n")
    return [
        "-i", str(key or dx.home / ".dnanexus_config" / "ssh_id"), "-o", "IdentitiesOnly=yes",
        "-o", f"HostKeyAlias={job}.dnanex.us", "-o", f"UserKnownHostsFile={known}",
        "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes",
        "-o", f"Port={found['sshPort']}", "-o", f"User={user}",
    ]  # fmt: skip


def ran(*command: str, content: bytes = b"", cwd: Path | None = None) -> Any:
    return subprocess.run(
        command, input=content, capture_output=True, timeout=120, check=False, cwd=cwd
    )


def logged(dx: Dx, job: str, text: str) -> list[str]:
    """Wait until a line with a text is in a job's log, and return the lines that have it."""

    def there() -> list[str]:
        lines = dx.site.log(job, tail=False)
        return [line.msg for line in lines if text in line.msg]

    return until(there)


# -------------------------------------------------------------------------------- the account


def test_ssh_config_makes_a_key_and_the_account_has_it(keyed: Dx) -> None:
    kept = (keyed.home / ".dnanexus_config" / "ssh_id.pub").read_text()
    assert keyed.site.describe(keyed.user)["sshPublicKey"] == kept
    private = (keyed.home / ".dnanexus_config" / "ssh_id").read_text()
    body = {"sshPublicKey": private}
    with pytest.raises(Exception, match="Tried to put a private key in the sshPublicKey field"):
        keyed.call(f"/{keyed.user}/update", body)
    assert keyed.site.describe(keyed.user)["sshPublicKey"] == kept


# ------------------------------------------------------------------------------ who logs in


def test_dx_ssh_shows_the_job_and_gives_a_shell(keyed: Dx, job: str) -> None:
    with console.running([str(DX), "ssh", job], keyed.environ) as terminal:
        terminal.until("This is the DNAnexus Execution Environment", seconds=90)
        terminal.until("Project: test_ssh")
        terminal.until("The job is running in terminal 1.")
        terminal.until("OS version: ")
        terminal.until(f"dnanexus@{job}")
        terminal.type("echo I-am-$(whoami); echo size $(stty size)\n")
        terminal.until("I-am-dnanexus")
        terminal.until("size 23 100")
        terminal.resize(40, 120)
        terminal.type("while [ \"$(stty size)\" != '39 120' ]; do :; done; echo re''sized\n")
        terminal.until("resized")
        terminal.type("echo own-$(dx describe $DX_JOB_ID --json | jq -r .id)\n")
        terminal.until(f"own-{job}")
        terminal.type("exit\n")
        terminal.until("bash running")
        terminal.type("\x03")
        terminal.until("[exited]")
        terminal.until("dnanexus@job")
        terminal.type("exit\n")
        terminal.until("still running. Terminate now?")
        terminal.type("n\n")
        terminal.end()
    fingerprint = ran("ssh-keygen", "-lf", str(keyed.home / ".dnanexus_config" / "ssh_id.pub"))
    assert logged(
        keyed, job, f"SSH login from {HERE} (key {fingerprint.stdout.split()[1].decode()}"
    )


def test_a_command_has_clean_streams_and_its_exit_code(keyed: Dx, job: str) -> None:
    by_dx = keyed("ssh", job, "echo to-$(whoami)@$(hostname); exit 7", code=None)
    assert f"to-dnanexus@{job}" in by_dx.out
    ssh = ["ssh", *options(keyed, job), HERE]
    done = ran(*ssh, "cat; echo trouble >&2; exit 7", content=BYTES)
    assert (done.returncode, done.stdout == BYTES, done.stderr) == (7, True, b"trouble\n")
    ended_early = ran(*ssh, "head -c 3", content=BYTES)
    assert (ended_early.returncode, ended_early.stdout) == (0, BYTES[:3])
    killed = ran(*ssh, "kill -9 $$")
    assert killed.returncode == 128 + signal.SIGKILL


def test_what_the_job_says_is_in_files_of_its_home_folder(keyed: Dx, job: str) -> None:
    ssh = ["ssh", *options(keyed, job), HERE]
    said = f"bash running (job ID {job})\nworking\n".encode()
    until(lambda: ran(*ssh, "cat dx_stdout").stdout == said)
    asked = "curl -s --noproxy '*' localhost:8000/asked-for > /dev/null"
    until(lambda: ran(*ssh, f"{asked}; cat dx_stderr").stdout.count(b"/asked-for"))
    # None of it costs those into whom nobody comes.
    plain = keyed.run(keyed.applet("ls -A; echo listed", run=TINY))
    ended = keyed.site.ended(plain)
    assert "job_input.json" in ended.said("STDOUT")
    assert "dx_stdout" not in ended.said("STDOUT")


def test_only_the_language_comes_along_from_the_clients_environment(keyed: Dx, job: str) -> None:
    sent = [
        "-o",
        "SetEnv=LANG=de_DE.UTF-8 LC_ALL=C.UTF-8 LD_PRELOAD=/x DX_JOB_ID=job-x BASH_ENV=/x",
    ]
    done = ran("ssh", *options(keyed, job), *sent, HERE, "env")
    seen = done.stdout.decode().splitlines()
    assert "LC_ALL=C.UTF-8" in seen
    assert f"DX_JOB_ID={job}" in seen
    assert not [line for line in seen if line.endswith("=/x")]


def test_files_go_in_and_out_by_scp_and_sftp(keyed: Dx, job: str, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(BYTES)
    with_options = options(keyed, job)
    for name, more in (("new", []), ("old", ["-O"])):
        there = f"{HERE}:{name}"
        for ends in (("in", there), (there, name)):
            done = ran("scp", *more, *with_options, *ends, cwd=tmp_path)
            assert done.returncode == 0, done.stderr.decode()
        assert (tmp_path / name).read_bytes() == BYTES
    batch = b"put in by-sftp\nget by-sftp out\nls /\nls /root\n"
    done = ran("sftp", *with_options, "-b", "-", HERE, content=batch, cwd=tmp_path)
    assert (tmp_path / "out").read_bytes() == BYTES
    assert b"plasmid" not in done.stdout  # the root that it sees is the job's
    where = ran("ssh", *with_options, HERE, "pwd; stat -c %U by-sftp")
    assert where.stdout == b"/home/dnanexus\ndnanexus\n"


def free_ports(count: int) -> list[int]:
    """Return ports that nobody has, and all of them different."""
    with contextlib.ExitStack() as held:
        found = [held.enter_context(socket.create_server((HERE, 0))) for _ in range(count)]
        return [int(each.getsockname()[1]) for each in found]


def test_a_port_of_the_job_is_forwarded_and_no_other(keyed: Dx, job: str) -> None:
    listening = socket.create_server((HERE, 0))
    mine, theirs, by_name, of_machine = free_ports(4)
    forwards = [
        f"{mine}:localhost:8000", f"{by_name}:{job}:8000", f"{theirs}:192.0.2.1:80",
        f"{of_machine}:localhost:{listening.getsockname()[1]}",
    ]  # fmt: skip
    command = [item for forward in forwards for item in ("-L", forward)]
    ssh = ["ssh", *options(keyed, job), "-N", *command, HERE]
    with listening, subprocess.Popen(ssh, stderr=subprocess.PIPE) as running:
        try:
            for port in (mine, by_name):
                until(lambda port=port: get(port) == b"served\n")  # type: ignore[misc]
            assert get(theirs) is None
            assert get(of_machine) is None
            listening.settimeout(0)
            with pytest.raises(BlockingIOError):
                listening.accept()
        finally:
            running.terminate()
            said = running.communicate()[1].decode()
    assert "only ports of the job itself are forwarded" in said


def get(port: int) -> bytes | None:
    """Return what is served at a port of this machine; None if nothing is."""
    with contextlib.closing(http.client.HTTPConnection(HERE, port, timeout=60)) as link:
        try:
            link.request("GET", "/index.html")
            return link.getresponse().read()
        except (OSError, http.client.HTTPException):
            return None


def test_nothing_is_forwarded_from_the_job_to_the_client(keyed: Dx, job: str) -> None:
    with_options = options(keyed, job)
    failing = ["-o", "ExitOnForwardFailure=yes", "-N", "-R"]
    for wanted in ("0:localhost:22", "/tmp/x.sock:localhost:22"):
        done = ran("ssh", *with_options, *failing, wanted, HERE)
        assert (done.returncode, b"forwarding failed" in done.stderr) == (255, True)
    seen = ran("ssh", *with_options, "-A", "-X", HERE, "echo ${SSH_AUTH_SOCK:-no} ${DISPLAY:-no}")
    assert seen.stdout == b"no no\n"


def test_no_socket_of_a_path_is_reached(keyed: Dx, job: str) -> None:
    (port,) = free_ports(1)
    forward = ["-L", f"{port}:/opt/dnanexus/log/bulk", HERE, "cat"]
    with subprocess.Popen(
        ["ssh", *options(keyed, job), *forward], stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        with socket.create_connection(until(lambda: reachable(port)) or (HERE, 0)) as link:
            assert link.recv(1) == b""
        said = running.communicate()[1].decode()
    assert "open failed" in said


def reachable(port: int) -> tuple[str, int] | None:
    """Return the address of a port of this machine once somebody listens there."""
    with contextlib.suppress(ConnectionRefusedError), socket.create_connection((HERE, port)):
        return (HERE, port)
    return None


# --------------------------------------------------------------------------- who does not


def test_others_are_refused(keyed: Dx, job: str, tmp_path: Path) -> None:
    other_key = tmp_path / "other"
    ran("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(other_key))
    bob, token = second_user.add_user(keyed.site, "bob")
    public = other_key.with_suffix(".pub").read_text()
    keyed.site.call(f"/{bob}/update", {"sshPublicKey": public}, token=token)
    keyed.call(f"/{keyed.project}/invite", {"invitee": bob, "level": "ADMINISTER"})
    for refused in (
        ran("ssh", *options(keyed, job, key=other_key), HERE, "id"),
        ran("ssh", *options(keyed, job, user="root"), HERE, "id"),
        ran("ssh", *options(keyed, job), "-o", "PubkeyAuthentication=no", HERE, "id"),
    ):
        assert (refused.returncode, refused.stdout) == (255, b"")
        assert b"Permission denied (publickey)" in refused.stderr
    elsewhere = ran("ssh", *options(keyed, job), "-b", "127.0.0.2", HERE, "id")
    assert (elsewhere.returncode, elsewhere.stdout) == (255, b"")
    assert b"Permission denied" not in elsewhere.stderr  # it was not even asked who it is
    assert logged(keyed, job, "An SSH connection from 127.0.0.2 was refused")
    found = wait_for_door(keyed, job)
    with (
        socket.create_connection((HERE, found["sshPort"]), source_address=("127.0.0.3", 0)) as link,
        contextlib.suppress(ConnectionResetError),
    ):
        assert link.recv(100) == b""


def test_a_storm_keeps_nobody_out(keyed: Dx, job: str) -> None:
    port = wait_for_door(keyed, job)["sshPort"]
    ssh = ["ssh", *options(keyed, job), HERE, "echo in"]
    with contextlib.ExitStack() as stack:
        storm = [stack.enter_context(socket.create_connection((HERE, port))) for _ in range(100)]
        until(lambda: ran(*ssh).stdout == b"in\n")

        def alive() -> int:
            return sum(is_open(link) for link in storm)

        until(lambda: alive() <= 20)
        until(lambda: ran(*ssh).stdout == b"in\n")


def is_open(link: socket.socket) -> bool:
    """Say whether the other side has not closed a connection."""
    link.settimeout(0)
    try:
        while link.recv(1000):
            pass
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


def test_the_host_key_is_that_of_describe(keyed: Dx, job: str) -> None:
    found = wait_for_door(keyed, job)
    shown = ran("ssh-keyscan", "-p", str(found["sshPort"]), HERE).stdout.decode()
    assert found["sshHostKey"] in shown
    assert re.fullmatch(r"ssh-ed25519 [A-Za-z0-9+/=]+", found["sshHostKey"])
    assert found["allowSSH"] == [HERE]


@contextlib.contextmanager
def session(dx: Dx, job: str) -> Iterator[console.Console]:
    """A session that has come to its prompt."""
    with console.running(["ssh", "-t", *options(dx, job), HERE, "bash -i"], dx.environ) as terminal:
        terminal.until("$ ")
        yield terminal


def test_what_is_taken_back_counts_for_open_sessions_too(keyed: Dx, job: str) -> None:
    with session(keyed, job) as terminal:
        keyed.call(f"/{job}/update", {"allowSSH": ["192.0.2.1"]})
        terminal.until(TAKEN_BACK)
        terminal.end()
    assert keyed.site.describe(job)["allowSSH"] == ["192.0.2.1"]
    # which allows this address again
    said = keyed("ssh", job, "echo again", code=None)
    assert "again" in said.out
    assert keyed.site.describe(job)["allowSSH"] == ["192.0.2.1", HERE]
    port = wait_for_door(keyed, job)["sshPort"]
    with session(keyed, job) as terminal:
        keyed("ssh_config", "--revoke")
        terminal.until(TAKEN_BACK)
        terminal.end()
    doors = {"fields": dict.fromkeys(("host", "sshPort", "sshHostKey"), True)}
    until(lambda: keyed.call(f"/{job}/describe", doors) == {})
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HERE, port), timeout=60)
    configure(keyed)
    until(lambda: ran("ssh", *options(keyed, job), HERE, "echo in").stdout == b"in\n")


# ------------------------------------------------------------------------------- ends


def test_a_session_outlives_the_server_and_a_login_the_worker(keyed: Dx, job: str) -> None:
    site = keyed.site
    before = wait_for_door(keyed, job)
    with session(keyed, job) as terminal:
        site.stop(signal.SIGKILL)
        terminal.type("echo with''out\n")
        terminal.until("without")
        site.start()
        keyed.call(f"/{job}/update", {"allowSSH": [HERE, "192.0.2.9"]})
        terminal.type("echo with''in\n")
        terminal.until("within")
        (worker,) = site.worker_pids()
        os.kill(worker, signal.SIGTERM)
        terminal.until("The worker of this job restarts: log in again in a moment.")
        terminal.end()
    again = ["ssh", *options(keyed, job), HERE, "echo in"]
    until(lambda: ran(*again).stdout == b"in\n")
    said = f"bash running (job ID {job})\nworking\n".encode()
    assert ran(*again[:-1], "cat dx_stdout").stdout == said
    after = wait_for_door(keyed, job)
    assert {name: after[name] for name in ("host", "sshPort", "sshHostKey")} == {
        name: before[name] for name in ("host", "sshPort", "sshHostKey")
    }


def test_a_failed_job_that_is_held_is_logged_in_to_and_ends_its_sessions(keyed: Dx) -> None:
    code = "main() { echo made > /tmp/left; echo last words >&2; printf 'Go on? '; exit 5; }"
    applet = keyed.applet(code, run=TINY)
    job = keyed.id("run", applet, "-y", "--debug-on", "AppInternalError")
    keyed.site.state(job, "debug_hold")
    with console.running([str(DX), "ssh", job], keyed.environ) as terminal:
        terminal.until(f"dnanexus@{job}")
        terminal.type("echo it-is-$(cat /tmp/left)\n")
        terminal.until("it-is-made")
        terminal.type("until grep last dx_stderr; do :; done\n")
        terminal.until("last words")
        terminal.type("until grep Go dx_stdout; do :; done\n")
        terminal.until("Go on?")
        keyed.call(f"/{job}/terminate")
        terminal.until(f"{job} was stopped, and this session with it.")
        terminal.end()
    keyed.site.state(job, "failed")
    described = keyed.site.describe(job)
    assert not {"host", "sshPort", "sshHostKey"} & set(described)
    assert described["allowSSH"] == [HERE]
    said = keyed("ssh", job, code=1)
    assert "terminal state failed" in said.text


def test_a_job_that_ends_says_so_to_its_sessions(keyed: Dx) -> None:
    applet = keyed.applet("main() { until [ -e /tmp/go ]; do :; done; }", run=TINY)
    job = keyed.id("run", applet, "-y", "--allow-ssh", HERE)
    with session(keyed, job) as terminal:
        terminal.type("touch /tmp/go\n")
        terminal.until(f"{job} has ended, and this session with it.")
        terminal.end()
    ended = keyed.site.ended(job)
    assert ended.state == "done"
    said = [line.msg for line in ended.log]
    assert lines_of(said, "Setting SSH public key: logins from 127.0.0.1")


def test_by_default_there_is_no_door(keyed: Dx, applet: str) -> None:
    job = keyed.run(applet)
    keyed.site.state(job, "running")
    logged(keyed, job, "working")
    described = keyed.site.describe(job)
    assert not {"allowSSH", "host", "sshPort", "sshHostKey"} & set(described)
    assert not (keyed.site.data / "work" / f"{job}.0" / "ssh_port").exists()
    keyed("terminate", job)
