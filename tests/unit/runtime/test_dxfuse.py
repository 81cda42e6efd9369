"""dxfuse: what the kernel is answered, and that a byte is right or refused."""

from __future__ import annotations

import errno
import importlib
import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.runtime import inside_out

BLOCK = 2 << 20
HEAD = struct.Struct("=IIQQIIII")


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The two modules, as they import each other inside."""
    monkeypatch.syspath_prepend(str(inside_out.RUNTIME))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield importlib.import_module("platform_files")
    for name in ("platform_files", "fuse_kernel"):
        sys.modules.pop(name, None)


class Kernel:
    """Asks a file system as the kernel does, and keeps what it answers."""

    def __init__(self, runtime: Any, files: dict[str, bytes]) -> None:
        self.fuse = sys.modules["fuse_kernel"]
        root = self.fuse.Node()
        for path, content in files.items():
            *folders, name = path.split("/")
            top = runtime._folder(root, "/".join(folders))
            runtime._add(top, name, self.fuse.Node(size=len(content), source=content))
        self.file_system = self.fuse.FileSystem(root, self.read, uid=5, gid=6)
        self.read_error: OSError | None = None

    def read(self, source: bytes, offset: int, size: int) -> bytes:
        if self.read_error is not None:
            raise self.read_error
        return source[offset : offset + size]

    def ask(self, opcode: int, node: int, body: bytes = b"") -> tuple[int, bytes]:
        """Return (errno, content) of the answer; (-1, b"") if there is none."""
        request = HEAD.pack(HEAD.size + len(body), opcode, 77, node, 0, 0, 0, 0) + body
        read_end, self.file_system.device = os.pipe()
        with os.fdopen(read_end, "rb") as answers:
            self.file_system.answer(request)
            os.close(self.file_system.device)
            answer = answers.read()
        if not answer:
            return -1, b""
        size, code, unique = struct.unpack_from("=IiQ", answer)
        assert (size, unique) == (len(answer), 77)
        return -code, answer[16:]

    def look_up(self, path: str) -> int:
        node = 1
        for name in path.split("/"):
            code, content = self.ask(1, node, name.encode() + b"\0")
            assert code == 0
            (node,) = struct.unpack_from("=Q", content)
        return node

    def cat(self, path: str, offset: int, size: int) -> tuple[int, bytes]:
        body = struct.pack("=QQIIQII", 0, offset, size, 0, 0, 0, 0)
        return self.ask(15, self.look_up(path), body)


@pytest.fixture
def kernel(runtime: Any) -> Kernel:
    files = {"a.txt": b"0123456789", "in/seq/0/b.txt": b"deep", "empty": b""}
    return Kernel(runtime, files)


def test_a_file_is_read_to_its_end_and_not_beyond(kernel: Kernel) -> None:
    assert kernel.cat("a.txt", 0, 4096) == (0, b"0123456789")
    assert kernel.cat("a.txt", 8, 4096) == (0, b"89")
    assert kernel.cat("a.txt", 10, 4096) == (0, b"")
    assert kernel.cat("a.txt", 999, 1) == (0, b"")
    assert kernel.cat("in/seq/0/b.txt", 1, 2) == (0, b"ee")
    assert kernel.cat("empty", 0, 1) == (0, b"")


def test_what_cannot_be_read_is_an_error(kernel: Kernel) -> None:
    kernel.read_error = OSError(errno.EIO, "gone")
    assert kernel.cat("a.txt", 0, 4) == (errno.EIO, b"")


def test_fewer_bytes_than_promised_are_an_error(kernel: Kernel) -> None:
    kernel.file_system.read = lambda source, offset, size: source[offset : offset + size - 1]
    assert kernel.cat("a.txt", 0, 4) == (errno.EIO, b"")


def test_names_sizes_modes_and_owners_are_told(kernel: Kernel) -> None:
    code, content = kernel.ask(3, kernel.look_up("a.txt"))
    numbers = struct.unpack_from("=6Q10I", content, 16)
    assert (code, numbers[1], oct(numbers[9]), numbers[11:13]) == (0, 10, "0o100444", (5, 6))
    assert kernel.ask(1, 1, b"nosuch\0") == (errno.ENOENT, b"")
    assert kernel.ask(1, kernel.look_up("a.txt"), b"x\0") == (errno.ENOENT, b"")
    assert kernel.ask(3, 999) == (errno.ENOENT, b"")


def test_a_folder_is_listed_whole_however_small_the_room(kernel: Kernel) -> None:
    found: list[str] = []
    offset = 0
    while True:
        body = struct.pack("=QQIIQII", 0, offset, 40, 0, 0, 0, 0)
        code, listing = kernel.ask(28, 1, body)
        assert code == 0
        if not listing:
            break
        _, offset, length, kind = struct.unpack_from("=QQII", listing)
        found.append(f"{listing[24 : 24 + length].decode()} {kind}")
    assert found == [". 4", ".. 4", "a.txt 8", "empty 8", "in 4"]


@pytest.mark.parametrize("opcode", [4, 8, 9, 10, 11, 12, 13, 16, 21, 22, 35, 43, 4096])
def test_nothing_else_is_offered(kernel: Kernel, opcode: int) -> None:
    assert kernel.ask(opcode, 1, b"x\0y\0") == (errno.ENOSYS, b"")


def test_what_needs_no_answer_gets_none_and_what_is_cut_off_an_error(kernel: Kernel) -> None:
    assert kernel.ask(2, 1, b"\0" * 8) == (-1, b"")
    assert kernel.ask(36, 0, b"\0" * 8) == (-1, b"")
    assert kernel.ask(15, 1, b"\0") == (errno.EIO, b"")


class File:
    """A file of the platform, and what was asked of it."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.content = bytes(index * 7 % 251 for index in range(251)) * (size // 251 + 1)
        self.asked: list[tuple[int, int]] = []
        self.error: OSError | None = None

    def fetch(self, offset: int, size: int) -> bytes:
        self.asked.append((offset, size))
        if self.error is not None:
            raise self.error
        return self.content[offset : offset + size]


