"""What a job says is in its home folder too, for who comes in: its last part, and masked."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from plasmid.worker import masking, output_copy, output_log
from tests.unit.worker.fake_platform import an_assignment

STAMP = b"2026-01-02T03:04:05.678901234+00:00"
SECRET = "correct-horse-battery"


class Scene:
    """A sandbox's log and root, and the copy that one worker after the other makes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "log"
        self.root = folder / "root"
        self.home = self.root / "home" / "dnanexus"
        self.home.mkdir(parents=True)
        self.log.touch()
        self.masker = masking.Masker()
        self.on_hear: Callable[[], object] = lambda: None
        self.copy = self.next_worker()
        self.copy.make_files()

    def next_worker(self) -> output_copy.OutputCopy:
        self.copy = output_copy.OutputCopy(
            self.log,
            self.root,
            self.folder / "copied.json",
            masker=self.masker,
            hear=self.hear,
            job="job-x",
        )
        return self.copy

    def hear(self) -> None:
        self.on_hear()

    def say(self, *lines: bytes, stream: bytes = b"stdout", mark: bytes = b"F") -> None:
        with self.log.open("ab") as sink:
            for line in lines:
                sink.write(b" ".join([STAMP, stream, mark, line]) + b"\n")

    async def turns(self, count: int = 1) -> None:
        source = os.open(self.log, os.O_RDONLY)
        try:
            for _ in range(count):
                await self.copy.turn(source)
        finally:
            os.close(source)

    @property
    def out(self) -> bytes:
        return (self.home / "dx_stdout").read_bytes()

    @property
    def errors(self) -> bytes:
        return (self.home / "dx_stderr").read_bytes()


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


async def test_both_streams_are_there_as_they_were_written(scene: Scene) -> None:
    assert (scene.out, scene.errors) == (b"", b"")
    scene.say(b"one", b"two\xff")
    scene.say(b"trouble", b"", stream=b"stderr")
    scene.say(b"x" * 9000, b"y" * 9000, mark=b"P")
    scene.say(b"")
    await scene.turns()
    assert scene.out == b"one\ntwo\xff\n" + b"x" * 9000 + b"y" * 9000 + b"\n"
    assert scene.errors == b"trouble\n\n"
    assert (scene.home / "dx_stdout").stat().st_mode & 0o777 == 0o644


async def test_a_line_without_an_end_is_there_when_nothing_more_comes(scene: Scene) -> None:
    scene.masker.add(SECRET)
    scene.say(b"10%\r20%\rgo on? ", mark=b"P")
    await scene.turns()
    assert len(scene.out) < len(b"10%\r20%\rgo on? ")
    await scene.turns(output_copy.QUIET_TURNS + 1)
    assert scene.out == b"10%\r20%\rgo on? "
    scene.say(b"yes")
    await scene.turns()
    assert scene.out == b"10%\r20%\rgo on? yes\n"


async def test_secrets_are_masked_also_where_they_are_cut(scene: Scene) -> None:
    scene.on_hear = lambda: scene.masker.add(SECRET)
    scene.say(b"it is " + SECRET.encode() + b".")
    scene.say(b"and " + SECRET.encode()[:7], mark=b"P")
    await scene.turns()
    scene.say(SECRET.encode()[7:] + b" again")
    await scene.turns()
    assert scene.out == b"it is ***.\nand *** again\n"


async def test_the_next_worker_goes_on_and_writes_nothing_twice(scene: Scene) -> None:
    scene.say(b"one")
    await scene.turns()
    noted = (scene.folder / "copied.json").read_bytes()
    scene.say(b"two")
    scene.say(b"ha", mark=b"P")
    await scene.turns()
    # killed before it noted that
    (scene.folder / "copied.json").write_bytes(noted)
    assert scene.next_worker().is_resumed
    scene.say(b"lf", b"three")
    await scene.turns()
    assert scene.out == b"one\ntwo\nhalf\nthree\n"
    scene.next_worker()
    await scene.turns(2)
    assert scene.out == b"one\ntwo\nhalf\nthree\n"


async def next_worker_keeps(scene: Scene) -> None:
    """Have the next worker begin to keep the files, as it does, and take one turn."""
    assignment = an_assignment()
    assignment.debug_on = ["AppError"]
    sandbox: Any = SimpleNamespace(log_path=scene.log, root=scene.root)
    pump: Any = SimpleNamespace(masker=scene.masker, hear=scene.hear)
    folder: Any = SimpleNamespace(path=scene.folder)
    world: Any = None
    has_turned = asyncio.Event()

    async def follow(copy: output_copy.OutputCopy) -> None:
        scene.copy = copy
        await scene.turns()
        has_turned.set()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(output_copy.OutputCopy, "follow", follow)
        async with output_copy.kept(world, assignment, sandbox, folder=folder, pump=pump):
            async with asyncio.timeout(60):
                await has_turned.wait()


