"""Writes what a job says also into files in its home folder, for who comes in (contract G.3).

Only for tries that somebody may come into, by SSH or because a failed one is held: `dx_stdout` and
`dx_stderr` have the bytes as they were written, with secrets masked. They are for looking, the log
is what is complete: each keeps its last megabytes, and of a flood parts are left out. A line says
so in both cases. What is copied at once, and how often, is so little that a job says as much in the
same time with it as without.

How far it has come is in the try's folder; the next worker goes on there.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import stat
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from plasmid.domain import assignments
from plasmid.engines import engine
from plasmid.worker import (
    inside,
    log_pump,
    masking,
    output_log,
    records,
    side_tasks,
    task_errors,
    try_folder,
)
from plasmid.worker.world import World

HOME: Final = "/home/dnanexus"
NAMES: Final = {"stdout": "dx_stdout", "stderr": "dx_stderr"}
LOOK_SECONDS: Final = 0.25
# What may begin a secret is shown when nothing has come for so long: it is no secret then.
QUIET_TURNS: Final = 8
TURN_BYTES_MAX: Final = 1 << 20
BEHIND_BYTES_MAX: Final = 8 << 20
# A file that has become so large is cut to half of that.
FILE_BYTES_MAX: Final = 16 << 20
MODE: Final = 0o644
_STATE: Final = "copied.json"


class _File(msgspec.Struct):
    """One of the files: its size, what waits as it may begin a secret, what was left out."""

    size: int = 0
    waiting: bytes = b""
    left_out: int = 0


class _State(msgspec.Struct):
    """How far the log was copied, and the files by their streams."""

    files: dict[str, _File]
    offset: int = 0


@contextlib.asynccontextmanager
async def kept(
    world: World,
    assignment: assignments.Assignment,
    sandbox: engine.Sandbox,
    *,
    folder: try_folder.TryFolder,
    pump: log_pump.LogPump,
) -> AsyncIterator[None]:
    """Keep the files for the time of the block, which may raise what it likes."""
    copy = OutputCopy(
        sandbox.log_path,
        sandbox.root,
        folder.path / _STATE,
        masker=pump.masker,
        hear=pump.hear,
        job=assignment.job,
    )
    is_wanted = bool(assignment.debug_on or assignment.job_description.get("allowSSH"))
    if is_wanted and not copy.is_resumed:
        copy.make_files()

    async def follow() -> None:
        if not is_wanted and not copy.is_resumed:
            held = assignments.HeldTry(assignment.job, assignment.attempt)
            await world.ssh.changed(held, None)
        await copy.follow()

    with task_errors.unwrapped():
        async with asyncio.TaskGroup() as group:
            following = group.create_task(side_tasks.guarded("copy_of_output", follow()))
            try:
                yield
            finally:
                following.cancel()


class OutputCopy:
    """The two files of one try."""

    def __init__(
        self,
        log: Path,
        root: Path,
        state: Path,
        *,
        masker: masking.Masker,
        hear: Callable[[], None],
        job: str,
    ) -> None:
        """Go on where the state says; `hear` has secrets registered that are known by now."""
        self._log = log
        self._root = root
        self._state_path = state
        self._masker = masker
        self._hear = hear
        self._job = job
        found = _read(state)
        self.is_resumed = found is not None
        self._state = found or _State({stream: _File() for stream in NAMES})
        # What a killed worker had written and not noted is written again, in its place.
        self._is_unsure = self.is_resumed
        self._quiet_turns = 0

    def make_files(self) -> None:
        """Have the files there, as they are before a job says anything."""
        for stream, each in self._state.files.items():
            with contextlib.suppress(OSError):
                file = _opened(self._root, f"{HOME}/{NAMES[stream]}")
                each.size = os.fstat(file).st_size
                os.close(file)
        self._save()

    async def follow(self) -> None:
        """Copy what is said, for ever."""
        source = os.open(self._log, os.O_RDONLY | os.O_CLOEXEC)
        try:
            while True:
                await self.turn(source)
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            os.close(source)

    async def turn(self, source: int) -> None:
        """Copy a little of what is new."""
        block = self._block(source)
        self._quiet_turns = 0 if block else self._quiet_turns + 1
        if not block and self._quiet_turns != QUIET_TURNS:
            return
        self._hear()
        if len(block) > output_log.SECRET_BYTES_MAX and self._masker.finds(block):
            block = block[: block.rfind(b"\n", 0, output_log.SECRET_BYTES_MAX) + 1]
        contents: dict[str, list[bytes]] = {}
        for stream, content in _contents(block):
            contents.setdefault(stream, []).append(content)
        writes = {}
        for stream, each in self._state.files.items():
            shown = self._shown(each, b"".join(contents.get(stream, [])))
            if each.left_out and (shown or not block):  # of which stream it was is not known
                shown, each.left_out = self._note(each.left_out, "here") + shown, 0
            if shown:
                writes[stream] = shown
        self._state.offset += len(block)
        if block or writes:
            await asyncio.to_thread(self._write, writes)

    def _block(self, source: int) -> bytes:
        """Return the next whole records; of what is too much, or gone, nothing."""
        size, offset = os.fstat(source).st_size, self._state.offset
        start = offset if size - offset <= BEHIND_BYTES_MAX else size - BEHIND_BYTES_MAX // 2
        with contextlib.suppress(OSError):  # there is nothing behind
            start = os.lseek(source, start, os.SEEK_DATA)
        if start > offset:  # else the record that holds this byte would be cut
            tail = os.pread(source, records.WINDOW_BYTES * 4, start)
            start += tail.find(b"\n") + 1
            for each in self._state.files.values():
                each.left_out += start - offset
                each.waiting = b""
            self._state.offset = start
        block = os.pread(source, TURN_BYTES_MAX, start)
        return block[: block.rfind(b"\n") + 1]

    def _shown(self, file: _File, content: bytes) -> bytes:
        """Return what can be shown now: a secret may be cut where the content ends.

        What waits for its rest is shown all the same when nothing has come for a while.
        """
        data = file.waiting + content
        whole = data.rfind(b"\n") + 1
        rest, file.waiting = data[whole:], b""
        shown = self._masker.mask(data[:whole])
        if self._quiet_turns or not rest:
            return shown + self._masker.mask(rest)
        until = max(0, len(rest) - self._masker.margin)
        begun, end, _ = self._masker.mask_before(rest, until)
        file.waiting = rest[end:]
        return shown + begun

    def _note(self, size: int, where: str) -> bytes:
        text = f"[{size} bytes of output are left out {where}: dx watch {self._job} has all of it]"
        return b"\n" + text.encode() + b"\n"

    # ------------------------------------------------------------------- in a thread of its own

    def _write(self, writes: dict[str, bytes]) -> None:
        if self._is_unsure:
            writes = dict.fromkeys(self._state.files, b"") | writes
        for stream, content in writes.items():
            try:
                file = _opened(self._root, f"{HOME}/{NAMES[stream]}")
            except OSError:
                continue  # the job has put something else there, or the disk is full
            try:
                self._append(file, self._state.files[stream], content)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                self._state.files[stream].left_out += len(content)
            finally:
                os.close(file)
        self._is_unsure = False
        self._save()

    def _append(self, file: int, noted: _File, content: bytes) -> None:
        """Add to a file, which the job may have changed; of a large one keep the second half."""
        size = os.fstat(file).st_size
        if self._is_unsure and size > noted.size:
            os.ftruncate(file, noted.size)
            size = noted.size
        if size + len(content) > FILE_BYTES_MAX:
            begin = max(0, size - FILE_BYTES_MAX // 2)
            last = os.pread(file, size - begin, begin)
            cut = last.find(b"\n") + 1
            content = self._note(begin + cut, "before this")[1:] + last[cut:] + content
            os.ftruncate(file, 0)
            size = 0
        while content:
            written = os.pwrite(file, content, size)
            size += written
            content = content[written:]
            noted.size = size

    def _save(self) -> None:
        half = self._state_path.with_suffix(".half")
        with contextlib.suppress(OSError):  # without room, the next worker copies some of it again
            opened = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(opened, "wb") as sink:
                sink.write(msgspec.json.encode(self._state))
            half.rename(self._state_path)


def _contents(block: bytes) -> Iterator[tuple[str, bytes]]:
    """Give what the streams said, in its order."""
    for run in records.runs(block, len(block)):
        stream = run.stream.decode("ascii", "replace")
        if stream in NAMES:
            said = [line[run.head_bytes :] for line in block[run.start : run.end].split(b"\n")]
            yield stream, b"\n".join([*said, b""]) if run.is_whole else b"".join(said)


def _opened(root: Path, path: str) -> int:
    """Return a file of a sandbox, open for reading and writing; made if there is none.

    Raises OSError for anything else that the job has put in its place.
    """
    *folders, name = path.strip("/").split("/")
    with inside.folder_below(root, folders) as folder:
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        try:
            file = os.open(name, flags, dir_fd=folder)
        except FileNotFoundError:
            file = os.open(name, flags | os.O_CREAT | os.O_EXCL, MODE, dir_fd=folder)
            with _closed_on_error(file):
                owner = os.fstat(folder)
                os.fchown(file, owner.st_uid, owner.st_gid)
                os.fchmod(file, MODE)
        with _closed_on_error(file):
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise OSError(errno.EINVAL, "no plain file", path)
    return file


@contextlib.contextmanager
def _closed_on_error(file: int) -> Iterator[None]:
    try:
        yield
    except OSError:
        os.close(file)
        raise


def _read(path: Path) -> _State | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_State)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
