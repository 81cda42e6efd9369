"""The sizes of parts, and which parts make a file."""

from __future__ import annotations

import pytest

from plasmid.domain import errors, upload_limits
from plasmid.domain.upload_limits import AWS, AZURE, MIB, UploadedPart, UploadLimits


def test_the_limits_are_shown_as_the_client_reads_them() -> None:
    assert upload_limits.parameters(upload_limits.for_region("aws:us-east-1")) == {
        "minimumPartSize": 5242880,
        "maximumPartSize": 5368709120,
        "emptyLastPartAllowed": True,
        "maximumNumParts": 10000,
        "maximumFileSize": 5497558138880,
    }
    assert upload_limits.parameters(upload_limits.for_region("azure:westus")) == {
        "minimumPartSize": 1,
        "maximumPartSize": 4194304,
        "emptyLastPartAllowed": False,
        "maximumNumParts": 50000,
        "maximumFileSize": 209715200000,
    }


@pytest.mark.parametrize(
    ("index", "size_bytes", "limits"),
    [(1, 0, AWS), (10_000, 5120 * MIB, AWS), (1, 3, AWS), (50_000, 4 * MIB, AZURE), (1, 1, AZURE)],
)
def test_a_part_within_the_limits_is_accepted(
    index: int, size_bytes: int, limits: UploadLimits
) -> None:
    upload_limits.check_part(index, size_bytes, limits=limits)


@pytest.mark.parametrize(
    ("index", "size_bytes", "limits", "message"),
    [
        (0, 5, AWS, 'Expected key "index" of input to be in range [1, 10000], got 0'),
        (10_001, 5, AWS, 'key "index" of input to be in range [1, 10000], got 10001'),
        (1, -1, AWS, 'key "size" of input to be in range [0, 5368709120], got -1'),
        (1, 5120 * MIB + 1, AWS, 'key "size" of input to be in range [0, 5368709120]'),
        (1, 0, AZURE, 'key "size" of input to be in range [1, 4194304], got 0'),
    ],
)
def test_a_part_outside_the_limits_is_refused(
    index: int, size_bytes: int, limits: UploadLimits, message: str
) -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        upload_limits.check_part(index, size_bytes, limits=limits)
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("parts", "limits", "size_bytes"),
    [
        ([UploadedPart(1, 0)], AWS, 0),
        ([UploadedPart(1, 1)], AWS, 1),
        ([UploadedPart(2, 3), UploadedPart(1, 5 * MIB)], AWS, 5 * MIB + 3),
        ([UploadedPart(7, 5 * MIB), UploadedPart(9, 0)], AWS, 5 * MIB),
        ([], AZURE, 0),
        ([UploadedPart(i, 5120 * MIB) for i in range(1, 1025)], AWS, AWS.maximum_file_size),
    ],
)
def test_a_file_may_close_when_its_parts_are_right(
    parts: list[UploadedPart], limits: UploadLimits, size_bytes: int
) -> None:
    assert upload_limits.check_parts_for_close(parts, limits=limits) == size_bytes


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([], "The file has no parts: upload at least one, which may be empty"),
        (
            [UploadedPart(1, 5 * MIB), UploadedPart(2, 9, is_complete=False)],
            "Part 2 has not been uploaded: upload it, then close the file",
        ),
        (
            [UploadedPart(2, 9), UploadedPart(1, 5)],
            "Part 1 has 5 bytes, every part but the last needs 5242880",
        ),
        (
            [UploadedPart(index, 5120 * MIB) for index in range(1, 1026)],
            "The parts have 5502926848000 bytes together, a file may have 5497558138880",
        ),
    ],
)
def test_a_file_whose_parts_are_wrong_stays_open(parts: list[UploadedPart], message: str) -> None:
    with pytest.raises(errors.InvalidState) as caught:
        upload_limits.check_parts_for_close(parts)
    assert caught.value.message == message
