"""What is installed, and in which order."""

from __future__ import annotations

from typing import Any

import pytest

from plasmid.domain import dependencies, failures

FILE = "file-BBBBBBBBBBBBBBBBBBBBBBB1"


def plan(
    bundled: list[dict[str, Any]] | None = None,
    wanted: list[dict[str, Any]] | None = None,
    function: str = "main",
) -> dependencies.Plan:
    return dependencies.plan(bundled or [], wanted or [], function=function)


def managers(made: dependencies.Plan) -> list[tuple[str, int, list[str]]]:
    return [(g.manager, g.index, [p.name for p in g.packages]) for g in made.groups]


def test_neighbours_of_one_manager_are_one_group_and_apt_is_the_default() -> None:
    made = plan(
        wanted=[
            {"name": "a"},
            {"name": "b", "package_manager": "apt"},
            {"name": "c", "package_manager": "pip"},
            {"name": "d"},
        ]
    )
    assert managers(made) == [("apt", 0, ["a", "b"]), ("pip", 1, ["c"]), ("apt", 2, ["d"])]


def test_each_git_repository_is_a_group_of_its_own() -> None:
    repository = {"name": "r", "package_manager": "git", "url": "https://host/r.git"}
    assert [index for _, index, _ in managers(plan(wanted=[repository, repository]))] == [0, 1]


def test_logs_are_numbered_after_the_bundles() -> None:
    made = plan([{"name": "r.tar.gz", "id": {"$dnanexus_link": FILE}}], [{"name": "a"}])
    assert (made.bundles[0].file_id, made.groups[0].index) == (FILE, 1)


@pytest.mark.parametrize("name", ["dx-toolkit", "jq", "python-argcomplete"])
def test_what_every_image_has_is_not_installed_by_apt_but_by_others(name: str) -> None:
    made = plan(wanted=[{"name": name}, {"name": name, "package_manager": "pip"}])
    assert [manager for manager, _, _ in managers(made)] == ["pip"]


def test_what_another_entry_point_needs_is_left_out_and_noted() -> None:
    wanted = [{"name": "a", "stages": ["process"]}, {"name": "b", "stages": ["main"]}]
    made = plan(wanted=wanted)
    assert [names for _, _, names in managers(made)] == [["b"]]
    assert "inactive in stage (function) main" in made.notes[0]
    assert [names for _, _, names in managers(plan(wanted=wanted, function="process"))] == [["a"]]


def test_a_bundle_that_is_no_file_is_skipped_and_noted() -> None:
    made = plan([{"name": "x", "id": {"$dnanexus_link": "record-BBBBBBBBBBBBBBBBBBBBBBB1"}}])
    assert (made.bundles, len(made.notes)) == ((), 1)


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"name": 3},
        {"name": "a", "package_manager": "yum"},
        {"name": "a", "package_manager": "git"},
        {"name": "--allow-unauthenticated"},
        {"name": "a", "package_manager": "git", "url": "--upload-pack=x"},
    ],
)
def test_a_wrong_entry_fails_the_job_and_says_so(entry: dict[str, Any]) -> None:
    with pytest.raises(failures.JobFailure, match="DXExecDependencyError") as caught:
        plan(wanted=[entry])
    assert caught.value.reason == failures.EXECUTION_ERROR


@pytest.mark.parametrize("name", ["../x.tar", "a/b.tar", ".."])
def test_a_bundle_with_a_path_for_a_name_is_refused(name: str) -> None:
    with pytest.raises(failures.JobFailure, match="no plain file name"):
        plan([{"name": name, "id": {"$dnanexus_link": FILE}}])


def test_versions_and_git_fields_are_kept() -> None:
    entry = {
        "name": "r",
        "package_manager": "git",
        "url": "u",
        "tag": "v1",
        "destdir": "/d",
        "build_commands": "make",
    }
    package = plan(wanted=[entry]).groups[0].packages[0]
    assert (package.url, package.tag, package.destdir, package.build_commands) == (
        "u",
        "v1",
        "/d",
        "make",
    )
