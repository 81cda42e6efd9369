"""Masks secret values in what leaves a try: its token, the site's secrets, and what it registers.

All forms of all values (domain/secret_forms.py) are alternatives of a few patterns, which run over
whole blocks: where none of them is, which is nearly always, it costs one search.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import re2
import structlog

from plasmid.domain import assignments, secret_forms

MASK: Final = b"***"
VALUES_MAX: Final = 1_000
# Larger patterns make RE2 slow, as it then runs out of room for its states.
_PATTERN_BYTES_MAX: Final = 24 << 10
_STATES_BYTES_MAX: Final = 64 << 20
_log = structlog.get_logger()


class Masker:
    """Replaces secret values by ***; values may come at any time."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._values: set[str] = set()
        self._forms: set[bytes] = set()
        self._patterns: list[Any] | None = []
        self.margin = 0
        for value in values:
            self.add(value)

    def add(self, value: str) -> str | None:
        """Mask a value from now on; returns why it is not, or None."""
        if value in self._values:
            return None
        refused = secret_forms.refusal(value)
        if refused is None and len(self._values) >= VALUES_MAX:
            refused = f"there are {VALUES_MAX} already"
        if refused is not None:
            return refused
        self._values.add(value)
        self._forms |= secret_forms.of(value)
        self._patterns = None
        # What stands at the end of a text and is shorter than this may be the begin of a secret.
        self.margin = max(map(len, self._forms), default=1) - 1
        return None

    def finds(self, data: bytes) -> bool:
        """Say whether a value is in some bytes."""
        return any(pattern.search(data) is not None for pattern in self._compiled())

    def mask(self, data: bytes) -> bytes:
        """Return bytes with all values masked; a masked value never has a line break."""
        shown, at = [], 0
        for start, end in self._spans(data):
            shown += [data[at:start], MASK]
            at = end
        return b"".join([*shown, data[at:]]) if shown else data

    def mask_text(self, text: str) -> str:
        """Return a text with all values masked."""
        data = text.encode("utf-8", "replace")
        return self.mask(data).decode("utf-8", "replace") if self.finds(data) else text

    def whole_before(self, data: bytes, end: int) -> int:
        """Return the last place up to an end at which no value is cut in two."""
        return next((start for start, stop in self._spans(data) if start < end < stop), end)

    def _spans(self, data: bytes) -> list[tuple[int, int]]:
        """Return where values are, in order; those that overlap are one."""
        found: list[tuple[int, int]] = []
        for pattern in self._compiled():
            if pattern.search(data) is not None:
                found += [match.span() for match in pattern.finditer(data)]
        spans: list[tuple[int, int]] = []
        for start, end in sorted(found):
            if spans and start < spans[-1][1]:
                spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
            else:
                spans.append((start, end))
        return spans

    def _compiled(self) -> list[Any]:
        if self._patterns is None:
            options = re2.Options()
            options.longest_match = True
            options.max_mem = _STATES_BYTES_MAX
            options.encoding = re2.Options.Encoding.LATIN1
            options.log_errors = False
            self._patterns = [
                re2.compile(b"|".join(map(re2.escape, forms)), options)
                for forms in _chunks(sorted(self._forms))
            ]
        return self._patterns


def _chunks(forms: list[bytes]) -> list[list[bytes]]:
    chunks: list[list[bytes]] = []
    length = _PATTERN_BYTES_MAX
    for form in forms:
        if length + len(form) > _PATTERN_BYTES_MAX:
            chunks.append([])
            length = 0
        chunks[-1].append(form)
        length += len(form)
    return chunks


def of(assignment: assignments.Assignment, registered: Iterable[str] = ()) -> Masker:
    """Return what masks the secrets of a try, and the values that it has registered so far."""
    masker = Masker(value for value in (assignment.token, assignment.context_secret) if value)
    for value in (*assignment.secrets, *registered):
        refused = masker.add(value)
        if refused is not None:
            _log.warning("secret_not_masked", job=assignment.job, reason=refused)
    return masker
