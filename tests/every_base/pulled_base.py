"""A bare system of a registry, given what apps need: minutes, so by `just bases` only."""

from __future__ import annotations

from pathlib import Path

import pytest

from plasmid.environments import commands, images
from tests import bases, image_files
from tests.registry import push, served


def ignore(_: str) -> None:
    """Take a line of progress."""


@pytest.mark.timeout(900)
async def test_a_bare_system_is_pulled_and_given_what_apps_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    root = tmp_path / "bare.tar"
    await commands.output(["mmdebstrap", "--variant=minbase", "bookworm", str(root)])
    with served(tmp_path) as registry:
        reference = f"{registry}/library/debian:12"
        push(tmp_path, image_files.oci([root.read_bytes()]), reference)
        store = images.Images(tmp_path / "images")
        made = await store.pull("ours", ignore, reference=reference)
    folder = tmp_path / "sandbox"
    folder.mkdir()
    for above in (tmp_path, *tmp_path.parents):
        if above.stat().st_uid == 0 and above != Path("/"):
            above.chmod(above.stat().st_mode | 0o011)
    script = "dx --version; python3 -c 'import numpy, requests'; command -v jq parallel"
    lines = await bases.run(script, folder, tmp_path / "images" / made.digest / "root")
    assert lines == ["dx v0.413.0", "/usr/bin/jq", "/usr/bin/parallel"]
