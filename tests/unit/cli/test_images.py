"""`plasmid image`: what it prints and refuses."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from plasmid.cli import images
from plasmid.cli.trouble import CommandError
from plasmid.config import Config
from plasmid.config_sections import ImageSources
from plasmid.environments.images import Image, ImageError, Images


def an_image(folder: Path, name: str, digest: str) -> None:
    made = Image(
        name=name,
        digest=digest,
        recipe="r",
        distribution="Debian",
        release="12",
        created_ms=0,
        size_bytes=5_000_000,
        apt_hosts=(),
        packages=(),
        seconds={},
    )
    (folder / "images" / digest / "root").mkdir(parents=True)
    (folder / "images" / digest / "image.json").write_bytes(msgspec.json.encode(made))


def test_what_is_here_is_listed_and_what_could_be_made_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    an_image(tmp_path, "debian-12", "d1")
    images.show(Config(tmp_path))
    said = capsys.readouterr()
    assert said.out == "debian-12  d1  5 MB  made 1970-01-01 00:00 UTC\n"
    assert "not here: ubuntu-24.04, ubuntu-20.04" in said.err
    assert "debian-12" not in said.err


async def test_what_serves_a_release_is_built_unless_it_is_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[str] = []

    async def build(_: Images, name: str, __: object) -> Image:
        built.append(name)
        raise ImageError("no network")

    monkeypatch.setattr(Images, "build", build)
    an_image(tmp_path, "debian-12", "d1")
    await images.ensure(Config(tmp_path), "Debian", "12", "0")
    await images.ensure(Config(tmp_path, images={"*": "debian-12"}), "Ubuntu", "24.04", "0")
    assert built == []
    with pytest.raises(CommandError, match=r'no network.*\[images\] "Ubuntu 24\.04" = "debian-12"'):
        await images.ensure(Config(tmp_path), "Ubuntu", "24.04", "0")
    assert built == ["ubuntu-24.04"]


async def test_a_release_that_nothing_serves_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"no base image for Ubuntu 22\.04"):
        await images.ensure(Config(tmp_path), "Ubuntu", "22.04", "0")


def test_an_image_is_removed_by_name_or_digest(tmp_path: Path) -> None:
    an_image(tmp_path, "debian-12", "d1")
    an_image(tmp_path, "debian-11", "d2")
    with pytest.raises(CommandError, match="2 images are called d"):
        images.remove(Config(tmp_path), "d")
    images.remove(Config(tmp_path), "debian-11")
    images.remove(Config(tmp_path), "d1")
    assert [path.name for path in (tmp_path / "images").iterdir()] == []


def test_only_what_is_here_can_be_exported(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="there is no image debian-12"):
        images.export(Config(tmp_path), "debian-12", tmp_path / "x.tar")
    an_image(tmp_path, "debian-12", "d1")
    with pytest.raises(CommandError, match="No such file or directory"):
        images.export(Config(tmp_path), "debian-12", tmp_path / "no" / "x.tar")


def test_configured_sources_reach_the_images(tmp_path: Path) -> None:
    given = ImageSources(prefer="oci", apt={"Ubuntu": "u"}, oci={"a": "b"}, keyring="k")
    found = images.of(Config(tmp_path, image_sources=given))._mirrors
    assert (found.prefer, found.apt, found.oci, found.keyring) == (
        "oci",
        {"Ubuntu": "u"},
        {"a": "b"},
        "k",
    )
