"""Ids: what is one, of which class, and how one is made."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plasmid.domain import ids

GOOD = "0123456789BFGJKPQVXYZbfg"


@given(st.sampled_from(sorted(ids.RANDOM_CLASSES)), st.binary(min_size=15, max_size=40))
def test_a_minted_id_is_one_of_its_class(class_name: str, randomness: bytes) -> None:
    minted = ids.mint(class_name, randomness)
    prefix, _, letters = minted.partition("-")
    assert prefix == class_name
    assert len(letters) == ids.ID_LENGTH
    assert set(letters) <= set(ids.ALPHABET)
    assert ids.class_of(minted) == class_name
    assert ids.is_id(minted, class_name, "other")


@given(st.sets(st.binary(min_size=15, max_size=15), min_size=2, max_size=20))
def test_different_randomness_gives_different_ids(several: set[bytes]) -> None:
    assert len({ids.mint("job", randomness) for randomness in several}) == len(several)


def test_all_of_the_randomness_counts() -> None:
    made = {ids.mint("file", bytes([*([0] * n), 1, *([0] * (14 - n))])) for n in range(15)}
    assert len(made) == 15


@pytest.mark.parametrize(
    ("entity", "class_name"),
    [
        (f"file-{GOOD}", "file"),
        (f"project-{GOOD}", "project"),
        (f"container-{GOOD}", "container"),
        (f"globalworkflow-{GOOD}", "globalworkflow"),
        ("user-a.b_C1", "user"),
        ("org-x", "org"),
        (f"file-{GOOD}0", None),
        (f"file-{GOOD[1:]}", None),
        (f"file-{GOOD[1:]}-", None),
        (f"file-{GOOD}\n", None),
        (f" file-{GOOD}", None),
        (f"FILE-{GOOD}", None),
        (f"thing-{GOOD}", None),
        ("file-", None),
        ("user-", None),
        ("user-a b", None),
        ("user-ü", None),
        ("", None),
    ],
)
def test_the_class_an_id_names(entity: str, class_name: str | None) -> None:
    assert ids.class_of(entity) == class_name
    assert ids.is_id(entity) == (class_name is not None)


@pytest.mark.parametrize("value", [None, 1, True, [], {}, f"job-{GOOD}".encode()])
def test_what_is_no_text_is_no_id(value: object) -> None:
    assert not ids.is_id(value)
    assert not ids.is_data_object(value)
    assert not ids.is_container(value)


@pytest.mark.parametrize(
    ("class_name", "is_object", "is_container"),
    [
        ("file", True, False),
        ("record", True, False),
        ("applet", True, False),
        ("workflow", True, False),
        ("database", True, False),
        ("project", False, True),
        ("container", False, True),
        ("job", False, False),
        ("app", False, False),
    ],
)
def test_what_an_id_is(class_name: str, *, is_object: bool, is_container: bool) -> None:
    entity = f"{class_name}-{GOOD}"
    assert ids.is_data_object(entity) is is_object
    assert ids.is_container(entity) is is_container
