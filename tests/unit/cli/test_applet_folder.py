"""An applet's folder is read as `dx build` reads it; what is wrong is one clear line."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from plasmid.cli import applet_folder
from plasmid.cli.trouble import CommandError

RIGHT = """{"name": "x", "runSpec": {"interpreter": "bash", "file": "src/x.sh",
 "distribution": "Ubuntu", "release": "24.04", "version": "0"}}"""


@pytest.fixture
def applet(tmp_path: Path) -> Path:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "x.sh").write_text("main() { :; }\n")
    (tmp_path / "dxapp.json").write_text(RIGHT)
    return tmp_path


def test_the_code_is_put_into_the_body(applet: Path) -> None:
    found = applet_folder.read(applet)
    assert found.name == "x"
    assert found.body["runSpec"]["code"] == "main() { :; }\n"
    assert found.resources is None


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ('{"name": "x", "runSpec": {,}}', "line 1, column 27"),
        (
            RIGHT.replace("src/x.sh", "src/y.sh"),
            '"src/y.sh" that runSpec.file names does not exist',
        ),
        (RIGHT.replace('"bash"', '"perl"'), "interpreter"),
        ('{"name": "x"}', "runSpec"),
    ],
)
def test_a_wrong_dxapp_is_one_clear_line(applet: Path, content: str, line: str) -> None:
    (applet / "dxapp.json").write_text(content)
    with pytest.raises(CommandError) as raised:
        applet_folder.read(applet)
    assert line in str(raised.value)
    assert str(applet / "dxapp.json") in str(raised.value)
    assert raised.value.exit_code == 2


def test_a_folder_without_dxapp_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"name a folder with a dxapp\.json"):
        applet_folder.read(tmp_path / "nothing")


def test_the_assets_that_it_names_are_told_apart(applet: Path) -> None:
    asset = '"assetDepends": [{"id": "record-BFG0J1K2P3Q4V5X6Y7Z8b9f0"}], "file"'
    (applet / "dxapp.json").write_text(RIGHT.replace('"file"', asset))
    found = applet_folder.read(applet)
    assert found.asset_depends == ({"id": "record-BFG0J1K2P3Q4V5X6Y7Z8b9f0"},)
    assert "assetDepends" not in found.body["runSpec"]


def test_resources_are_bundled_from_the_root_and_readable_by_all(tmp_path: Path) -> None:
    resources = tmp_path / "resources"
    (resources / "usr" / "bin").mkdir(parents=True)
    tool = resources / "usr" / "bin" / "tool"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o700)
    (resources / "usr" / "bin" / "same").symlink_to("tool")
    (tmp_path / "outside").write_text("from outside")
    (resources / "usr" / "bin" / "far").symlink_to(tmp_path / "outside")
    applet_folder.bundle(resources, tmp_path / "bundle.tar")
    with tarfile.open(tmp_path / "bundle.tar") as tar:
        entries = {entry.name: entry for entry in tar.getmembers()}
        far = tar.extractfile(entries["usr/bin/far"])
        assert far is not None
        assert far.read() == b"from outside"
    assert set(entries) == {"usr", "usr/bin", "usr/bin/tool", "usr/bin/same", "usr/bin/far"}
    assert entries["usr/bin/tool"].mode & 0o777 == 0o755
    assert entries["usr/bin/tool"].uid == 0
    assert entries["usr/bin/same"].issym()


def test_a_broken_link_in_resources_is_named(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "broken").symlink_to("/nowhere/at/all")
    with pytest.raises(CommandError, match=r"r/broken is a link to .*, which does not exist"):
        applet_folder.bundle(tmp_path / "r", tmp_path / "bundle.tar")
