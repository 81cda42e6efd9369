"""`plasmid layer` and `plasmid lock --check`: what they say about what is here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from plasmid import config
from plasmid.cli import applet_folder, images, layers, lock
from plasmid.cli.trouble import CommandError
from plasmid.domain import build_steps, dependencies
from plasmid.domain import lock as locks
from plasmid.environments.layers import Layers
from tests.unit.environments import test_layers as store_of_layers

KEY = store_of_layers.KEY


@pytest.fixture
def home(tmp_path: Path) -> config.Config:
    return config.load({"PLASMID_HOME": str(tmp_path / "home")})


async def test_the_list_tells_what_for_how_large_and_who_uses_it(
    home: config.Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Layers(home.layers_folder)
    await store_of_layers.made(store)
    layers.show(home, as_json=False)
    line, summary = (text.strip() for text in capsys.readouterr())
    assert line.startswith(f"{KEY[:12]}  apt packages a  on debian-12  0.0 MB  made 2")
    assert line.endswith("used just now")
    assert summary == "1 layers, 0 of 50000 MB"
    store.take([KEY], tmp_path)
    layers.show(home, as_json=False)
    assert capsys.readouterr().out.strip().endswith("in use by 1 job")


async def test_as_json_the_list_tells_what_exactly_is_installed(
    home: config.Config, capsys: pytest.CaptureFixture[str]
) -> None:
    await store_of_layers.made(Layers(home.layers_folder))
    layers.show(home, as_json=True)
    (told,) = json.loads(capsys.readouterr().out)
    assert (told["key"], told["resolved"]) == (KEY, {"apt": [{"name": "a"}]})


async def test_a_layer_in_use_is_named_and_the_others_are_deleted(
    home: config.Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Layers(home.layers_folder)
    await store_of_layers.made(store)
    await store_of_layers.made(store, store_of_layers.OTHER)
    store.take([KEY], tmp_path)
    with pytest.raises(CommandError, match=f"in use by {tmp_path.name}"):
        layers.remove(home, (), everything=True)
    assert [layer.about.key for layer in store.all()] == [KEY]
    assert "deleted bbbbbbbbbbbb" in capsys.readouterr().out


def test_a_layer_must_be_named_and_be_there(home: config.Config) -> None:
    with pytest.raises(CommandError, match="--all"):
        layers.remove(home, (), everything=False)
    with pytest.raises(CommandError, match="0 layers begin with abc"):
        layers.remove(home, ("abc",), everything=False)


async def test_verify_finds_the_damage_and_puts_the_layer_away(
    home: config.Config, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Layers(home.layers_folder)
    layer = await store_of_layers.made(store)
    assert layers.verify(home, ()) == 0
    (layer.tree / "f").write_text("2")
    assert layers.verify(home, (KEY[:5],)) == 1
    assert "damaged: /f is not as it was made" in capsys.readouterr().out
    assert store.all() == ()


@pytest.fixture
def applet(tmp_path: Path) -> Path:
    return an_applet(tmp_path, [{"name": "tree"}, {"name": "bc", "stages": ["work"]}])


def an_applet(folder: Path, depends: list[dict[str, Any]]) -> Path:
    path = folder / "applet"
    path.mkdir(exist_ok=True)
    (path / "code.sh").write_text("true")
    spec = {
        "interpreter": "bash", "file": "code.sh", "distribution": "Ubuntu", "release": "24.04",
        "version": "0", "execDepends": depends,
    }  # fmt: skip
    document = {"name": "a", "dxapi": "1.0.0", "runSpec": spec, "inputSpec": [], "outputSpec": []}
    (path / "dxapp.json").write_text(json.dumps(document))
    return path


def write_lock(path: Path, home: config.Config) -> None:
    spec = applet_folder.read(path).body["runSpec"]
    image = images.of(home).name_for("Ubuntu", "24.04", "0")
    chains = []
    for function in ("main", "work"):
        plan = dependencies.plan([], spec["execDepends"], function=function)
        chains.append(build_steps.chain(build_steps.Base("d", "m", 0), plan, digests={}))
    resolved: dict[str, dict[str, Any]] = {step.key: {} for chain in chains for step in chain}
    base = locks.Base("Ubuntu", "24.04", "0", image, "d")
    made = locks.make(base, chains, digests={}, resolved=resolved)
    (path / locks.FILE_NAME).write_bytes(msgspec.json.encode(made))


async def test_a_lock_that_fits_is_told_so(home: config.Config, applet: Path) -> None:
    write_lock(applet, home)
    assert await lock.lock_applet(home, lock.Request(applet, check=True, into_dxapp=False)) == 0


async def test_a_lock_of_other_dependencies_is_told_with_the_difference(
    home: config.Config, applet: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_lock(applet, home)
    an_applet(applet.parent, [{"name": "samtools"}])
    assert await lock.lock_applet(home, lock.Request(applet, check=True, into_dxapp=False)) == 1
    said = capsys.readouterr().out
    assert "apt packages samtools are not in it" in said
    assert "it has apt packages tree, which dxapp.json has not" in said


async def test_what_is_no_lock_is_named(home: config.Config, applet: Path) -> None:
    request = lock.Request(applet, check=True, into_dxapp=False)
    with pytest.raises(CommandError, match="write it by `plasmid lock"):
        await lock.lock_applet(home, request)
    (applet / locks.FILE_NAME).write_text("{}")
    with pytest.raises(CommandError, match="is no lock"):
        await lock.lock_applet(home, request)
