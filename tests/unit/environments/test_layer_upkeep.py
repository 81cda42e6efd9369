"""Old and too many layers go, the longest unused first, and never one that is in use."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from plasmid.environments import layer_upkeep, layers
from tests.unit.environments.test_layers import about, waiting
from tests.unit.worker import fake_engine

DAY_NS = 24 * 3600 * 10**9
NOW_NS = 2_000_000_000 * 10**9
EVERYTHING = layer_upkeep.Limits(size_bytes_max=2**60, age_days_max=30)


@pytest.fixture
def store(tmp_path: Path) -> layers.Layers:
    return layers.Layers(tmp_path / "layers")


async def a_layer(
    store: layers.Layers, name: str, *, days: float = 0, on: layers.Layer | None = None
) -> layers.Layer:
    """Make a layer of 8 KiB that was last used some days ago."""
    key = name * 64
    depth = 0 if on is None else on.about.depth + 1
    async with store.building(key, waiting()) as scratch:
        assert scratch is not None
        (scratch / "tree").mkdir()
        (scratch / "tree/f").write_text(name * 8192)
        given = about(key, below="" if on is None else on.digest, depth=depth)
        layer = store.keep(scratch, scratch / "tree", given)
    used_ns = NOW_NS - int(days * DAY_NS)
    os.utime(layer.tree.parent / "leases", ns=(used_ns, used_ns))
    return layer


def collected(store: layers.Layers, limits: layer_upkeep.Limits) -> list[str]:
    deleted = layer_upkeep.collect(store, limits, now_ms=NOW_NS // 1_000_000)
    return [layer.about.key[0] for layer in deleted]


async def test_layers_that_nobody_used_for_long_are_deleted(store: layers.Layers) -> None:
    await a_layer(store, "a", days=31)
    await a_layer(store, "b", days=29)
    assert collected(store, EVERYTHING) == ["a"]
    assert [layer.about.key[0] for layer in store.all()] == ["b"]


async def test_for_want_of_room_the_longest_unused_goes_first(store: layers.Layers) -> None:
    for name, days in (("a", 2), ("b", 3), ("c", 1)):
        await a_layer(store, name, days=days)
    size = store.all()[0].size_bytes
    limits = layer_upkeep.Limits(size_bytes_max=size, age_days_max=30)
    assert collected(store, limits) == ["b", "a"]


async def test_a_layer_is_as_young_as_those_above_it(store: layers.Layers) -> None:
    first = await a_layer(store, "a", days=40)
    await a_layer(store, "b", days=1, on=first)
    await a_layer(store, "c", days=35)
    assert collected(store, EVERYTHING) == ["c"]


async def test_of_one_age_the_upper_goes_before_the_lower(store: layers.Layers) -> None:
    first = await a_layer(store, "a", days=40)
    await a_layer(store, "b", days=40, on=first)
    assert collected(store, EVERYTHING) == ["b", "a"]


async def test_a_layer_in_use_stays_however_old(store: layers.Layers, tmp_path: Path) -> None:
    layer = await a_layer(store, "a")
    store.take([layer.about.key], tmp_path)
    os.utime(layer.tree.parent / "leases", ns=(0, 0))
    nothing = layer_upkeep.Limits(size_bytes_max=0, age_days_max=0)
    assert collected(store, nothing) == []
    assert store.all()


async def test_a_layer_that_was_just_made_is_left_to_whom_it_was_made_for(
    store: layers.Layers,
) -> None:
    await a_layer(store, "a")
    assert collected(store, layer_upkeep.Limits(size_bytes_max=0, age_days_max=0)) == []


async def test_a_killed_builders_sandbox_is_removed_with_its_folder(store: layers.Layers) -> None:
    engine = fake_engine.FakeEngine(fake_engine.run_on)
    folder = store.folder / f".build-{'a' * 64}" / "sandbox"
    folder.mkdir(parents=True)
    (folder / "root").mkdir()
    removed: list[Path] = []

    class Sandbox:
        async def remove(self) -> None:
            removed.append(folder)
            shutil.rmtree(folder)

    engine.sandboxes[folder] = Sandbox()  # type: ignore[assignment]
    await layer_upkeep.sweep(engine, store)
    assert removed == [folder]
    assert [path.name for path in store.folder.glob(".build-*")] == []
