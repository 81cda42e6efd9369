"""How large the parts of a file may be, and when a file may close (contract C.2, D.3, D.4)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from plasmid.domain import errors

MIB: Final = 1024 * 1024


class UploadLimits(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`fileUploadParameters` of a container, by its region; sizes in bytes."""

    minimum_part_size: int
    maximum_part_size: int
    empty_last_part_allowed: bool
    maximum_num_parts: int
    maximum_file_size: int


AWS: Final = UploadLimits(
    minimum_part_size=5 * MIB,
    maximum_part_size=5120 * MIB,
    empty_last_part_allowed=True,
    maximum_num_parts=10_000,
    maximum_file_size=5_497_558_138_880,
)
AZURE: Final = UploadLimits(
    minimum_part_size=1,
    maximum_part_size=4 * MIB,
    empty_last_part_allowed=False,
    maximum_num_parts=50_000,
    maximum_file_size=209_715_200_000,
)


class UploadedPart(msgspec.Struct, frozen=True):
    """One part of a file: its index from 1 on, its size, and whether its bytes are all there."""

    index: int
    size_bytes: int
    is_complete: bool = True


def for_region(region: str) -> UploadLimits:
    """Return the limits of a region."""
    return AZURE if region.startswith("azure:") else AWS


def parameters(limits: UploadLimits) -> dict[str, Any]:
    """Return the limits as a describe shows them."""
    shown: dict[str, Any] = msgspec.to_builtins(limits)
    return shown


def check_part(index: int, size_bytes: int, *, limits: UploadLimits = AWS) -> None:
    """Refuse with InvalidInput a part that no file may have.

    The least size is checked when the file closes, because the last part may be smaller.
    """
    _check_range("index", index, 1, limits.maximum_num_parts)
    smallest = 0 if limits.empty_last_part_allowed else 1
    _check_range("size", size_bytes, smallest, limits.maximum_part_size)


def _check_range(key: str, value: int, smallest: int, largest: int) -> None:
    if not smallest <= value <= largest:
        message = f'Expected key "{key}" of input to be in range [{smallest}, {largest}]'
        raise errors.InvalidInput(f"{message}, got {value}")


def check_parts_for_close(parts: Iterable[UploadedPart], *, limits: UploadLimits = AWS) -> int:
    """Return the size of a file whose parts, in any order, allow it to close.

    Raises InvalidState that names the part. Where parts may not be empty, a file may have none.
    """
    ordered = sorted(parts, key=lambda part: part.index)
    if not ordered and limits.empty_last_part_allowed:
        raise errors.InvalidState("The file has no parts: upload at least one, which may be empty")
    for part in ordered:
        if not part.is_complete:
            message = f"Part {part.index} has not been uploaded: upload it, then close the file"
            raise errors.InvalidState(message)
    for part in ordered[:-1]:
        if part.size_bytes < limits.minimum_part_size:
            least = f"every part but the last needs {limits.minimum_part_size}"
            raise errors.InvalidState(f"Part {part.index} has {part.size_bytes} bytes, {least}")
    size_bytes = sum(part.size_bytes for part in ordered)
    if size_bytes > limits.maximum_file_size:
        most = f"a file may have {limits.maximum_file_size}"
        raise errors.InvalidState(f"The parts have {size_bytes} bytes together, {most}")
    return size_bytes
