"""A real server with its worker, and the real client as a user: what these tests drive."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import urlsplit

from websockets.sync import client as websocket

from plasmid.cli import leftovers
from plasmid.cli.env import variables
from tests import stand_in
from tests.e2e import processes

T = TypeVar("T")

ROOT: Final = Path(__file__).resolve().parents[2]
DX: Final = Path(sys.executable).with_name("dx")
# Upper limits of waits, generous: they only say when to give up, on the slowest machine.
SECONDS_MAX: Final = 120.0
JOB_SECONDS_MAX: Final = 240.0
RELEASE: Final = {"distribution": "Ubuntu", "release": "24.04", "version": "0"}
# Small enough that many jobs run side by side on any machine.
OPTIONS: Final = {
    "PLASMID_JOBS_MEMORY_BYTES": str(1 << 40),
    "PLASMID_JOBS_RUNNING_MAX": "6",
    "PLASMID_JOBS_CORES_OVERCOMMIT": "0",
    "PLASMID_JOBS_FIT": "true",
}
_NO_PROXY: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_CALL: Final = re.compile(r"^>\d+ \[[\d.]+\] ([A-Z]+) https?://[^/ ]+(/\S*)", re.MULTILINE)
_ID: Final = re.compile(r"\b(file|project|container|applet|job|record|user)-[0-9A-Za-z_]+")


class Said(NamedTuple):
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """Both streams with the client's line breaks undone."""
        return " ".join((self.out + self.err).split())


class RefusedError(Exception):
    """The API has refused a call."""

    def __init__(self, status: int, error: Mapping[str, Any]) -> None:
        super().__init__(f"{status} {error['type']}: {error['message']}")
        self.status = status
        self.type = error["type"]
        self.message = error["message"]


class Line(NamedTuple):
    """One line of a job's log."""

    level: str
    source: str
    msg: str
    line: int


class Ended(NamedTuple):
    """A job that is over: what describes it, and its log."""

    describe: dict[str, Any]
    log: list[Line]

    @property
    def state(self) -> str:
        return str(self.describe["state"])

    @property
    def output(self) -> Any:
        return self.describe["output"]

    @property
    def why(self) -> str:
        return f"{self.describe.get('failureReason')}: {self.describe.get('failureMessage')}"

    def said(self, *levels: str) -> list[str]:
        """The messages of some levels; of the job's own output without the platform's lines."""
        wanted = levels or ("STDOUT",)
        found = [entry.msg for entry in self.log if entry.level in wanted]
        return [text for text in found if not text.endswith(f"(job ID {self.describe['id']})")]


def until(
    condition: Callable[[], T],
    seconds: float = SECONDS_MAX,
    *,
    story: Callable[[], str] | None = None,
) -> T:
    """Return the condition's result as soon as it is true; fail if that takes too long.

    What `story` gives then stands in the failure.
    """
    deadline = time.monotonic() + seconds
    nothing = threading.Event()
    while not (found := condition()):
        if time.monotonic() >= deadline:
            told = story() if story else ""
            raise AssertionError(f"still not so after {seconds} s\n{told}".rstrip())
        nothing.wait(0.03)
    return found


