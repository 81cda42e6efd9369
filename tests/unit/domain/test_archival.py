"""The archival states of a copy (contract C.9)."""

from __future__ import annotations

import pytest

from plasmid.domain import archival, errors


@pytest.mark.parametrize(
    "kept, until_ms, state",
    [
        (None, None, "live"),
        ("archival", None, "archival"),
        ("archived", None, "archived"),
        ("unarchiving", 101, "unarchiving"),
        ("unarchiving", 100, "live"),
        ("unarchiving", None, "unarchiving"),
    ],
)
def test_a_copy_that_comes_back_is_live_when_its_time_has_come(
    kept: str | None, until_ms: int | None, state: str
) -> None:
    assert archival.state_of(kept, until_ms, now_ms=100) == state


@pytest.mark.parametrize("state", ["archival", "archived", "unarchiving"])
def test_only_a_live_copy_can_be_used(state: str) -> None:
    archival.require_live("file-1", "live", "downloaded")
    with pytest.raises(errors.InvalidState, match=f"cannot be downloaded: .* {state}"):
        archival.require_live("file-1", state, "downloaded")


@pytest.mark.parametrize(
    "state, same_payer, may",
    [
        ("live", False, True),
        ("archived", True, True),
        ("archival", True, True),
        ("archived", False, False),
        ("unarchiving", True, False),
    ],
)
def test_an_archived_copy_is_cloned_where_the_same_entity_pays(
    state: str, same_payer: bool, may: bool
) -> None:
    if may:
        archival.require_clonable("file-1", state, same_payer=same_payer)
    else:
        with pytest.raises(errors.InvalidState, match="cannot be cloned"):
            archival.require_clonable("file-1", state, same_payer=same_payer)
