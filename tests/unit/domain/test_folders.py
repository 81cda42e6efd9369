"""Paths of folders have one normal form, and their relations follow from it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plasmid.domain import errors, folders

letters = st.characters(min_codepoint=0x20, exclude_characters="/", exclude_categories=["Cs"])
names = st.text(letters, min_size=1, max_size=4).filter(lambda name: name not in (".", ".."))
paths = st.lists(names, max_size=4).map(lambda parts: "/" + "/".join(parts))


@pytest.mark.parametrize(
    ("given_path", "normal"),
    [
        ("/", "/"),
        ("///", "/"),
        ("/a//b////c/", "/a/b/c"),
        ("/ü b/.hidden/...", "/ü b/.hidden/..."),
    ],
)
def test_a_path_is_brought_to_its_normal_form(given_path: str, normal: str) -> None:
    assert folders.normalise(given_path) == normal


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (None, 'Expected key "folder" of input to be a string'),
        (3, 'key "folder" of input to be a string'),
        ("", 'starts with "/"'),
        ("a/b", 'starts with "/", got "a/b"'),
        ("/a/../b", 'without "." and ".." in it, found ".."'),
        ("/.", 'found "."'),
        ("/a\nb", r"control characters, found 'a\nb'"),
        ("/a/\x00", "control characters"),
    ],
)
def test_a_bad_path_is_refused_by_name(path: object, message: str) -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        folders.normalise(path)
    assert message in caught.value.message


def test_the_message_names_the_key() -> None:
    with pytest.raises(errors.InvalidInput, match='key "newpath" of input'):
        folders.normalise("x", "newpath")


def test_an_absent_folder_is_the_default() -> None:
    assert folders.read({}) == "/"
    assert folders.read({"folder": None}, default="/x") == "/x"
    assert folders.read({"destination": "/a/"}, "destination") == "/a"


@pytest.mark.parametrize(
    ("path", "parent", "name"),
    [
        ("/", "/", ""),
        ("/a", "/", "a"),
        ("/a/b/c", "/a/b", "c"),
    ],
)
def test_the_parts_of_a_path(path: str, parent: str, name: str) -> None:
    assert folders.parent(path) == parent
    assert folders.name(path) == name


@pytest.mark.parametrize(
    ("path", "folder", "inside"),
    [
        ("/a/b", "/a", True),
        ("/a", "/a", True),
        ("/ab", "/a", False),
        ("/a", "/a/b", False),
        ("/a", "/", True),
        ("/", "/a", False),
    ],
)
def test_inside_means_the_folder_or_below(path: str, folder: str, inside: bool) -> None:
    assert folders.is_inside(path, folder) is inside


@pytest.mark.parametrize(
    ("path", "old", "new", "moved"),
    [
        ("/a/b", "/a", "/x/y", "/x/y/b"),
        ("/a", "/a", "/x", "/x"),
        ("/a/a/c", "/a", "/", "/a/c"),
        ("/a", "/", "/x", "/x/a"),
    ],
)
def test_a_path_moves_with_its_folder(path: str, old: str, new: str, moved: str) -> None:
    assert folders.rebase(path, old, new) == moved


@given(paths)
@settings(max_examples=50, deadline=None)
def test_a_normal_form_stays_as_it_is(path: str) -> None:
    assert folders.normalise(path) == path
    assert folders.normalise(path.replace("/", "//") + "/") == path


@given(paths, names)
@settings(max_examples=50, deadline=None)
def test_a_joined_path_splits_again(folder: str, name: str) -> None:
    path = folders.join(folder, name)
    assert (folders.parent(path), folders.name(path)) == (folder, name)