class Site:
    """`plasmid serve` on a free port, with a home of its own that has the machine's images."""

    def __init__(self, images: Path, *, options: Mapping[str, str] | None = None) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="plasmid-e2e-"))
        self.home.chmod(0o711)  # root inside is nobody out here and must reach its sandbox
        (self.home / "images").symlink_to(images)
        (self.home / "plasmid.toml").write_text(stand_in.CONFIG)
        self.data = self.home / "data"
        self.port = 0
        self.url = ""
        self._options = {**OPTIONS, **(options or {})}
        self._server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server, on the port it had before, and wait until it serves."""
        environ = {k: v for k, v in os.environ.items() if not k.startswith(("PLASMID_", "DX_"))}
        environ |= {"PLASMID_HOME": str(self.home), "PYTHONPATH": str(ROOT / "src")}
        # The output goes to a file: whoever is killed must not leave the others without a reader.
        with (self.home / "serve.log").open("ab") as log:
            self._server = subprocess.Popen(
                [sys.executable, "-P", "-m", "plasmid", "serve", "--port", str(self.port)],
                env=environ | self._options,
                stdout=log,
                stderr=log,
            )
        told = self.data / "server.json"

        def serves() -> bool:
            assert self.server.poll() is None, (self.home / "serve.log").read_text()
            return told.exists() and json.loads(told.read_text())["pid"] == self.server.pid

        until(serves)
        self.url = json.loads(told.read_text())["url"]
        self.port = int(self.url.rpartition(":")[2])
        self.keys = json.loads((self.data / "keys.json").read_text())

    @property
    def server(self) -> subprocess.Popen[bytes]:
        assert self._server is not None
        return self._server

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Stop the server and wait for its end."""
        self.server.send_signal(number)
        until(lambda: self.server.poll() is not None, story=self.story)

    def worker_pids(self) -> list[int]:
        """The pids of this server's worker: one, or none for a moment."""
        mark = f"worker --data {self.data}"
        return [
            int(line.split()[1].removesuffix(":"))
            for line in leftovers.find_processes("no-job", self.data)
            if mark in line
        ]

    def close(self, *, keeps_folder: bool = False) -> None:
        """End everything and check that nothing is left of it."""
        if self._server is not None:
            if self.server.poll() is not None and leftovers.find_tries(self.home):
                self.start()
            with contextlib.suppress(RefusedError, OSError):
                if self.url:  # else it has never served
                    self._terminate_all()
                until(lambda: not leftovers.find_tries(self.home), story=self.story)
            if self.server.poll() is None:
                self.stop()
            until(lambda: not self.worker_pids(), story=self.story)
        left = [
            entry
            for entry in leftovers.find(self.home, "no-job")
            if not (keeps_folder and entry.startswith("mount") and "sandbox" not in entry)
        ]
        if not keeps_folder:
            self.remove_folder()
        assert not left, left

    def story(self) -> str:
        """What the server and whoever works for it do right now, and what they said last."""
        said = (self.home / "serve.log").read_text(errors="replace").splitlines()
        lines = leftovers.find_processes("no-job", self.home)
        pids = [int(line.split()[1].removesuffix(":")) for line in lines]
        return "\n".join([*lines, *(processes.story(pid) for pid in pids), *said[-40:]])

    def remove_folder(self) -> None:
        """Delete the home, but never through a mount."""
        if not leftovers.find_mounts(self.home):
            shutil.rmtree(self.home)

    def _terminate_all(self) -> None:
        found = self.call("/system/findExecutions", {"describe": {"fields": {"state": True}}})
        over = {"done", "failed", "terminated"}
        for entry in found["results"]:
            if entry["describe"]["state"] not in over:
                self.call(f"/{entry['id']}/terminate")
                self.state(entry["id"], *over)

    def call(self, route: str, body: object = None, *, token: str | None = None) -> Any:
        """Call the API; raises RefusedError."""
        request = urllib.request.Request(
            self.url + route,
            data=json.dumps({} if body is None else body).encode(),
            headers={
                "Authorization": f"Bearer {token or self.keys['user_token']}",
                "Content-Type": "application/json",
            },
        )
        try:
            with _NO_PROXY.open(request, timeout=SECONDS_MAX) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                raise RefusedError(error.code, json.load(error)["error"]) from error

    def describe(self, entity: str, **options: Any) -> dict[str, Any]:
        found: dict[str, Any] = self.call(f"/{entity}/describe", options)
        return found

    def state(self, job: str, *wanted: str, seconds: float = JOB_SECONDS_MAX) -> str:
        """Wait for one of the states and return it."""

        def there() -> str | None:
            state = str(self.describe(job, fields={"state": True})["state"])
            return state if state in wanted else None

        return until(there, seconds) or ""

    def ended(self, job: str) -> Ended:
        """Wait for a job's end and return it with its log."""
        self.state(job, "done", "failed", "terminated")
        return Ended(self.describe(job), self.log(job))

    def log(self, job: str, *, tail: bool = True, **asked: Any) -> list[Line]:
        """The log of a job; with `tail`, of one that is not over, all to its end."""
        return [
            Line(told["level"], told["source"], told["msg"], told["line"])
            for told in self.frames(job, tail=tail, **asked)
        ]

    def frames(self, job: str, **asked: Any) -> Iterator[dict[str, Any]]:
        """The frames of the log's websocket, as they come."""
        url = self.url.replace("http:", "ws:") + f"/{job}/getLog/websocket"
        first = {"access_token": self.keys["user_token"], "token_type": "Bearer", "tail": True}
        with websocket.connect(url, proxy=None) as stream:
            stream.send(json.dumps(first | {"numRecentMessages": 262144, **asked}))
            while True:
                told = json.loads(stream.recv())
                if (told.get("source"), told.get("msg")) == ("SYSTEM", "END_LOG"):
                    return
                yield told


