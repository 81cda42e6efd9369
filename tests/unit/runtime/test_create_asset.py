"""The asset builder's own decisions: what is installed, what is kept; the rest runs end to end."""

from __future__ import annotations

import importlib.util
import json
import sys
import tarfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.unit.runtime import inside_out


@pytest.fixture
def builder(tmp_path: Path) -> ModuleType:
    path = inside_out.put(tmp_path, "create_asset.py", "/opt/plasmid/create-asset/create_asset.py")
    found = importlib.util.spec_from_file_location("create_asset", path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    module.WORK = str(tmp_path / "work")  # type: ignore[attr-defined]
    (tmp_path / "work").mkdir()
    (tmp_path / "home/dnanexus").mkdir(parents=True)
    return module


def test_neighbours_of_one_manager_are_one_group(builder: ModuleType) -> None:
    found = builder.plan(
        [
            {"name": "a"}, {"name": "jq"}, {"name": "b", "version": "1"},
            {"name": "p", "package_manager": "pip", "version": 2}, {"name": "c"},
            {"name": "g", "package_manager": "git", "url": "https://x/g.git", "tag": "v1"},
            {"name": "h", "package_manager": "git", "url": "https://x/h.git"},
        ]
    )  # fmt: skip
    assert [(group["manager"], [it["name"] for it in group["packages"]]) for group in found] == [
        ("apt", ["a", "b"]), ("pip", ["p"]), ("apt", ["c"]), ("git", ["g"]), ("git", ["h"]),
    ]  # fmt: skip
    assert found[1]["packages"] == [{"name": "p", "version": "2"}]
    assert [group["index"] for group in found] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "entries, said",
    [
        ("x", "must be an array"),
        ([5], "no name"),
        ([{"name": ""}], "no name"),
        ([{"name": "-oDebug::x=1"}], "no name that apt could install"),
        ([{"name": "a", "package_manager": "brew"}], "no package manager brew"),
        ([{"name": "a", "package_manager": "git"}], "has no url"),
        ([{"name": "a", "package_manager": "git", "url": "--upload-pack=x"}], "no name that git"),
        ([{"name": "a", "package_manager": "git", "url": "u", "tag": "-x"}], "no name that git"),
    ],
)
def test_what_cannot_be_installed_is_refused(
    builder: ModuleType, entries: object, said: str
) -> None:
    with pytest.raises(builder.AssetError, match=said):
        builder.plan(entries)


@pytest.mark.parametrize(
    "text, said",
    [
        ("{", "not valid JSON"),
        ("[]", 'no "name"'),
        ('{"name": 5}', 'no "name"'),
        ('{"name": "a", "excludeResource": "/x"}', "excludeResource"),
    ],
)
def test_a_configuration_that_is_wrong_is_refused(
    builder: ModuleType, tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "conf").write_text(text)
    with pytest.raises(builder.AssetError, match=said):
        builder.read_conf(str(tmp_path / "conf"))


def test_new_and_different_files_are_kept_and_the_authors_own_wherever_they_lie(
    builder: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "own"
    own.touch()
    before = {"/same": (1, 2), "/other": (1, 2), "/gone": (1,), "/left/x": (1,)}
    after = {"/same": (1, 2), "/other": (1, 3), "/new": (1,), "/left/x": (2,), "/leftover": (1,)}
    found = builder.changes(before, after, [str(own), "/proc/1/x", "/not/there"], ["/left/"])
    assert found == sorted(["/leftover", "/new", "/other", str(own)])
    assert "1 files were deleted" in capsys.readouterr().out


def test_a_mark_tells_every_change_of_a_file(builder: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("a")
    marks = [builder.mark_of(str(path))]
    path.chmod(0o711)
    marks.append(builder.mark_of(str(path)))
    path.write_text("bb")
    marks.append(builder.mark_of(str(path)))
    assert len(set(marks)) == 3
    assert builder.mark_of(str(tmp_path / "none")) is None


def test_hostile_names_are_packed_as_they_are(builder: ModuleType, tmp_path: Path) -> None:
    names = ["a b", "-rf", "new\nline", "ü$(x)'\"", b"\xff".decode("utf-8", "surrogateescape")]
    for name in names:
        (tmp_path / name).write_text("x")
    archive = builder.pack([str(tmp_path / name) for name in names])
    with tarfile.open(archive) as tar:
        found = tar.getnames()
    assert found == [f".{tmp_path}/{name}" for name in names]


def test_a_failure_is_the_jobs_error_in_one_line(
    builder: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home/dnanexus"
    (home / "job_input.json").write_text('{"conf_json": {"$dnanexus_link": "file-x"}}')

    def broken(_: dict[str, Any]) -> str:
        return str(builder.run([sys.executable, "-c", "print('why'); exit(3)"], "it broke"))

    monkeypatch.setattr(builder, "build", broken)
    assert builder.main() == 1
    error = json.loads((home / "job_error.json").read_text())["error"]
    assert error["type"] == "AppError"
    assert error["message"].startswith("it broke: ")
    assert error["message"].endswith("ended with code 3: why")
    assert not (home / "job_output.json").exists()


def test_what_cannot_be_run_is_named(builder: ModuleType) -> None:
    with pytest.raises(builder.AssetError, match="it failed: no-such-program cannot be run"):
        builder.run(["no-such-program"], "it failed")
