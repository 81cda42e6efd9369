"""The jobs around a fault: started by a client that keeps what was acknowledged."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import random
from pathlib import Path
from typing import Any, Final

import msgspec

from tests.faults import ground, journal

CODE: Final = Path(__file__).with_name("job_code.sh")
TERMINAL: Final = frozenset({"done", "failed", "terminated"})
RESTARTS: Final = 5
# Each with a default of its own must be named: `*` does not change it.
REASONS: Final = ("*", "UnresponsiveWorker", "JMInternalError", "ExecutionError")
UPLOAD_BYTES_MAX: Final = 200_000


class Started(msgspec.Struct):
    """A job that was acknowledged to a client, and what is to become of it."""

    id: str
    run: int
    kind: str
    lines: int
    restarts: int = RESTARTS
    is_to_be: str = "done"


class Project:
    """A project with the one applet, for the runs of a batch."""

    def __init__(self, place: ground.Ground, kept: journal.Journal, *, instance: str) -> None:
        self.place = place
        self.kept = kept
        self._instance = instance
        self.id = self._new("/project/new", {"name": "faults"})
        self._applet = self._new("/applet/new", self._applet_spec())

    def _new(self, route: str, body: dict[str, Any]) -> str:
        return str(self.place.call(route, body | {"nonce": self.place.new_nonce()})["id"])

    def _applet_spec(self) -> dict[str, Any]:
        fields = [("kind", "string", "quick"), ("lines", "int", 20), ("hold", "int", 0)]
        inputs = [
            {"name": name, "class": kind, "default": default} for name, kind, default in fields
        ]
        inputs.append({"name": "after", "class": "int", "optional": True})
        return {
            "project": self.id,
            "name": "faults",
            "dxapi": "1.0.0",
            "inputSpec": inputs,
            "outputSpec": [{"name": "said", "class": "int"}, {"name": "made", "class": "record"}],
            "access": {"project": "CONTRIBUTE"},
            "runSpec": {
                "code": CODE.read_text(),
                "interpreter": "bash",
                "distribution": "Ubuntu",
                "release": "24.04",
                "version": "0",
                "restartableEntryPoints": "all",
                "systemRequirements": {"*": {"instanceType": self._instance}},
            },
        }

    def start(
        self,
        run: int,
        kind: str,
        *,
        lines: int = 20,
        hold: int = 0,
        restarts: int = RESTARTS,
        after: str = "",
    ) -> Started:
        """Start a job and keep its id; `after` is a job whose output it waits for."""
        given: dict[str, Any] = {"kind": kind, "lines": lines, "hold": hold}
        if after:
            given["after"] = {"$dnanexus_link": {"job": after, "field": "said"}}
        body = {
            "project": self.id,
            "input": given,
            "executionPolicy": {
                "restartOn": dict.fromkeys(REASONS, restarts),
                "maxRestarts": restarts,
            },
            "nonce": self.place.new_nonce(),
        }
        job = str(self.place.call(f"/{self._applet}/run", body)["id"])
        self.kept.add("job", id=job, run=run, kind=kind, lines=lines, restarts=restarts)
        ends = {"fails": "failed", "asks": "terminated"}.get(kind, "done")
        return Started(job, run, kind, lines, restarts, ends)

    def upload(self, run: int, rng: random.Random) -> str:
        """Upload a file and close it; what it holds is kept."""
        content = rng.randbytes(5 << 20 if rng.random() < 0.1 else rng.randint(1, UPLOAD_BYTES_MAX))
        file = self._new("/file/new", {"project": self.id, "name": f"upload-{run}"})
        md5 = hashlib.md5(content, usedforsecurity=False)
        told = self.place.call(
            f"/{file}/upload", {"index": 1, "size": len(content), "md5": md5.hexdigest()}
        )
        headers = {**told["headers"], "Content-Length": str(len(content))}
        headers["content-md5"] = base64.b64encode(md5.digest()).decode()
        self.place.put(told["url"], content, headers)
        self.place.call(f"/{file}/close")
        sha = hashlib.sha256(content).hexdigest()
        self.kept.add("upload", id=file, run=run, sha256=sha, project=self.id)
        return file

    def terminate(self, job: str) -> None:
        """Ask for a job's end."""
        with contextlib.suppress(ground.RefusedError):
            self.place.call(f"/{job}/terminate")

    def state(self, job: str) -> str:
        """Return a job's state."""
        answer = self.place.call(f"/{job}/describe", {"fields": {"state": True}})
        return str(answer["state"])


def start_shape(
    project: Project, run: int, shape: str, *, rng: random.Random, restarts: int = RESTARTS
) -> list[Started]:
    """Start the jobs of a shape; what waits for others comes after them."""
    if shape == "chain":
        first = project.start(run, "quick", lines=rng.randint(1, 60))
        return [first, project.start(run, "quick", lines=5, after=first.id)]
    if shape == "upload":
        project.upload(run, rng)
        return []
    hold = 1 if shape in ("talk", "daemon") else 0
    lines = rng.randint(30, 90) if shape == "talk" else rng.randint(0, 40)
    allowed = 1 if shape == "fails" else restarts
    kind = "quick" if shape == "talk" else shape
    return [project.start(run, kind, lines=lines, hold=hold, restarts=allowed)]
