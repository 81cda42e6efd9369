"""The remote builder's own decisions: how dx is called, what is told of its end."""

from __future__ import annotations

import importlib.util
import json
import os
import tarfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.unit.runtime import inside_out

BUILT = f"applet-{'x' * 24}"


@pytest.fixture
def builder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    path = inside_out.put(tmp_path, "remote_build.py", "/opt/plasmid/create-asset/remote_build.py")
    found = importlib.util.spec_from_file_location("remote_build", path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    module.SOURCE = str(tmp_path / "source")  # type: ignore[attr-defined]
    (tmp_path / "home/dnanexus").mkdir(parents=True)
    monkeypatch.setenv("DX_WORKSPACE_ID", "container-1")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return module


def a_dx(folder: Path, *, code: int = 0) -> None:
    """Put a `dx` there that hands out an archive and says what it has built, or fails."""
    (folder / "bin").mkdir()
    (folder / "code.sh").write_text("true")
    with tarfile.open(folder / "archive.tar.gz", "w:gz") as archive:
        archive.add(folder / "code.sh", "src/code.sh")
    dx = folder / "bin" / "dx"
    dx.write_text(
        f'#!/bin/sh\necho "$@" >> {folder}/calls\n'
        f'[ "$1" = download ] && exec cp {folder}/archive.tar.gz "$6"\n'
        f'echo WARNING; echo \'{{"id": "{BUILT}"}}\'; exit {code}\n'
    )
    dx.chmod(0o755)


def ran(builder: ModuleType, mode: str, **given: Any) -> tuple[int, dict[str, Any]]:
    """Run the builder; return its exit code and the file that it has left for the job."""
    home = Path(builder.HOME)
    link = {"$dnanexus_link": {"project": "project-1", "id": "file-1"}}
    (home / "job_input.json").write_text(json.dumps({"input_file": link, **given}))
    code = builder.main(mode)
    left = [path for path in home.iterdir() if path.name != "job_input.json"]
    assert len(left) == 1
    return code, {left[0].name: json.loads(left[0].read_text())}


def test_an_applet_is_the_jobs_output(builder: ModuleType, tmp_path: Path) -> None:
    a_dx(tmp_path)
    wanted = {"output_applet": {"$dnanexus_link": BUILT}}
    assert ran(builder, "applet") == (0, {"job_output.json": wanted})
    assert (tmp_path / "source" / "src" / "code.sh").read_text() == "true"
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls[0].startswith("download file-1 ")
    assert calls[1] == f"build --json --yes --destination container-1:/ {builder.SOURCE}"


def test_an_app_is_nobodys_output(builder: ModuleType, tmp_path: Path) -> None:
    a_dx(tmp_path)
    assert ran(builder, "app", publish=True) == (0, {"job_output.json": {}})
    built = (tmp_path / "calls").read_text().splitlines()[1]
    assert built.startswith("build --json --yes --app --no-temp-build-project --publish ")


def test_the_failure_of_dx_is_the_jobs_error(builder: ModuleType, tmp_path: Path) -> None:
    a_dx(tmp_path, code=3)
    said = "dx build failed with exit code 3; the log has what it said"
    assert ran(builder, "applet") == (
        1, {"job_error.json": {"error": {"type": "AppError", "message": said}}},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({}, ["--destination", "container-1:/"]),
        ({"destination_override": "/n"}, ["--destination", "container-1:/n"]),
        ({"version_override": "1+git"}, ["--version", "1+git", "--destination", "container-1:/"]),
        (
            {"do_try_update": False, "do_check_syntax": False, "do_parallel_build": True},
            ["--no-check-syntax", "--no-update", "--destination", "container-1:/"],
        ),
    ],
)
def test_what_was_asked_for_is_asked_of_dx(
    builder: ModuleType, options: dict[str, Any], wanted: list[str]
) -> None:
    called = builder.arguments("applet", options, None)
    assert called == ["dx", "build", "--json", "--yes", *wanted, builder.SOURCE]


@pytest.mark.parametrize("name", ["version_override", "destination_override"])
def test_an_option_that_is_no_text_is_the_jobs_error(
    builder: ModuleType, tmp_path: Path, name: str
) -> None:
    a_dx(tmp_path)
    code, told = ran(builder, "applet", build_options={name: 1})
    assert code == 1
    message = f'Expected key "{name}" of build_options to be a string'
    assert told["job_error.json"]["error"] == {"type": "AppError", "message": message}


def test_the_program_can_be_read_by_python_2() -> None:
    assert (inside_out.RUNTIME / "remote_build.py").read_bytes().isascii()
