"""A try's folder tells the next worker all it needs."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from plasmid.domain import assignments
from plasmid.worker import try_folder
from tests.unit.worker import fake_platform


def test_what_was_kept_is_found_again(tmp_path: Path) -> None:
    given = fake_platform.an_assignment("echo ü", input={"a": [1.5, None]})
    folder = try_folder.TryFolder.create(tmp_path, given)
    assert (folder.started_ms(), folder.finished()) == (None, None)
    folder.mark_started(17)
    finished = assignments.Finished(worker="w", attempt=0, output={"a": 1})
    folder.keep_finished(finished)
    (found,) = try_folder.find_all(tmp_path)
    assert (found.assignment(), found.started_ms(), found.finished()) == (given, 17, finished)


def test_on_what_a_try_runs_is_known_once_its_image_is(tmp_path: Path) -> None:
    folder = try_folder.TryFolder.create(tmp_path, fake_platform.an_assignment())
    assert folder.ran() is None
    folder.keep_image("debian-12", "abc")
    folder.keep_layers(["one", "two"])
    assert folder.ran() == assignments.Ran("debian-12", "abc", ["one", "two"])


def test_the_token_is_for_the_workers_user_only(tmp_path: Path) -> None:
    folder = try_folder.TryFolder.create(tmp_path, fake_platform.an_assignment())
    mode = (folder.path / "assignment.json").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_a_folder_that_was_not_made_to_the_end_has_no_assignment(tmp_path: Path) -> None:
    (tmp_path / "job-x.0").mkdir()
    (found,) = try_folder.find_all(tmp_path)
    assert found.assignment() is None
    (tmp_path / "job-x.0" / "assignment.json").write_text('{"job": "jo')
    assert found.assignment() is None


def test_removing_leaves_nothing_and_may_be_repeated(tmp_path: Path) -> None:
    folder = try_folder.TryFolder.create(tmp_path, fake_platform.an_assignment())
    (folder.downloads / "0").write_text("x")
    folder.remove()
    folder.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_start_outlasts_a_power_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = try_folder.TryFolder.create(tmp_path, fake_platform.an_assignment())
    synced: list[Path] = []
    monkeypatch.setattr(
        os, "fsync", lambda fd: synced.append(Path(f"/proc/self/fd/{fd}").readlink())
    )
    folder.mark_started(17)
    files = [folder.path / "assignment.json", folder.path / "started"]
    assert synced == [*files, folder.path, tmp_path]
    folder.mark_started(18)  # by a worker that does not know how far the first one came
    assert (folder.started_ms(), len(synced)) == (17, 8)


def test_a_new_sandbox_meets_nothing_of_a_killed_removal(tmp_path: Path) -> None:
    folder = try_folder.TryFolder.create(tmp_path, fake_platform.an_assignment())
    (folder.sandbox / "work" / "work").mkdir(parents=True)
    folder.empty_sandbox()
    assert list(folder.sandbox.iterdir()) == []
