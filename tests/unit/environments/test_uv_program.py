"""uv is taken from Plasmid's own environment first."""

from __future__ import annotations

from pathlib import Path

import pytest

from plasmid.environments import uv_program


def test_the_environments_own_wins_over_the_hosts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_path = tmp_path / "bin"
    on_path.mkdir()
    theirs = on_path / "uv"
    theirs.write_text("#!/bin/sh\n")
    theirs.chmod(0o755)
    monkeypatch.setenv("PATH", str(on_path))
    python = tmp_path / "venv/bin/python"
    python.parent.mkdir(parents=True)
    assert uv_program.find(str(python)) == theirs
    own = python.with_name("uv")
    own.touch()
    assert uv_program.find(str(python)) == own
    own.unlink()
    theirs.unlink()
    assert uv_program.find(str(python)) is None
