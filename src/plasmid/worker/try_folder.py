"""The folder of one try on the worker's disk: all that the next worker needs to go on with it.

assignment.json   what to run, with the job's token
sandbox/          the engine's
log/              the two log sockets, seen inside at /opt/dnanexus/log
downloads/        bundled archives, by the ids of their files
layers.json       the keys of the layers that the sandbox is made of
image.json        the base image that it lies over
system.jsonl  priority.jsonl  bulk.jsonl   log lines
copied.json       how far its output was copied into its home folder
masked.json       values that the job has registered to be masked in its log
started           when the job's sandbox was started, in ms
unenforced.json   which limits of its instance type this machine cannot enforce
measured.json     what it has used so far
held              there if its failed sandbox is held for debugging
ssh_host_key      the private key with which its SSH server shows itself, and
ssh_port          the port where that was last
finished.json     how the try ended, until the platform has it
"""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import msgspec

from plasmid.domain import assignments, totals
from plasmid.worker import meter


class TryFolder:
    """Paths and marks of one try."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sandbox = path / "sandbox"
        self.log = path / "log"
        self.downloads = path / "downloads"

    @classmethod
    def create(cls, work_folder: Path, assignment: assignments.Assignment) -> TryFolder:
        """Make the folder of a new try and keep its assignment there."""
        folder = cls(path_of(work_folder, assignment.job, assignment.attempt))
        # Sandboxes reach `log` and `downloads` as users that are nobody here.
        folder.path.mkdir(mode=0o711, exist_ok=True)
        for inner in (folder.sandbox, folder.log, folder.downloads):
            inner.mkdir(mode=0o755, exist_ok=True)
        folder._put("assignment.json", msgspec.json.encode(assignment))
        return folder

    def assignment(self) -> assignments.Assignment | None:
        """Return what was to be run; None if the folder was not made to the end."""
        content = self._get("assignment.json")
        return None if content is None else _decoded(content, assignments.Assignment)

    def spool_path(self, name: str) -> Path:
        """Return where log lines of a source are kept."""
        return self.path / f"{name}.jsonl"

    def mark_started(self, now_ms: int) -> None:
        """Remember that the sandbox is being started now, also after a power cut.

        Else the platform would hand this try out again, and the job's code run twice in it. A mark
        that is there already keeps its time; whoever made it may have died before it was synced.
        """
        if self.started_ms() is None:
            self._put("started", str(now_ms).encode())
        for path in (self.path / "assignment.json", self.path / "started"):
            _make_last(path)
        _make_last(self.path)
        _make_last(self.path.parent)

    def started_ms(self) -> int | None:
        """Return when the sandbox was started; None if it never was."""
        content = self._get("started")
        return int(content) if content else None

    def mark_held(self) -> bool:
        """Remember that the sandbox is held; says whether that is new."""
        is_new = self._get("held") is None
        self._put("held", b"")
        return is_new

    def is_held(self) -> bool:
        """Say whether the sandbox is held, or was."""
        return (self.path / "held").exists()

    def keep_measured(self, state: meter.State) -> None:
        """Remember what the try has used so far."""
        self._put("measured.json", msgspec.json.encode(state))

    def measured(self) -> meter.State | None:
        """Return what the try had used when that was last kept; None if it never was."""
        content = self._get("measured.json")
        return None if content is None else _decoded(content, meter.State)

    def usage(self) -> totals.Totals | None:
        """Return what the try has used in all, as far as that was kept."""
        state = self.measured()
        return None if state is None else meter.totals_of(state)

    def keep_layers(self, keys: list[str]) -> None:
        """Remember which layers the sandbox is made of."""
        self._put("layers.json", msgspec.json.encode(keys))

    def layers(self) -> list[str]:
        """Return which layers the sandbox is made of."""
        content = self._get("layers.json")
        return [] if content is None else _decoded(content, list[str]) or []

    def keep_image(self, name: str, digest: str) -> None:
        """Remember which base image the sandbox lies over."""
        self._put("image.json", msgspec.json.encode(assignments.Ran(name, digest)))

    def ran(self) -> assignments.Ran | None:
        """Return on what the try runs; None before its base image was found."""
        content = self._get("image.json")
        found = None if content is None else _decoded(content, assignments.Ran)
        return None if found is None else msgspec.structs.replace(found, layers=self.layers())

    def keep_unenforced(self, reasons: list[str]) -> None:
        """Remember which limits the sandbox does not have."""
        if reasons:
            self._put("unenforced.json", msgspec.json.encode(reasons))

    def unenforced(self) -> list[str]:
        """Return which limits the sandbox does not have, one reason each."""
        content = self._get("unenforced.json")
        return [] if content is None else _decoded(content, list[str]) or []

    def keep_masked(self, values: list[str]) -> None:
        """Remember the values that the job has registered to be masked."""
        self._put("masked.json", msgspec.json.encode(values))

    def masked(self) -> list[str]:
        """Return the values that the job has registered to be masked."""
        content = self._get("masked.json")
        return [] if content is None else _decoded(content, list[str]) or []

    def keep_finished(self, finished: assignments.Finished) -> None:
        """Remember how the try ended."""
        self._put("finished.json", msgspec.json.encode(finished))

    def finished(self) -> assignments.Finished | None:
        """Return how the try ended; None while that is not known."""
        content = self._get("finished.json")
        return None if content is None else _decoded(content, assignments.Finished)

    def keep_ssh_host_key(self, key: bytes) -> None:
        """Remember with which private key its SSH server shows itself."""
        self._put("ssh_host_key", key)

    def ssh_host_key(self) -> bytes | None:
        """Return with which private key its SSH server shows itself; None if it has none."""
        return self._get("ssh_host_key")

    def keep_ssh_port(self, port: int) -> None:
        """Remember at which port its SSH server is."""
        self._put("ssh_port", str(port).encode())

    def ssh_port(self) -> int:
        """Return at which port its SSH server was last; 0 if nowhere."""
        return int(self._get("ssh_port") or 0)

    def empty_sandbox(self) -> None:
        """Make the engine's folder as it was at first; nothing may be mounted there."""
        shutil.rmtree(self.sandbox, ignore_errors=True)
        self.sandbox.mkdir(mode=0o755, exist_ok=True)

    def remove(self) -> None:
        """Remove the folder and all in it."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _put(self, name: str, content: bytes) -> None:
        """Write a file whole or not at all."""
        half = self.path / f"{name}.half"
        opened = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(opened, "wb") as sink:
            sink.write(content)
        half.rename(self.path / name)

    def _get(self, name: str) -> bytes | None:
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError:
            return None


def _make_last(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _decoded(content: bytes, kind: type[Any]) -> Any:
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.DecodeError:
        return None


def path_of(work_folder: Path, job: str, attempt: int) -> Path:
    """Return where the folder of a try is, or would be."""
    return work_folder / f"{job}.{attempt}"


def is_full(error: OSError) -> bool:
    """Say whether an error means that the disk has no room."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def no_space(work_folder: Path) -> str:
    """Return the line that says so, and what to do."""
    return (
        f"the disk of the work folder {work_folder} has no space left: free some, and run the job "
        "again"
    )


def find_all(work_folder: Path) -> list[TryFolder]:
    """Return the folders of all tries that an earlier worker has left."""
    return [TryFolder(path) for path in sorted(work_folder.iterdir()) if path.is_dir()]
