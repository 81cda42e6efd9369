"""The scripts of a layer are read for what they call, and nothing in it leads anywhere else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from plasmid.domain import containers
from plasmid.environments import scripts


def put(tree: Path, path: str, content: str | bytes) -> None:
    target = tree / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content.encode() if isinstance(content, str) else content)


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("usr/bin/count", "#!/bin/bash\ndocker run x\n"),
        ("home/dnanexus/tools/deep/run.py", "os.system('docker load')\n"),
        ("usr/local/bin/x", "#!/usr/bin/env python3\nimport docker\n"),
    ],
)
def test_a_script_that_names_docker_is_found(tmp_path: Path, path: str, content: str) -> None:
    put(tmp_path, path, content)
    assert scripts.need(tmp_path).why == f"/{path} names docker"


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("usr/bin/binary", b"\x7fELF docker"),
        ("usr/share/doc/x/notes.sh", "docker"),
        ("home/dnanexus/readme.txt", "use docker"),
        ("opt/venv/lib/site-packages/lib.py", "import docker"),
        ("usr/bin/long", "#!/bin/sh\n" + "#" * scripts.SCRIPT_BYTES_MAX + "docker"),
    ],
)
def test_what_is_no_script_of_the_app_does_not_count(
    tmp_path: Path, path: str, content: str | bytes
) -> None:
    put(tmp_path, path, content)
    assert scripts.need(tmp_path) == containers.NOTHING


def test_links_and_pipes_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    put(outside, "bin/run.sh", "docker")
    tree = tmp_path / "tree"
    (tree / "usr").mkdir(parents=True)
    (tree / "usr/bin").symlink_to(outside / "bin")
    (tree / "opt").mkdir()
    (tree / "opt/run.sh").symlink_to(outside / "bin/run.sh")
    (tree / "opt/folder").symlink_to(outside / "bin")
    os.mkfifo(tree / "opt/pipe.sh")
    assert scripts.need(tree) == containers.NOTHING
