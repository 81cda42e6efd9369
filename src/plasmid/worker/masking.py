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
# What a job may register, in bytes of all forms: each pattern costs time with every block.
REGISTERED_BYTES_MAX: Final = 256 << 10
# Larger patterns make RE2 slow, as it then runs out of room for its states.
_PATTERN_BYTES_MAX: Final = 24 << 10
_STATES_BYTES_MAX: Final = 64 << 20
_log = structlog.get_logger()


class Masker:
    """Replaces secret values by ***; values may come at any time."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._values: set[str] = set()
        self._forms: set[bytes] = set()
        self._registered_bytes = 0
        self._chunks: list[_Chunk] = []
        self.margin = 0
        for value in values:
            self.add(value, is_given=True)

    def add(self, value: str, *, is_given: bool = False) -> str | None:
        """Mask a value from now on; returns why it is not, or None.

        What is given by the platform takes nothing of the room for what jobs register.
        """
        if value in self._values:
            return None
        refused = secret_forms.refusal(value)
        if refused is None and len(self._values) >= VALUES_MAX:
            refused = f"there are {VALUES_MAX} already"
        if refused is not None:
            return refused
        forms = secret_forms.of(value) - self._forms
        size = 0 if is_given else sum(map(len, forms))
        if self._registered_bytes + size > REGISTERED_BYTES_MAX:
            return f"the forms of all would have more than {REGISTERED_BYTES_MAX} bytes"
        self._registered_bytes += size
        self._values.add(value)
        self._forms |= forms
        for form in sorted(forms):
            if not self._chunks or not self._chunks[-1].takes(form):
                self._chunks.append(_Chunk(form))
        # What stands at the end of a text and is shorter than this may be the begin of a secret.
        self.margin = max(map(len, self._forms), default=1) - 1
        return None

    def finds(self, data: bytes) -> bool:
        """Say whether a value is in some bytes."""
        return any(chunk.pattern.search(data) is not None for chunk in self._chunks)

    def mask(self, data: bytes) -> bytes:
        """Return bytes with all values masked; a masked value never has a line break."""
        return _shown(data, _joined(self._found(data)))

    def mask_text(self, text: str) -> str:
        """Return a text with all values masked."""
        data = text.encode("utf-8", "replace")
        return self.mask(data).decode("utf-8", "replace") if self.finds(data) else text

    def mask_before(self, data: bytes, end: int) -> tuple[bytes, int, bool]:
        """Mask what can be told before an end; also says where that stops, and if in a secret.

        The bytes from there on have to be masked again, together with what follows: they begin
        with a value if one was cut, which is the one that reaches farthest. So what is held back
        is shorter than a value, however many overlap, and whoever goes on there needs no more.
        """
        found = self._found(data)
        farthest = max(
            (span for span in found if span[0] < end),
            key=lambda span: (span[1], span[0]),
            default=(end, end),
        )
        cut = farthest[0] if farthest[1] > end else end
        is_inside = any(start < cut < stop for start, stop in found)
        spans = _joined([(start, min(stop, cut)) for start, stop in found if start < cut])
        return _shown(data[:cut], spans), cut, is_inside

    def _found(self, data: bytes) -> list[tuple[int, int]]:
        """Return where values are, in order; those of two patterns may overlap."""
        found: list[tuple[int, int]] = []
        for chunk in self._chunks:
            if chunk.pattern.search(data) is not None:
                found += [match.span() for match in chunk.pattern.finditer(data)]
        return sorted(found)


class _Chunk:
    """Forms that are looked for by one pattern, made when it is needed."""

    def __init__(self, form: bytes) -> None:
        self._forms = [form]
        self._length = len(form)
        self._pattern: Any = None

    def takes(self, form: bytes) -> bool:
        """Take one more form if there is room for it, and say so."""
        if self._length + len(form) > _PATTERN_BYTES_MAX:
            return False
        self._forms.append(form)
        self._length += len(form)
        self._pattern = None
        return True

    @property
    def pattern(self) -> Any:
        if self._pattern is None:
            options = re2.Options()
            options.longest_match = True
            options.max_mem = _STATES_BYTES_MAX
            options.encoding = re2.Options.Encoding.LATIN1
            options.log_errors = False
            escaped = map(re2.escape, sorted(self._forms))
            self._pattern = re2.compile(b"|".join(escaped), options)
        return self._pattern


def _joined(found: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return sorted places; those that overlap are one."""
    spans: list[tuple[int, int]] = []
    for start, end in found:
        if spans and start < spans[-1][1]:
            spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
        else:
            spans.append((start, end))
    return spans


def _shown(data: bytes, spans: list[tuple[int, int]]) -> bytes:
    """Return bytes with *** in some places."""
    shown, at = [], 0
    for start, end in spans:
        shown += [data[at:start], MASK]
        at = end
    return b"".join([*shown, data[at:]]) if shown else data


def of(assignment: assignments.Assignment, registered: Iterable[str] = ()) -> Masker:
    """Return what masks the secrets of a try, and the values that it has registered so far."""
    masker = Masker(value for value in (assignment.token, assignment.context_secret) if value)
    _add_those_of_site(masker, assignment)
    for value in registered:
        _add(masker, assignment, value, is_given=False)
    return masker


def of_site(assignment: assignments.Assignment) -> Masker:
    """Return what masks the site's secrets only, for what knows nothing of the job itself."""
    masker = Masker()
    _add_those_of_site(masker, assignment)
    return masker


def _add_those_of_site(masker: Masker, assignment: assignments.Assignment) -> None:
    for value in assignment.secrets:
        _add(masker, assignment, value, is_given=True)


def _add(masker: Masker, assignment: assignments.Assignment, value: str, *, is_given: bool) -> None:
    refused = masker.add(value, is_given=is_given)
    if refused is not None:
        _log.warning("secret_not_masked", job=assignment.job, reason=refused)
