"""The platform under test: its real processes, kept running, on a disk whose power can be cut."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from plasmid.cli.processes import holder_of
from plasmid.telemetry import failpoints
from tests import stand_in
from tests.faults import disk, processes

ROOT: Final = Path(__file__).resolve().parents[2]
SEEDED: Final = Path(__file__).with_name("seeded")
START_SECONDS_MAX: Final = 120.0
CALL_SECONDS_MAX: Final = 120.0
LEASE_SECONDS: Final = 3.0
# Small enough that many jobs run side by side on any machine, at a rate no person makes.
OPTIONS: Final = {
    "PLASMID_JOBS_MEMORY_BYTES": str(1 << 40),
    "PLASMID_JOBS_RUNNING_MAX": "8",
    "PLASMID_JOBS_FIT": "true",
    "PLASMID_JOBS_LEASE_MS": str(int(LEASE_SECONDS * 1000)),
    "PLASMID_JOBS_DISK_LIMIT": "off",
    "PLASMID_CONTAINERS_ALLOW": "never",
}


class RefusedError(Exception):
    """The API has refused a call for good."""

    def __init__(self, status: int, error: Mapping[str, Any]) -> None:
        super().__init__(f"{status} {error.get('type')}: {error.get('message')}")
        self.status = status
        self.type = error.get("type")


class Ground:
    """`plasmid serve` with its worker, started again whenever it dies, and armed through a file."""

    def __init__(self, images: Path, *, bug: str = "") -> None:
        self.home = Path(tempfile.mkdtemp(prefix="plasmid-faults-"))
        self.home.chmod(0o711)
        (self.home / "images").symlink_to(images)
        (self.home / "plasmid.toml").write_text(stand_in.CONFIG)
        # The code as it is now: it may be worked on while a campaign runs.
        self._sources = self.home / "src"
        leave_out = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "src", self._sources, ignore=leave_out)
        self.marks = self.home / "marks"
        self.marks.mkdir()
        self.armed = self.home / "armed"
        self.disk = disk.Disk(self.home / "disk.img", self.home / "disk")
        self.data = self.home / "disk" / "data"
        self.ended_unasked: list[str] = []
        self.url = ""
        self._bug = bug
        self.port = 0
        self._closing = threading.Event()
        self._may_run = threading.Event()
        self._may_run.set()
        self._process: subprocess.Popen[bytes] | None = None
        self._keeper = threading.Thread(target=self._keep, name="keeper")
        self._mine = threading.local()
        self._connections: list[http.client.HTTPConnection] = []

    def open(self) -> None:
        """Make the disk and start."""
        self.disk.make()
        self._keeper.start()
        self.wait_served()
        self.keys = json.loads((self.data / "keys.json").read_text())

    def environ(self) -> dict[str, str]:
        """Return the environment of the platform's commands."""
        made = {k: v for k, v in os.environ.items() if not k.startswith(("PLASMID_", "DX_"))}
        paths = [str(self._sources), *([str(SEEDED)] if self._bug else [])]
        made |= {
            **OPTIONS,
            "PLASMID_HOME": str(self.home),
            "PYTHONPATH": os.pathsep.join(paths),
            failpoints.VARIABLE: f"@{self.armed}",
            failpoints.MARK_VARIABLE: str(self.marks),
        }
        if self._bug:
            made["FAULTS_BUG"] = self._bug
        return made

    def command(self, *words: str) -> list[str]:
        """Return a command of the platform on this data folder."""
        return [sys.executable, "-P", "-m", "plasmid", *words, "--data", str(self.data)]

    def _keep(self) -> None:
        while not self._closing.is_set():
            self._may_run.wait()
            if self._closing.is_set():
                return
            with (self.home / "serve.log").open("ab") as log:
                process = subprocess.Popen(
                    self.command("serve", "--port", str(self.port)),
                    env=self.environ(),
                    stdout=log,
                    stderr=log,
                )
            self._process = process
            code = process.wait()
            if code != -signal.SIGKILL and not self._closing.is_set():
                self.ended_unasked.append(f"the server ended by itself with code {code}")
                processes.pause(0.2)

    def wait_served(self) -> None:
        """Return once the server that runs now has said where it listens, and answers."""

        def says() -> bool:
            with contextlib.suppress(OSError, ValueError):
                told = json.loads((self.data / "server.json").read_text())
                if self._process is not None and told["pid"] == self._process.pid:
                    self.url = told["url"]
                    self.port = int(self.url.rpartition(":")[2])
                    return True
            return False

        processes.until(says, START_SECONDS_MAX, "the server starts")

    def server_pid(self) -> int | None:
        """Return the pid of the server: API and dispatcher are one process."""
        return holder_of(self.data / "lock")

    def worker_pid(self) -> int | None:
        """Return the pid of the worker that has the work folder."""
        return holder_of(self.data / "work" / "worker.lock")

    def wait_replaced(self, server: int | None, worker: int | None) -> None:
        """Return once there are a server and a worker that are not these."""

        def replaced() -> bool:
            now = self.server_pid(), self.worker_pid()
            return None not in now and now[0] != server and now[1] != worker

        processes.until(replaced, START_SECONDS_MAX, "server and worker are there again")
        if server is not None:
            self.wait_served()

    def arm(self, text: str) -> None:
        """Let a failpoint fire once, from now on."""
        self.mark_of(text).unlink(missing_ok=True)
        fresh = self.armed.with_suffix(".new")
        fresh.write_text(text)
        fresh.rename(self.armed)

    def disarm(self) -> None:
        """Let no failpoint fire."""
        self.armed.unlink(missing_ok=True)

    def mark_of(self, text: str) -> Path:
        """Return where a failpoint leaves its mark when it fires."""
        return self.marks / text.replace("/", "_")

    def call(
        self, route: str, body: Any = None, *, token: str = "", seconds: float = CALL_SECONDS_MAX
    ) -> Any:
        """Call the API as a patient client does: again, with the same nonce, until it answers.

        Raises RefusedError for an answer that another call would not better.
        """
        content = json.dumps({} if body is None else body).encode()
        headers = {
            "Authorization": f"Bearer {token or self.keys['user_token']}",
            "Content-Type": "application/json",
        }
        deadline = time.monotonic() + seconds
        while True:
            status, answer = self._ask("POST", route, content=content, headers=headers)
            if status == 200:
                return json.loads(answer)
            if status and status < 500 and status != 429:
                raise RefusedError(status, json.loads(answer)["error"])
            if time.monotonic() > deadline:
                raise processes.TooLateError(f"{route}: no answer within {seconds} s ({status})")
            processes.pause(0.02)

    def put(self, url: str, content: bytes, headers: dict[str, str]) -> None:
        """Put the bytes of a part, again until they are taken."""
        deadline = time.monotonic() + CALL_SECONDS_MAX
        while True:
            status, answer = self._ask("PUT", self._path(url), content=content, headers=headers)
            if status == 200:
                return
            if status and status < 500 and status != 429:
                raise RefusedError(status, json.loads(answer)["error"])
            if time.monotonic() > deadline:
                raise processes.TooLateError("a part could not be put")
            processes.pause(0.02)

    def get(self, url: str) -> bytes:
        """Return what is behind a URL of ours."""
        deadline = time.monotonic() + CALL_SECONDS_MAX
        while True:
            status, answer = self._ask("GET", self._path(url), content=b"", headers={})
            if status in (200, 206):
                return answer
            if time.monotonic() > deadline or 400 <= status < 500:
                raise RefusedError(status, {"message": answer.decode(errors="replace")})
            processes.pause(0.05)

    @staticmethod
    def _path(url: str) -> str:
        return "/" + url.split("/", 3)[3]

    def _ask(
        self, verb: str, path: str, *, content: bytes, headers: dict[str, str]
    ) -> tuple[int, bytes]:
        """Return status and content of one try; status 0 when there was no whole answer."""
        connection = getattr(self._mine, "connection", None)
        if connection is None or connection.port != self.port:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
            self._mine.connection = connection
            self._connections.append(connection)
        try:
            connection.request(verb, path, content, headers)
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            return 0, b""

    def cut_power(self, when_off: float = 0.0) -> None:
        """Cut the disk's power, let all processes vanish, and start again from what is on disk."""
        self._may_run.clear()
        try:
            self.disk.cut()
            self._vanish()
            self.disk.unmount()
            processes.pause(when_off)
            self.disk.mount()
        finally:
            self._may_run.set()

    def _vanish(self) -> None:
        """End every process, group and mount of the platform, as the end of the machine does."""
        below = f"{self.data}/work/"
        places = self.disk.mounts_below()
        names = {place.removeprefix(below).split("/")[0] for place in places}

        def gone() -> bool:
            left = processes.naming(self.home)
            groups = processes.groups_named(names)
            for group in groups:
                with contextlib.suppress(OSError):
                    left += [int(pid) for pid in (group / "cgroup.procs").read_text().split()]
            for pid in left:
                processes.send(pid, signal.SIGKILL)
            for group in groups:
                with contextlib.suppress(OSError):
                    group.rmdir()
            return not left and not processes.groups_named(names)

        processes.until(gone, START_SECONDS_MAX, "everything is gone after the power cut")

    def new_nonce(self) -> str:
        """Return a nonce that nobody has used."""
        return uuid.uuid4().hex

    def close(self, *, keeps_folder: bool = False) -> None:
        """End everything; nothing of it is left on the machine but, if wanted, the folder."""
        self._closing.set()
        self.disarm()
        for connection in self._connections:
            connection.close()
        self._may_run.set()
        with contextlib.suppress(RuntimeError, processes.TooLateError):
            self._vanish()
        self._keeper.join(START_SECONDS_MAX)
        self._vanish()
        if keeps_folder and self.data.exists():
            leave_out = shutil.ignore_patterns("work", "blobs")
            shutil.copytree(self.data, self.home / "data-kept", ignore=leave_out)
        self.disk.unmount()
        self.disk.image.unlink()
        if not keeps_folder:
            shutil.rmtree(self.home)
