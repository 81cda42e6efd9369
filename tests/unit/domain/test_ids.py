"""Ids are made from given randomness, read back by class, and told from what is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plasmid.domain import ids


@given(st.sampled_from(sorted(ids.RANDOM_CLASSES)), st.binary(min_size=15, max_size=15))
def test_a_minted_id_is_one_of_its_class(class_name: str, randomness: bytes) -> None:
    minted = ids.mint(class_name, randomness)
    assert (ids.class_of(minted), ids.is_id(minted, class_name)) == (class_name, True)


@given(st.binary(min_size=15, max_size=15), st.binary(min_size=15, max_size=15))
def test_different_randomness_makes_different_ids(one: bytes, other: bytes) -> None:
    # 31^24 is a little below 2^120, so the very last numbers come round again.
    top = len(ids.ALPHABET) ** ids.ID_LENGTH
    numbers = [int.from_bytes(bytes_) % top for bytes_ in (one, other)]
    assert (ids.mint("file", one) == ids.mint("file", other)) == (numbers[0] == numbers[1])


@pytest.mark.parametrize(
    "value",
    [
        "file-1234",
        "file-0123456789012345678901234",
        "FILE-012345678901234567890123",
        "file-01234567890123456789012/",
        "user-",
        "team-012345678901234567890123",
        "",
        None,
        7,
    ],
)
def test_what_is_no_id_is_none(value: object) -> None:
    assert not ids.is_id(value)


def test_handles_name_users_and_orgs() -> None:
    assert (ids.class_of("user-ada.l"), ids.class_of("org-x_1")) == ("user", "org")


def test_an_id_of_another_class_is_not_of_this_one() -> None:
    record = "record-012345678901234567890123"
    assert not ids.is_id(record, "file", "applet")
    assert (ids.is_data_object(record), ids.is_container(record)) == (True, False)
    assert ids.is_container("project-012345678901234567890123")