def test_blocks_are_fetched_once_and_never_beyond_the_end(runtime: Any) -> None:
    file = File(2 * BLOCK + 5)
    blocks = runtime.Blocks()
    for offset, size in ((0, 10), (BLOCK - 3, 6), (2 * BLOCK, 5), (0, file.size)):
        assert blocks.read(file, offset, size) == file.content[offset : offset + size]
    assert sorted(set(file.asked)) == [(0, BLOCK), (BLOCK, BLOCK), (2 * BLOCK, 5)]
    assert len(file.asked) == 3


def test_a_block_that_failed_is_refused_for_a_while_and_then_fetched_again(
    runtime: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(runtime.time, "monotonic", lambda: now[0])
    file, blocks = File(100), runtime.Blocks()
    file.error = OSError(errno.ECONNREFUSED, "gone")
    for _ in range(3):
        with pytest.raises(OSError, match="gone") as raised:
            blocks.read(file, 0, 10)
        assert raised.value.errno == errno.EIO
    assert len(file.asked) == 1
    file.error = None
    now[0] += runtime.REFUSAL_SECONDS + 1
    assert blocks.read(file, 0, 10) == file.content[:10]


class Platform:
    """Answers downloads with what a test says."""

    def __init__(self) -> None:
        self.addresses = 0

    def call_once(self, route: str, body: object) -> dict[str, Any]:
        self.addresses += 1
        return {"url": f"http://127.0.0.1/{self.addresses}", "headers": {"X": "1"}}


class Answer:
    def __init__(self, content_range: str) -> None:
        self.content_range = content_range

    def getheader(self, name: str) -> str:
        return self.content_range


@pytest.fixture
def fetch(runtime: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., bytes]:
    """Fetch bytes 10 to 13 of a file of 100, answered by (status, content, range) one by one."""
    monkeypatch.setattr(runtime, "PAUSES_SECONDS", (0, 0, 0))

    def fetching(*answers: tuple[int, bytes, str] | OSError) -> bytes:
        waiting = list(answers)

        def request(*_: object) -> tuple[int, bytes, Answer]:
            answer = waiting.pop(0) if len(waiting) > 1 else waiting[0]
            if isinstance(answer, OSError):
                raise answer
            return answer[0], answer[1], Answer(answer[2])

        monkeypatch.setattr(runtime, "request", request)
        source = runtime.Source(Platform(), "file-1", None, 100)
        return bytes(source.fetch(10, 4))

    return fetching


RIGHT = (206, b"abcd", "bytes 10-13/100")


def test_a_right_answer_is_taken_whatever_came_before(fetch: Callable[..., bytes]) -> None:
    assert fetch(RIGHT) == b"abcd"
    assert fetch(OSError(errno.ECONNRESET, "x"), (503, b"", ""), RIGHT) == b"abcd"
    assert fetch((403, b"expired", ""), RIGHT) == b"abcd"


@pytest.mark.parametrize(
    "answer",
    [
        (200, b"abcd", ""),  # the whole file, as it would seem
        (206, b"abc", "bytes 10-13/100"),
        (206, b"abcde", "bytes 10-13/100"),
        (206, b"abcd", "bytes 0-3/100"),
        (206, b"abcd", ""),
        (404, b"none", ""),
        (403, b"no", ""),
        (500, b"oops", ""),
        OSError(errno.ECONNREFUSED, "nobody"),
    ],
)
def test_any_other_answer_is_an_error(fetch: Callable[..., bytes], answer: Any) -> None:
    with pytest.raises(OSError, match=r"range|nobody"):
        fetch(answer)


def test_a_manifest_cannot_lead_out_of_the_mounted_folder(runtime: Any) -> None:
    root = sys.modules["fuse_kernel"].Node()
    with pytest.raises(runtime.RefusedError, match="leads out"):
        runtime._folder(root, "/in/../../etc")
    for name in ("..", "x" * 256):
        with pytest.raises(runtime.RefusedError, match="no name"):
            runtime._add(root, name, sys.modules["fuse_kernel"].Node(size=0))


def test_names_that_are_taken_get_folders_of_their_own(runtime: Any) -> None:
    node = sys.modules["fuse_kernel"].Node
    root = node()
    for _ in range(3):
        runtime._add(root, "x", node(size=1))
    runtime._add(root, "a/b", node(size=1))
    assert sorted(root.entries) == ["1", "2", "a___b", "x"]
    assert list(root.entries["1"].entries) == ["x"]


def run(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    script = inside_out.RUNTIME / "dxfuse"
    text = script.read_text().replace("/opt/plasmid/fuse", str(inside_out.RUNTIME))
    return subprocess.run(
        [sys.executable, "-B", "-c", text, *words],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", **environ},
    )


def test_the_command_line_is_taken_as_go_programs_take_it(tmp_path: Path) -> None:
    assert run("-version").stdout == "v1.5.0\n"
    assert run("-version=false", "-uid=0", "--gid", "0").returncode == 2
    for words, said in (
        (("-nosuch",), "flag provided but not defined: -nosuch"),
        (("-uid", "me", "x", "y"), "-uid takes a number"),
        (("-limitedWrite", "x", "y"), "files can be read only here"),
    ):
        done = run(*words)
        assert (done.returncode, said in done.stderr) == (2, True)
    done = run("/nosuch", "project-x")
    assert (done.returncode, done.stdout[:24]) == (1, "error, mountpoint /nosuc")
    assert "DX_SECURITY_CONTEXT" in run(str(tmp_path), "project-x").stdout


def test_a_manifest_that_is_none_is_refused(tmp_path: Path) -> None:
    manifest = tmp_path / "m.json"
    manifest.write_text("{")
    context = json.dumps({"auth_token_type": "Bearer", "auth_token": "t"})
    done = run(
        str(tmp_path), str(manifest), DX_SECURITY_CONTEXT=context, DX_APISERVER_HOST="127.0.0.1"
    )
    assert done.returncode == 1
    assert done.stdout.endswith("nothing is mounted\n")
