"""Signed paths."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plasmid.domain import errors
from plasmid.methods import signing
from plasmid.methods.signing import DownloadClaim, UploadClaim

FILE = "file-" + "B" * 24
UPLOAD = UploadClaim(FILE, 1, 5, "m", 100)
DOWNLOAD = DownloadClaim(FILE, "user-alice", 10, 100)


def test_a_signed_path_gives_its_claim_back_until_it_expires() -> None:
    path = signing.upload_path(b"key", UPLOAD)
    assert path.startswith(f"/U/{FILE}/")
    assert signing.verify(b"key", path, UploadClaim, 99) == UPLOAD
    with pytest.raises(errors.PermissionDenied, match="expired"):
        signing.verify(b"key", path, UploadClaim, 100)


def test_a_name_may_follow_a_download_path() -> None:
    path = signing.download_path(b"key", DOWNLOAD)
    assert signing.verify(b"key", f"{path}/a/b.txt", DownloadClaim, 0) == DOWNLOAD


def test_the_same_claim_gives_the_same_path() -> None:
    assert signing.download_path(b"key", DOWNLOAD) == signing.download_path(b"key", DOWNLOAD)


def test_another_key_or_another_purpose_is_refused() -> None:
    path = signing.upload_path(b"key", UPLOAD)
    with pytest.raises(errors.PermissionDenied):
        signing.verify(b"other", path, UploadClaim, 0)
    with pytest.raises(errors.PermissionDenied):
        signing.verify(b"key", path.replace("/U/", "/F/"), DownloadClaim, 0)
    with pytest.raises(errors.PermissionDenied):
        signing.verify(b"key", path.replace(FILE, "file-" + "F" * 24), UploadClaim, 0)


@given(st.integers(0, 200), st.characters(codec="ascii"))
def test_no_change_of_a_letter_passes(position: int, letter: str) -> None:
    path = signing.upload_path(b"key", UPLOAD)
    head, _, claim = path.rpartition("/")
    position %= len(claim)
    changed = claim[:position] + letter + claim[position + 1 :]
    if changed == claim:
        return
    try:
        found = signing.verify(b"key", f"{head}/{changed}", UploadClaim, 0)
    except errors.PermissionDenied:
        return
    assert found == UPLOAD, "only padding bits may differ"


@given(st.text(max_size=60))
def test_no_path_is_a_bug(text: str) -> None:
    with pytest.raises(errors.PermissionDenied):
        signing.verify(b"key", text, UploadClaim, 0)
    with pytest.raises(errors.PermissionDenied):
        signing.verify(b"key", text, DownloadClaim, 0)
