"""Which processors a sandbox gets, on folders of our own."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plasmid.engines import cgroups, cpus


@given(st.sets(st.integers(0, 300)))
def test_a_list_of_processors_is_read_as_it_is_written(some: set[int]) -> None:
    assert cpus.parse(cpus.listed(some)) == sorted(some)


@pytest.mark.parametrize(
    ("text", "numbers"), [("0", [0]), ("0-2,5\n", [0, 1, 2, 5]), ("\n", []), ("7-7", [7])]
)
def test_the_kernels_way_of_writing_is_known(text: str, numbers: list[int]) -> None:
    assert cpus.parse(text) == numbers


@pytest.mark.parametrize(
    ("taken", "count", "chosen"),
    [
        ([], 1, [0]),
        ([], 2, [0, 1]),
        ([[0]], 1, [1]),
        ([[0, 1]], 2, [2, 3]),
        ([[0, 1], [2, 3], [2, 3]], 2, [0, 1]),
        ([[0], [1], [2], [3]], 1, [0]),
        ([[9]], 1, [0]),
        ([], 4, [0, 1, 2, 3]),
        ([[0]], 64, [0, 1, 2, 3]),
    ],
)
def test_the_least_used_are_chosen(taken: list[list[int]], count: int, chosen: list[int]) -> None:
    assert cpus.choose([0, 1, 2, 3], taken, count) == chosen


def test_what_others_have_is_read_from_their_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpus, "here", lambda: [0, 1, 2])
    for name, text in {"a": "0", "b": "1\n", "all": "0-2", "own": "2"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "cpuset.cpus").write_text(text)
    (tmp_path / "going").mkdir()
    groups = [cgroups.Group(1, str(tmp_path / "own"), ("cpuset",))]
    assert cpus.choose_for(groups, 1) == [2]
    assert cpus.choose_for(groups, 0) == [0, 1, 2]
    assert cpus.choose_for([cgroups.Group(1, str(tmp_path / "own"), ("cpu",))], 1) == [0, 1, 2]


def test_the_first_sandbox_of_a_machine_finds_nothing_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpus, "here", lambda: [4, 5])
    groups = [cgroups.Group(2, str(tmp_path / "none" / "own"), ("cpu", "cpuset"))]
    assert cpus.choose_for(groups, 1) == [4]
