"""A served platform as the benchmarks drive it: plain HTTP, no client library in the way."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from plasmid.cli import env
from tests import stand_in

CODE = {
    "bash": "main() { :; }\n",
    "python3": 'import dxpy\n@dxpy.entry_point("main")\ndef main():\n    pass\n',
}
OVER = ("done", "failed", "terminated")


class Served:
    """A platform that was started for a benchmark."""

    def __init__(self, home: Path, environment: dict[str, str]) -> None:
        self.data = home / "data"
        self._environment = environment
        self.first_start_seconds = self.start_server()

    def start_server(self) -> float:
        """Start the server and return after how many seconds it answers a call."""
        command = [sys.executable, "-m", "plasmid", "serve", "--port", "0"]
        started = time.perf_counter()
        self._server = subprocess.Popen(command, env=self._environment, stdout=subprocess.DEVNULL)
        with contextlib.ExitStack() as undo:
            undo.callback(self.stop_server)
            found = _wait_for(self.data / "server.json")
            keys = json.loads((self.data / "keys.json").read_text(encoding="utf-8"))
            self.pid = self._server.pid
            self.url = found["url"]
            self.port = int(self.url.rpartition(":")[2])
            self.token = keys["user_token"]
            self.user = keys["user"]
            self._connection = http.client.HTTPConnection("127.0.0.1", self.port)
            self.call("/system/whoami", {})
            undo.pop_all()
        return time.perf_counter() - started

    def stop_server(self) -> None:
        """Stop the server as an operator does; jobs keep running."""
        self._server.send_signal(signal.SIGTERM)
        self._server.wait(timeout=60)

    def call(self, route: str, body: dict[str, Any]) -> Any:
        """Return the answer of one call."""
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"}
        self._connection.request("POST", route, json.dumps(body), headers)
        response = self._connection.getresponse()
        answer = json.loads(response.read())
        if response.status != 200:
            raise RuntimeError(f"{route}: {answer}")
        return answer

    def project(self) -> str:
        """Return a new project."""
        return str(self.call("/project/new", {"name": "bench"})["id"])

    def applet(self, project: str, interpreter: str) -> str:
        """Return an applet that does nothing."""
        spec = {"interpreter": interpreter, "code": CODE[interpreter], "distribution": "Ubuntu",
                "release": "24.04", "version": "0"}  # fmt: skip
        body = {"project": project, "name": "noop", "runSpec": spec, "inputSpec": [],
                "outputSpec": []}  # fmt: skip
        return str(self.call("/applet/new", body)["id"])

    def start(self, applet: str, project: str) -> str:
        """Start a job and return its id."""
        return str(self.call(f"/{applet}/run", {"input": {}, "project": project})["id"])

    def wait(self, job: str, *, every: float = 0.002) -> None:
        """Return when a job is done, looking every so many seconds; raises if it failed."""
        described = self.wait_over(job, every=every)
        if described["state"] != "done":
            raise RuntimeError(f"{job}: {described}")

    def wait_over(self, job: str, *, every: float = 0.002) -> dict[str, Any]:
        """Return how a job has ended when it has."""
        fields = {"fields": {"state": True, "failureMessage": True}}
        while True:
            described: dict[str, Any] = self.call(f"/{job}/describe", fields)
            if described["state"] in OVER:
                return described
            time.sleep(every)

    def terminate(self, job: str) -> None:
        """End a job, and return when nothing of it is left."""
        self.call(f"/{job}/terminate", {})
        self.wait_over(job)
        while list((self.data / "work").glob(f"{job}.*")):
            time.sleep(0.02)

    def job_seconds(self, applet: str, project: str) -> float:
        """Return how long one job takes, from the run call to done."""
        started = time.perf_counter()
        self.wait(self.start(applet, project))
        return time.perf_counter() - started

    def many_seconds(self, applet: str, project: str, count: int) -> float:
        """Return how long `count` jobs take that are started at once."""
        started = time.perf_counter()
        for job in [self.start(applet, project) for _ in range(count)]:
            self.wait(job)
        return time.perf_counter() - started

    def command_seconds(self, target: Path, *words: str) -> float:
        """Return how long a command of `plasmid` takes whose output goes to a file."""
        command = [sys.executable, "-m", "plasmid", *words]
        variables = env.variables(self.url, self.token, self.user)
        started = time.perf_counter()
        with target.open("wb") as sink:
            subprocess.run(command, env=self._environment | variables, stdout=sink, check=True)
        took = time.perf_counter() - started
        target.unlink()
        return took

    def rss_bytes(self) -> int:
        """Return the server's resident memory."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8")
        line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) * 1024


@contextlib.contextmanager
def served(
    scratch: Path, images: Path, *, jobs_max: int, settings: Mapping[str, str] | None = None
) -> Iterator[Served]:
    """Start `plasmid serve` on a new folder, and stop it at the end.

    `settings` are further variables of its environment.
    """
    home = scratch / f"home-{jobs_max}"
    home.mkdir()
    (home / "images").symlink_to(images)
    (home / "plasmid.toml").write_text(stand_in.CONFIG, encoding="utf-8")
    environment = {
        **os.environ,
        "PLASMID_HOME": str(home),
        "PLASMID_JOBS_RUNNING_MAX": str(jobs_max),
        **(settings or {}),
    }
    platform = Served(home, environment)
    try:
        yield platform
    finally:
        platform.stop_server()
        shutil.rmtree(home)


def _wait_for(path: Path) -> Any:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
            return json.loads(path.read_text(encoding="utf-8"))
        time.sleep(0.02)
    raise TimeoutError(f"{path} did not appear: the server did not start")
