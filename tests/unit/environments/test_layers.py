"""The store of layers: whole or not there, held while in use, made by one at a time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from plasmid.environments import layers, trees

KEY = "a" * 64
OTHER = "b" * 64


@pytest.fixture
def store(tmp_path: Path) -> layers.Layers:
    return layers.Layers(tmp_path / "layers")


@pytest.fixture
def holder(tmp_path: Path) -> Path:
    path = tmp_path / "job-1.0"
    path.mkdir()
    return path


def about(key: str = KEY, *, below: str = "", depth: int = 0) -> layers.About:
    return layers.About(
        key=key, label="apt packages a", below=below, depth=depth, image="debian-12", seconds=1.0,
        resolved={"apt": [{"name": "a"}]},
    )  # fmt: skip


def waiting() -> layers.Waiting:
    return layers.Waiting(lambda: None, asyncio.Event())


async def made(
    store: layers.Layers, key: str = KEY, *, below: str = "", depth: int = 0, content: str = "1"
) -> layers.Layer:
    """Build a layer with one file."""
    async with store.building(key, waiting()) as scratch:
        assert scratch is not None
        (scratch / "tree").mkdir()
        (scratch / "tree/f").write_text(content)
        return store.keep(scratch, scratch / "tree", about(key, below=below, depth=depth))


def names(store: layers.Layers) -> list[str]:
    return sorted(path.name for path in store.folder.iterdir() if path.name != ".lock")


async def test_a_layer_is_there_once_it_is_whole_and_nothing_else_is(store: layers.Layers) -> None:
    async with store.building(KEY, waiting()) as scratch:
        assert scratch is not None
        (scratch / "tree").mkdir()
        assert (store.find(KEY), store.all()) == (None, ())
        store.keep(scratch, scratch / "tree", about())
    assert names(store) == [KEY]
    found = store.find(KEY)
    assert found is not None
    assert found.about == about()


async def test_a_builder_that_gives_up_leaves_nothing(store: layers.Layers) -> None:
    async with store.building(KEY, waiting()):
        pass
    assert names(store) == []


async def test_whoever_comes_later_takes_what_is_there(store: layers.Layers) -> None:
    await made(store)
    async with store.building(KEY, waiting()) as scratch:
        assert scratch is None


async def test_a_second_builder_waits_and_says_so_once(store: layers.Layers) -> None:
    told: list[str] = []
    other = layers.Layers(store.folder)

    async def second() -> bool:
        waits = layers.Waiting(lambda: told.append("waits"), asyncio.Event())
        async with other.building(KEY, waits) as scratch:
            return scratch is None

    async with asyncio.TaskGroup() as group, store.building(KEY, waiting()) as scratch:
        assert scratch is not None
        task = group.create_task(second())
        while not told:
            await asyncio.wait({task}, timeout=0.01)
        (scratch / "tree").mkdir()
        store.keep(scratch, scratch / "tree", about())
    assert (task.result(), told) == (True, ["waits"])


async def test_whoever_gives_up_waiting_stops_waiting(store: layers.Layers) -> None:
    async with store.building(KEY, waiting()):
        waits = waiting()
        waits.given_up.set()
        async with store.building(KEY, waits) as scratch:
            assert scratch is None


def test_what_a_killed_process_left_is_the_next_builders(store: layers.Layers) -> None:
    code = (
        "import os, sys; from pathlib import Path; from plasmid.environments import locks\n"
        "path = Path(sys.argv[1]); path.parent.mkdir(); opened = locks.claim(path)\n"
        "(path / 'half').touch(); print('holds', flush=True); sys.stdin.read()"
    )
    path = store.folder / f".build-{KEY}"
    command = [sys.executable, "-c", code, str(path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as builder:
        assert builder.stdout is not None
        assert builder.stdout.readline() == b"holds\n"
        assert list(store.abandoned()) == []
        builder.send_signal(signal.SIGKILL)
    assert list(store.abandoned()) == [path]
    asyncio.run(_finds(store, "half"))


async def _finds(store: layers.Layers, name: str) -> None:
    async with store.building(KEY, waiting()) as scratch:
        assert scratch is not None
        assert [path.name for path in scratch.iterdir()] == [name]


async def test_layers_are_taken_from_the_first_up_to_one_that_is_missing(
    store: layers.Layers, holder: Path
) -> None:
    first = await made(store)
    taken = store.take([KEY, OTHER], holder)
    assert ([layer.digest for layer in taken.layers], taken.damage) == ([first.digest], None)


@pytest.mark.parametrize("by_new_process", [True, False])
async def test_a_flipped_byte_is_seen_and_the_layer_is_put_away(
    store: layers.Layers, holder: Path, *, by_new_process: bool
) -> None:
    layer = await made(store)
    before = (layer.tree / "f").stat()
    (layer.tree / "f").write_text("2")
    os.utime(layer.tree / "f", ns=(before.st_atime_ns, before.st_mtime_ns))
    user = layers.Layers(store.folder) if by_new_process else store
    taken = user.take([KEY], holder)
    assert (taken.layers, taken.damage) == ((), "/f is not as it was made")
    assert names(store) == []


async def test_a_new_process_reads_every_byte_once(
    store: layers.Layers, holder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await made(store)
    read: list[Path] = []
    manifest = trees.manifest

    def reading(tree: Path) -> bytes:
        read.append(tree)
        return manifest(tree)

    monkeypatch.setattr(trees, "manifest", reading)
    user = layers.Layers(store.folder)
    for _ in range(3):
        assert user.take([KEY], holder).layers
    assert len(read) == 1


async def test_a_copy_with_the_same_content_is_still_the_layer(
    store: layers.Layers, holder: Path
) -> None:
    layer = await made(store)
    before = (layer.tree / "f").stat()
    (layer.tree / "f").chmod(0o600)
    (layer.tree / "f").chmod(before.st_mode)
    assert store.take([KEY], holder).damage is None


async def test_a_layer_made_on_another_one_is_not_taken(store: layers.Layers, holder: Path) -> None:
    first = await made(store)
    await made(store, OTHER, below=first.digest, depth=1)
    store.put_away(KEY)
    await made(store, content="another build")
    taken = store.take([KEY, OTHER], holder)
    assert len(taken.layers) == 1
    assert "another layer" in str(taken.damage)


async def test_a_layer_in_use_is_not_deleted(store: layers.Layers, holder: Path) -> None:
    await made(store)
    store.take([KEY], holder)
    with pytest.raises(layers.LayerError, match=r"in use by job-1\.0"):
        store.remove(KEY)
    # The user's process may have died: what counts is that the try is still there.
    with pytest.raises(layers.LayerError):
        layers.Layers(store.folder).remove(KEY)
    holder.rmdir()
    store.remove(KEY)
    assert names(store) == []


async def test_a_layer_that_is_let_go_can_be_deleted(store: layers.Layers, holder: Path) -> None:
    await made(store)
    store.take([KEY], holder)
    store.release([KEY], holder)
    assert store.holders(KEY) == []
    store.remove(KEY)


async def test_what_is_put_away_in_use_is_deleted_after_its_use(
    store: layers.Layers, holder: Path
) -> None:
    layer = await made(store)
    store.take([KEY], holder)
    store.put_away(KEY)
    (old,) = store.folder.glob(".old-*")
    assert (old / "tree/f").read_text() == "1"
    assert not layer.tree.exists()
    holder.rmdir()
    store.delete_old()
    assert names(store) == []


async def test_a_folder_without_its_description_is_no_layer(
    store: layers.Layers, holder: Path
) -> None:
    layer = await made(store)
    (layer.tree.parent / "layer.json").write_bytes(b"{")
    assert store.take([KEY], holder).layers == ()
    await made(store)
    assert store.take([KEY], holder).layers


async def test_no_layer_to_delete_is_an_error(store: layers.Layers) -> None:
    with pytest.raises(layers.LayerError, match="there is no layer"):
        store.remove(KEY)


async def test_a_files_digest_is_remembered(store: layers.Layers) -> None:
    assert store.digest_of("file-1") is None
    store.remember("file-1", "d" * 64)
    assert layers.Layers(store.folder).digest_of("file-1") == "d" * 64
    store.forget_files(2**53)
    assert store.digest_of("file-1") is None


async def test_what_cannot_be_kept_leaves_nothing_that_could_be_taken(
    store: layers.Layers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Path) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(trees, "manifest", full)
    with contextlib.suppress(OSError):
        await made(store)
    monkeypatch.undo()
    assert store.all() == ()