class Dx:
    """The real `dx` of one user, with a home and a project of its own."""

    def __init__(self, site: Site, home: Path, *, user: str = "", token: str = "") -> None:
        self.site = site
        self.home = home
        self.token = token or site.keys["user_token"]
        self.user = user or site.keys["user"]
        self.environ = {
            "HOME": str(home),
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            **variables(site.url, self.token, self.user),
        }

    @property
    def project(self) -> str:
        return self.environ["DX_PROJECT_CONTEXT_ID"]

    @property
    def username(self) -> str:
        """The user's id without its class."""
        return self.user.removeprefix("user-")

    def use(self, project: str) -> None:
        """Work in a project."""
        self.environ["DX_PROJECT_CONTEXT_ID"] = project

    def __call__(
        self,
        *arguments: str,
        code: int | None = 0,
        stdin: str = "",
        environ: Mapping[str, str] | None = None,
        seconds: float = SECONDS_MAX,
    ) -> Said:
        """Run a command; it must end with `code` (None: whatever)."""
        ran = subprocess.run(
            [str(DX), *arguments],
            env={**self.environ, **(environ or {})},
            cwd=self.home,
            input=stdin.encode(),
            capture_output=True,
            timeout=seconds,
            check=False,
        )
        said = Said(ran.returncode, ran.stdout.decode(), ran.stderr.decode())
        assert code is None or said.code == code, f"dx {' '.join(arguments)}\n{said.out}{said.err}"
        return said

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command and return the process; its streams are one pipe."""
        return subprocess.Popen(
            [str(DX), *arguments],
            env=self.environ | {"PYTHONUNBUFFERED": "1"},
            cwd=self.home,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def json(self, *arguments: str) -> Any:
        """What a command prints with --json."""
        return json.loads(self(*arguments, "--json").out)

    def id(self, *arguments: str) -> str:
        """What a command prints with --brief: one id."""
        return self(*arguments, "--brief").out.strip()

    def routes(self, *arguments: str) -> list[str]:
        """The calls that a command makes, ids cut down to their class."""
        said = self(*arguments, environ={"_DX_DEBUG": "1"})
        return routes_of(said.err)

    def call(self, route: str, body: object = None) -> Any:
        return self.site.call(route, body, token=self.token)

    def applet(
        self, code: str, *, interpreter: str = "bash", run: object = None, **fields: Any
    ) -> str:
        """Make an applet by the API; `run` adds to its runSpec."""
        spec = {"interpreter": interpreter, "code": code, **RELEASE, **dict(run or {})}  # type: ignore[call-overload]
        given = {"project": self.project, "name": "a", "dxapi": "1.0.0", "runSpec": spec, **fields}
        return str(self.call("/applet/new", given)["id"])

    def run(self, applet: str, **fields: Any) -> str:
        """Run an applet by the API."""
        given = {"project": self.project, "input": {}, **fields}
        return str(self.call(f"/{applet}/run", given)["id"])

    def ran(self, code: str, *, input: object = None, **fields: Any) -> Ended:
        """Make an applet, run it and return its end."""
        applet = self.applet(code, **fields)
        return self.site.ended(self.run(applet, input=input or {}))

    def upload(self, name: str, content: bytes | str) -> str:
        """Upload a file of that name with the client and return its id."""
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return self.id("upload", str(path), "--wait")

    def write_applet(self, name: str, files: Mapping[str, str], **dxapp: Any) -> Path:
        """Write an applet's folder: its dxapp.json and files, those in a bin folder executable."""
        folder = self.home / name
        spec = {"interpreter": "bash", "file": "src/code.sh", **RELEASE, **dxapp.pop("runSpec", {})}
        described = {"name": name, "dxapi": "1.0.0", "inputSpec": [], "outputSpec": []}
        whole = {"dxapp.json": json.dumps({**described, "runSpec": spec, **dxapp}), **files}
        for path, text in whole.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
            if target.parent.name == "bin":
                target.chmod(0o755)
        return folder

    def build(self, folder: Path, *options: str) -> str:
        """Build an applet's folder with the client and return the applet's id."""
        return str(json.loads(self("build", str(folder), "--brief", *options).out)["id"])


@contextlib.contextmanager
def opened(images: Path, *, config: str = "", **options: str) -> Iterator[Site]:
    """A server for the time of the block; nothing of it may be left afterwards.

    `config` is its plasmid.toml, `options` are variables.
    """
    site = Site(images, options=options)
    (site.home / "plasmid.toml").write_text(stand_in.added_to(config))
    try:
        site.start()
        yield site
    finally:
        site.close()


def user(site: Site, home: Path, project: str) -> Dx:
    """The first user's client, in a new project of that name."""
    dx = Dx(site, home)
    dx.use(dx.call("/project/new", {"name": project})["id"])
    return dx


def ask_part(dx: Dx, file_id: str, content: bytes, *, index: int = 1) -> Any:
    """Ask for the place of a part and return the answer."""
    digest = hashlib.md5(content).hexdigest()
    body = {"index": index, "md5": digest, "size": len(content)}
    return dx.call(f"/{file_id}/upload", body)


def put(url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, str]:
    """Send a part and return status and answer; a client may do so badly."""
    parts = urlsplit(url)
    link = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=SECONDS_MAX)
    try:
        link.request("PUT", f"{parts.path}?{parts.query}", body, dict(headers))
        answer = link.getresponse()
        return answer.status, answer.read().decode()
    finally:
        link.close()


def routes_of(debug: str) -> list[str]:
    """The calls that a client's debug output tells of."""
    found = _CALL.findall(debug)
    return [_ID.sub(r"\1", path if verb == "POST" else f"{verb} {path}") for verb, path in found]


def file(file_id: str) -> dict[str, str]:
    """Return a link."""
    return {"$dnanexus_link": file_id}


def field(name: str, class_name: str, **more: Any) -> dict[str, Any]:
    """Return an entry of an input or output specification."""
    return {"name": name, "class": class_name, **more}


def lines_of(said: Sequence[str], start: str) -> list[str]:
    """Return what follows `start` in the lines that begin with it."""
    return [text.removeprefix(start) for text in said if text.startswith(start)]