async def test_the_next_worker_begins_where_it_is_noted_not_where_a_file_ends(
    scene: Scene,
) -> None:
    scene.say(b"one")
    scene.say(b"a", stream=b"stderr")
    await scene.turns()
    noted = (scene.folder / "copied.json").read_bytes()
    scene.say(b"two")
    scene.say(b"b", stream=b"stderr")
    await scene.turns()
    (scene.folder / "copied.json").write_bytes(noted)
    await next_worker_keeps(scene)
    assert (scene.out, scene.errors) == (b"one\ntwo\n", b"a\nb\n")


async def test_what_a_killed_worker_wrote_is_taken_back_also_where_less_comes_now(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.say(*[b"%05d" % number for number in range(2000)])
    scene.say(b"trouble", stream=b"stderr")
    noted = (scene.folder / "copied.json").read_bytes()
    await scene.turns()
    said = scene.out
    (scene.folder / "copied.json").write_bytes(noted)
    monkeypatch.setattr(output_copy, "TURN_BYTES_MAX", 1 << 16)
    scene.next_worker()
    await scene.turns(3)
    assert (scene.out, scene.errors) == (said, b"trouble\n")


async def test_of_what_has_secrets_little_is_masked_at_once(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.on_hear = lambda: scene.masker.add(SECRET)
    lines = [b"%06d " % number + SECRET.encode() for number in range(15_000)]
    scene.say(*lines)
    sizes: list[int] = []
    mask = masking.Masker.mask

    def noting(masker: masking.Masker, data: bytes) -> bytes:
        sizes.append(len(data))
        return mask(masker, data)

    monkeypatch.setattr(masking.Masker, "mask", noting)
    await scene.turns()
    assert 0 < max(sizes) <= output_log.SECRET_BYTES_MAX
    await scene.turns(12)
    assert scene.out == b"".join(b"%06d ***\n" % number for number in range(15_000))


async def test_of_a_flood_parts_are_left_out_and_a_line_says_so(scene: Scene) -> None:
    lines = [b"%07d %s" % (number, b"x" * 100) for number in range(200_000)]
    scene.say(*lines)
    await scene.turns()
    first = scene.out.split(b"\n")
    assert first[1].startswith(b"[")
    assert first[1].endswith(b" bytes of output are left out here: dx watch job-x has all of it]")
    await scene.turns(10)
    shown = scene.out.split(b"\n")
    assert shown[2:-1] == lines[-len(shown) + 3 :]


async def test_what_is_given_back_to_the_disk_is_left_out(scene: Scene) -> None:
    scene.say(*[b"early " + b"x" * 1000] * 1000)
    begun = scene.log.stat().st_size
    scene.say(*[b"late"] * 1000)
    content = scene.log.read_bytes()
    with scene.log.open("r+b") as log:
        log.truncate(0)
        log.truncate(len(content))
        kept_from = -(-begun // 4096) * 4096
        log.seek(kept_from)
        log.write(content[kept_from:])
    await scene.turns(3)
    lines = scene.out.split(b"\n")
    assert b"left out here" in lines[1]
    assert set(lines[2:-1]) == {b"late"}
    assert b"\0" not in scene.out


async def test_a_file_has_its_last_megabytes(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output_copy, "FILE_BYTES_MAX", 10_000)
    for number in range(100):
        scene.say(*[b"%04d" % number] * 100)
        await scene.turns()
        assert len(scene.out) <= 10_000
    lines = scene.out.split(b"\n")
    assert b"left out before this: dx watch job-x" in lines[0]
    assert lines[-2] == b"0099"
    assert lines[1:-1] == sorted(lines[1:-1])


async def test_what_the_job_has_put_in_its_place_is_left_alone(scene: Scene) -> None:
    target = scene.folder / "precious"
    target.write_bytes(b"mine")
    (scene.home / "dx_stdout").unlink()
    (scene.home / "dx_stdout").symlink_to(target)
    (scene.home / "dx_stderr").unlink()
    os.mkfifo(scene.home / "dx_stderr")
    scene.say(b"one")
    scene.say(b"two", stream=b"stderr")
    await scene.turns()
    assert target.read_bytes() == b"mine"
    (scene.home / "dx_stdout").unlink()
    scene.say(b"three")
    await scene.turns()
    assert scene.out == b"three\n"
    (scene.home / "dx_stdout").write_bytes(b"")
    scene.home.rename(scene.root / "home" / "elsewhere")
    scene.home.symlink_to(scene.folder)
    scene.say(b"four")
    await scene.turns()
    assert not (scene.folder / "dx_stdout").exists()
