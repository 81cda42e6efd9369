"""Named places in the life of a job at which tests make a process die, stop, wait or fail.

Nothing happens unless PLASMID_FAIL is set when the process starts. It holds failpoints, separated
by commas, of the form STEP:ACTION[:ARG][~TEXT][@N]:

    S4:kill         SIGKILL to this process
    S9:stop         SIGSTOP to this process: until somebody sends it SIGCONT
    S1:delay:250    wait, blocking, that many milliseconds
    S18:error       raise OSError (EIO)
    S1:kill~/run@3  only where the subject contains the text, and only the third such time

or `@FILE`, to read them anew from a file at each step, so that a running process can be armed.
Where PLASMID_FAIL_MARK names a folder, each failpoint leaves a mark there as it fires and never
fires while its mark is there, also not in the process that is started next.
"""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import msgspec


class Step(NamedTuple):
    """Where a step is reached, below `plasmid`, in which process, and what is true there."""

    module: str
    process: str
    meaning: str


SERVER: Final = "server"
WORKER: Final = "worker"

STEPS: Final[dict[str, Step]] = {
    "S0": Step("api/asgi.py", SERVER, "a request was read, nothing done"),
    "S1": Step("api/asgi.py", SERVER, "what a request wrote is committed, the reply not sent"),
    "S2": Step("executions/inputs.py", SERVER, "a job is about to wait for its input"),
    "S3": Step("dispatcher/place.py", SERVER, "a job is runnable and chosen, not leased"),
    "S4": Step("dispatcher/place.py", SERVER, "the lease is committed, the worker not told"),
    "S5": Step("worker/resident.py", WORKER, "the worker has kept its assignment"),
    "S6": Step("engines/oci.py", WORKER, "the sandbox's root is mounted, nothing else made"),
    "S7": Step("worker/making.py", WORKER, "the layers are there"),
    "S8": Step("engines/oci.py", WORKER, "the job's files are written, nothing runs yet"),
    "S9": Step("worker/steps/execute.py", WORKER, "the sandbox was started"),
    "S10": Step("worker/in_flight.py", WORKER, "lines of the running job are about to be sent"),
    "S11": Step("worker/run.py", WORKER, "the job's processes have ended, how is not kept"),
    "S12": Step("worker/run.py", WORKER, "how the try ended is kept on disk, not reported"),
    "S13": Step("blobs/folder.py", SERVER, "a part has been received, not synced or renamed"),
    "S14": Step("executions/settle.py", SERVER, "the output is checked, its objects not cloned"),
    "S15": Step("worker/run.py", WORKER, "the report is committed, the try's folder still there"),
    "S16": Step("executions/settle.py", SERVER, "workspaces are about to be removed"),
    "S17": Step("engines/oci_sandbox.py", WORKER, "a sandbox is half removed"),
    "S18": Step("logs/folder.py", SERVER, "lines are on disk, the worker not told"),
    "S19": Step("executions/restarts.py", SERVER, "a try was ended, the next not yet added"),
    "S20": Step("methods/job.py", SERVER, "a termination is written, not committed"),
    "S20w": Step("worker/resident.py", WORKER, "the worker is told to stop a try"),
}

VARIABLE: Final = "PLASMID_FAIL"
MARK_VARIABLE: Final = "PLASMID_FAIL_MARK"
_ACTIONS: Final = ("kill", "stop", "delay", "error")
_FORM: Final = re.compile(
    r"(?P<step>[^:~@]+):(?P<action>[^:~@]+)(:(?P<arg>[^:~@]*))?(~(?P<text>[^@]+))?(@(?P<nth>\d+))?"
)


class FailpointError(Exception):
    """PLASMID_FAIL cannot be read; the message says what is wrong with which part of it."""


class Failpoint(msgspec.Struct, frozen=True):
    """What happens at a step: `delay_ms` is for `delay` only, `nth` 0 means each time."""

    text: str
    step: str
    action: str
    delay_ms: int = 0
    subject: str = ""
    nth: int = 0


