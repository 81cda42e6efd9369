"""Which skipped tests nobody explained: CI fails on those."""

from __future__ import annotations

import fnmatch
from pathlib import Path

ALLOWED = Path(__file__).with_name("allowed_skips.txt")


def reasons(text: str) -> dict[str, str]:
    """Return {pattern of test ids: reason} from lines `pattern  # reason`."""
    rows = [line.partition("#") for line in text.splitlines()]
    return {pattern.strip(): reason.strip() for pattern, _, reason in rows if pattern.strip()}


def unexplained(skipped: dict[str, str], allowed: dict[str, str]) -> list[str]:
    """Return `id: why` of the skips that match no pattern with a reason."""
    patterns = [pattern for pattern, reason in allowed.items() if reason]
    return [
        f"{test}: {why}"
        for test, why in sorted(skipped.items())
        if not any(fnmatch.fnmatchcase(test, pattern) for pattern in patterns)
    ]
