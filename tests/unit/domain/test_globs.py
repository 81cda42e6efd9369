"""Patterns for names: what a glob matches, in Python and in SQL."""

from __future__ import annotations

import sqlite3
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plasmid.domain import errors, globs

pieces = st.sampled_from(["*", "?", "\\", "\\*", "\\?", "[", "]", "a", "B", "b", "%", "_", "\n"])
patterns = st.lists(pieces, max_size=6).map("".join)
names = st.text(st.sampled_from("aBb*?[]\\%_\n"), max_size=6)


@pytest.fixture(scope="module")
def database() -> sqlite3.Connection:
    return sqlite3.connect(":memory:")


def is_like(pattern: str, name: str) -> bool:
    return globs.matcher(globs.NamePattern("glob", pattern))(name)


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("ba*", "bar", True),
        ("ba*", "ba", True),
        ("ba*", "abar", False),
        ("?est_apple*", "test_applet", True),
        ("test_apples*", "test_applet", False),
        ("?", "ü", True),
        ("?", "", False),
        ("*", "", True),
        ("**a**", "bab", True),
        ("*a*b", "aab", True),
        ("*a*b", "aba", False),
        ("a", "A", False),
        ("[ab]", "a", False),
        ("[ab]", "[ab]", True),
        (r"\*", "*", True),
        (r"\*", "a", False),
        (r"a\\b", r"a\b", True),
        (r"\?\[x", "?[x", True),
        ("a\\", "a\\", True),
        ("a.b", "axb", False),
        ("*\n*", "a\nb", True),
    ],
)
def test_a_glob_knows_star_question_mark_and_backslash(
    pattern: str, name: str, matches: bool
) -> None:
    assert is_like(pattern, name) is matches


@given(patterns, names)
@settings(max_examples=100, deadline=None)
def test_like_matches_the_same_but_for_case(
    database: sqlite3.Connection, pattern: str, name: str
) -> None:
    statement = r"SELECT ? LIKE ? ESCAPE '\'"
    (found,) = database.execute(statement, (name, globs.like(pattern))).fetchone()
    assert bool(found) is is_like(pattern.lower(), name.lower())


@given(patterns, names)
def test_every_name_that_a_glob_matches_is_in_its_range(pattern: str, name: str) -> None:
    low, high = globs.prefix_range(pattern)
    if is_like(pattern, name):
        assert low <= name
        assert high is None or name < high


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("x*", ("x", "y")),
        ("a\\*b?", ("a*b", "a*c")),
        ("*x", ("", None)),
        ("a\ud7ff*", ("a\ud7ff", "a\ue000")),
        ("a\U0010ffff*", ("a\U0010ffff", "b")),
        ("\U0010ffff*", ("\U0010ffff", None)),
    ],
)
def test_the_range_of_a_glob_begins_with_its_literal_start(
    pattern: str, expected: tuple[str, str | None]
) -> None:
    assert globs.prefix_range(pattern) == expected


@pytest.mark.parametrize("pattern", ["*a" * 400 + "b", "*" + "a" * 990 + "b", "?" * 999 + "b"])
def test_a_hostile_glob_takes_no_time(pattern: str) -> None:
    started = time.process_time()
    assert is_like(pattern, "a" * 300_000) is False
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    ("glob", "name"),
    [("plain name.txt", "plain name.txt"), (r"a\*\?b\\", "a*?b\\"), ("a*", None), ("?", None)],
)
def test_a_glob_without_wildcards_means_one_name(glob: str, name: str | None) -> None:
    assert globs.literal(glob) == name


@pytest.mark.parametrize(
    ("value", "pattern"),
    [
        (None, None),
        ("a*", globs.NamePattern("exact", "a*")),
        ({"glob": "a*"}, globs.NamePattern("glob", "a*")),
        ({"regexp": "a+"}, globs.NamePattern("regexp", "a+")),
        ({"regexp": "a" * 1000}, globs.NamePattern("regexp", "a" * 1000)),
        ({"glob": "a" * 1000}, globs.NamePattern("glob", "a" * 1000)),
        ({"regexp": "a+", "flags": ""}, globs.NamePattern("regexp", "a+")),
        ({"regexp": "a+", "flags": "i"}, globs.NamePattern("regexp", "a+", ignore_case=True)),
    ],
)
def test_a_name_is_read_in_three_forms(value: Any, pattern: globs.NamePattern | None) -> None:
    assert globs.read(value) == pattern


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (3, 'key "name" of input to be a string, {"glob"'),
        ({}, 'key "name" of input'),
        ({"glob": "a", "regexp": "a"}, 'key "name" of input'),
        ({"glob": 3}, 'key "glob" of input.name to be a string'),
        ({"regexp": None}, 'input.name to have property "regexp"'),
        ({"regexp": "a", "flags": "x"}, 'key "flags" of input.name to be "i" or absent'),
        ({"regexp": "a("}, 'key "regexp" of input.name to be a regular expression: missing )'),
        ({"regexp": "a" * 1001}, "a pattern of at most 1000 characters"),
        ({"glob": "a" * 1001}, "a pattern of at most 1000 characters"),
    ],
)
def test_a_wrong_name_is_refused_by_key(value: Any, message: str) -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        globs.read(value)
    assert message in caught.value.message


def test_exact_names_and_expressions_match() -> None:
    exact = globs.matcher(globs.NamePattern("exact", "a*"))
    assert (exact("a*"), exact("ab")) == (True, False)
    found = globs.matcher(globs.NamePattern("regexp", "B.r", ignore_case=True))
    assert (found("a bar"), found("ba")) == (True, False)
