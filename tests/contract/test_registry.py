"""Base images pulled from a real registry: Debian's docker-registry, on this machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from plasmid.environments import host, images
from tests import image_files
from tests.image_files import SYSTEM
from tests.registry import push, served

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(os.geteuid() != 0, reason="unpacking an image needs root"),
]
MINE = {**SYSTEM, "usr/bin/dx": b"", "usr/share/plasmid-packages": b"jq 1.6 amd64\n"}


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A registry; gives its host and port."""
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    with served(tmp_path) as address:
        yield address


def store(folder: Path, **mirrors: object) -> images.Images:
    return images.Images(folder / "images", mirrors=host.Mirrors(**mirrors))  # type: ignore[arg-type]


def ignore(_: str) -> None:
    """Take a line of progress."""


@pytest.mark.parametrize("tool", ["skopeo", "podman"])
async def test_an_image_that_has_all_is_pulled_as_it_is(
    registry: str, tmp_path: Path, tool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(tmp_path, image_files.oci([image_files.tar(MINE)]), f"{registry}/site/base:1")
    other = {"skopeo": "podman", "podman": "skopeo"}[tool]
    there = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if name == other else there(name))
    kept = store(tmp_path)
    made = await kept.pull("ours", ignore, reference=f"{registry}/site/base:1")
    assert (made.name, made.distribution, made.release) == ("ours", "Debian", "12")
    root = tmp_path / "images" / made.digest / "root"
    assert (root / "bin/sh").stat().st_uid == 300000
    assert sorted(path.name for path in (tmp_path / "images").iterdir()) == [
        ".lock",
        made.digest,
    ]


async def test_a_configured_reference_is_what_a_build_takes(registry: str, tmp_path: Path) -> None:
    reference = f"{registry}/site/debian:12"
    push(tmp_path, image_files.oci([image_files.tar(MINE)]), reference)
    kept = store(tmp_path, prefer="oci", oci={"debian-12": reference})
    made = await kept.build("debian-12", ignore)
    assert kept.find("Debian", "12", "0").digest == made.digest


async def test_an_image_that_the_registry_has_not_is_an_error_and_leaves_nothing(
    registry: str, tmp_path: Path
) -> None:
    with pytest.raises(
        images.ImageError, match=r"(?s)image x could not be made: .*manifest unknown"
    ):
        await store(tmp_path).pull("x", ignore, reference=f"{registry}/site/none:1")
    assert [path.name for path in (tmp_path / "images").iterdir()] == [".lock"]


async def test_a_registry_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(images.ImageError, match="connection refused"):
        await store(tmp_path).pull("x", ignore, reference="127.0.0.1:9/site/base:1")