def parse(text: str) -> list[Failpoint]:
    """Return the failpoints of a value of PLASMID_FAIL; raises FailpointError for a bad one."""
    return [_parse_one(part.strip()) for part in text.split(",") if part.strip()]


def _parse_one(part: str) -> Failpoint:
    found = _FORM.fullmatch(part)
    if found is None:
        form = "STEP:ACTION[:ARG][~TEXT][@N]"
        raise FailpointError(f"{VARIABLE}: {part!r} is not of the form {form}")
    step, action, arg = found["step"], found["action"], found["arg"]
    if step not in STEPS:
        raise FailpointError(f"{VARIABLE}: no step {step!r}; there are {', '.join(STEPS)}")
    if action not in _ACTIONS:
        raise FailpointError(f"{VARIABLE}: no action {action!r}; there are {', '.join(_ACTIONS)}")
    if (action == "delay") != bool(arg) or (arg and not arg.isdecimal()):
        raise FailpointError(f"{VARIABLE}: {part!r}: `delay`, and nothing else, takes milliseconds")
    if found["nth"] is not None and int(found["nth"]) < 1:
        raise FailpointError(f"{VARIABLE}: {part!r}: @N counts from 1")
    return Failpoint(
        text=part,
        step=step,
        action=action,
        delay_ms=int(arg or 0),
        subject=found["text"] or "",
        nth=int(found["nth"] or 0),
    )


class Armed:
    """The failpoints of this process, given or read from a file, and how often each was met."""

    def __init__(self, text: str, marks: Path | None) -> None:
        self._file = Path(text[1:]) if text.startswith("@") else None
        self._current = [] if self._file is not None else parse(text)
        self._version = (0, 0)
        self._marks = marks
        self._met: dict[str, int] = {}

    def reach(self, step: str, job: str) -> None:
        """Do what the first failpoint of the step that is due says."""
        if self._file is not None:
            self._read_again(self._file)
        for each in self._current:
            if each.step == step and each.subject in job and self._is_due(each, job):
                _act(each)
                return

    def _read_again(self, file: Path) -> None:
        """Read the file if it is another than last time; then counting begins anew."""
        try:
            found = file.stat()
            version = (found.st_ino, found.st_mtime_ns)
            if version != self._version:
                self._current, self._version = parse(file.read_text()), version
                self._met.clear()
        except FileNotFoundError:
            self._current, self._version = [], (0, 0)

    def _is_due(self, each: Failpoint, job: str) -> bool:
        self._met[each.text] = self._met.get(each.text, 0) + 1
        if each.nth and self._met[each.text] != each.nth:
            return False
        return self._marks is None or _mark(self._marks, each, job)


def _mark(folder: Path, each: Failpoint, job: str) -> bool:
    """Leave the mark; False if it is there already."""
    path = folder / each.text.replace("/", "_")
    try:
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return False
    said = {"at_ms": time.time_ns() // 1_000_000, "pid": os.getpid(), "subject": job}
    with os.fdopen(opened, "w") as file:
        file.write(json.dumps(said))
    return True


def _act(each: Failpoint) -> None:
    if each.action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif each.action == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif each.action == "delay":
        time.sleep(each.delay_ms / 1000)
    else:
        raise OSError(errno.EIO, f"made to fail at {each.step}")


def armed(environ: Mapping[str, str]) -> Armed | None:
    """Return what an environment asks for; None if nothing. Raises FailpointError."""
    text = environ.get(VARIABLE, "")
    marks = environ.get(MARK_VARIABLE)
    return Armed(text, Path(marks) if marks else None) if text else None


def _armed_at_start() -> Armed | None:
    try:
        return armed(os.environ)
    except FailpointError as error:
        raise SystemExit(str(error)) from None


_armed: Final = _armed_at_start()


def reach(step: str, *, job: str = "") -> None:
    """Say that a step of STEPS is reached, for a job, call or other subject.

    Costs one test where nothing is armed; raises OSError where an `error` is.
    """
    if _armed is not None:
        _armed.reach(step, job)
