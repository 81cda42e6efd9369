"""Which lines of a log `plasmid logs` prints, and how each is printed."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from plasmid.cli.trouble import CommandError
from plasmid.domain import metrics, regexps, terminal_text
from plasmid.domain.assignments import LogEntry
from plasmid.domain.regexps import Expression
from plasmid.methods.log_messages import LEVELS

_AGO: Final = re.compile(r"(\d{1,9})([smhd])", re.ASCII)
_UNIT_MS: Final = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_decode = msgspec.json.Decoder(LogEntry).decode
_decode_text = msgspec.json.Decoder(str).decode
# As entries stand in a store, one a line: what is between the text of one and the level of the
# next. Neither this nor _BEFORE_TEXT can be in a text: a quotation mark in it has a backslash.
_LINE_END: Final = b'"}\n'
_BETWEEN: Final = re.compile(_LINE_END + rb'\{"timestamp":-?[0-9]+,"source":"[^"\\]*","level":"')
_BEFORE_TEXT: Final = b'","msg":"'
_MEASURED: Final = b'"level":"%b"' % metrics.LEVEL.encode()


class Wanted(msgspec.Struct, frozen=True):
    """Which lines are wanted; None: any. Without levels, measurements are left out of text."""

    since_ms: int | None = None
    expression: Expression | None = None
    levels: frozenset[str] | None = None
    tail: int | None = None

    @property
    def is_filter(self) -> bool:
        """Whether lines have to be looked at to know that they are wanted."""
        return any(one is not None for one in (self.since_ms, self.expression, self.levels))


class Form(msgspec.Struct, frozen=True):
    """How a line is printed."""

    as_json: bool = False
    timestamps: bool = False
    for_terminal: bool = False


def wanted(
    *,
    since: str | None,
    grep: str | None,
    levels: Sequence[str] | None,
    tail: int | None,
) -> Wanted:
    """Return what the options ask for; raises CommandError (exit 2) that names the option."""
    names = [name.strip().upper() for given in levels or () for name in given.split(",")]
    if unknown := sorted(set(names) - LEVELS):
        known = " ".join(sorted(LEVELS))
        raise CommandError(f"--levels: there is no level {unknown[0]}; there are {known}", 2)
    if tail is not None and tail < 0:
        raise CommandError("--tail takes a number of lines, 0 or more", 2)
    expression = None
    if grep is not None:
        try:
            expression = regexps.compile_expression(grep)
        except regexps.PatternError as error:
            raise CommandError(f"--grep: {error}: {grep!r}", 2) from error
    return Wanted(
        since_ms=None if since is None else _since_ms(since),
        expression=expression,
        levels=frozenset(names) if levels is not None else None,
        tail=tail,
    )


def _since_ms(given: str) -> int:
    ago = _AGO.fullmatch(given.strip())
    if ago is not None:
        return time.time_ns() // 1_000_000 - int(ago[1]) * _UNIT_MS[ago[2]]
    try:
        return int(datetime.fromisoformat(given.strip()).timestamp() * 1000)
    except (ValueError, OverflowError, OSError):
        raise CommandError(
            f"--since takes 90s, 10m, 2h, 3d or a time such as 2026-01-31T12:00, not {given!r}", 2
        ) from None


class Printer:
    """Makes what is printed of some lines of one try of a job."""

    def __init__(self, wanted: Wanted, form: Form) -> None:
        self._wanted = wanted
        self._form = form

    @property
    def is_plain(self) -> bool:
        """Whether all lines are printed, as text and as they are: `text_of` makes it."""
        return not self._wanted.is_filter and self._form == Form()

    def text_of(self, data: bytes) -> bytes:
        """Return the plain text of whole lines; of those in their usual form all at once."""
        text = None if _MEASURED in data else _cut_out(data)
        if text is None:
            text = b"".join(line + b"\n" for line in self.printed(data.split(b"\n")[:-1], "", 0, 0))
        return text

    def printed(self, lines: Sequence[bytes], job: str, attempt: int, first: int) -> list[bytes]:
        """Return the printed form of those of the lines that are wanted; `first` is a number."""
        found = []
        for number, line in enumerate(lines, first):
            entry = _decode(line)
            if self._takes(entry):
                if self._form.as_json:
                    found.append(_json(entry, job, attempt, number))
                else:
                    found.append(self._text(entry))
        return found

    def _takes(self, entry: LogEntry) -> bool:
        wanted = self._wanted
        if wanted.levels is not None:
            if entry.level not in wanted.levels:
                return False
        elif entry.level == metrics.LEVEL and not self._form.as_json:
            return False
        if wanted.since_ms is not None and entry.timestamp < wanted.since_ms:
            return False
        return wanted.expression is None or wanted.expression.search(entry.msg)

    def _text(self, entry: LogEntry) -> bytes:
        msg = entry.msg
        if entry.level == metrics.LEVEL:
            msg = " ".join(metrics.messages(entry, None, is_first=False)) or msg
        text = f"{entry.level} {msg}"
        if self._form.for_terminal:
            text = terminal_text.shown(text)
        if self._form.timestamps:
            text = f"{_utc(entry.timestamp)} {text}"
        return text.encode()


def _cut_out(data: bytes) -> bytes | None:
    """Return the levels and texts of entries as lines, or None if one looks unlike the others.

    None of them is decoded for itself, which would take several times as long.
    """
    if not data.endswith(_LINE_END):
        return None
    count = data.count(b"\n")
    entries = _BETWEEN.split(_LINE_END + data[: -len(_LINE_END)])
    has_escapes = b"\\" in data
    parts = (b"\\n" if has_escapes else b"\n").join(entries[1:]).split(_BEFORE_TEXT)
    if entries[0] or len(entries) != count + 1 or len(parts) != count + 1:
        return None
    text = b" ".join(parts)
    if has_escapes:
        try:
            text = _decode_text(b'"%b"' % text).encode()
        except msgspec.DecodeError:
            return None
    elif b'"' in text:
        return None
    return text + b"\n"


def _utc(timestamp: int) -> str:
    try:
        moment = datetime.fromtimestamp(timestamp / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return str(timestamp)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{timestamp % 1000:03d}Z"


def _json(entry: LogEntry, job: str, attempt: int, number: int) -> bytes:
    told: dict[str, Any] = {
        "timestamp": entry.timestamp,
        "source": entry.source,
        "level": entry.level,
        "job": job,
        "jobTry": attempt,
        "line": number,
        "msg": entry.msg,
    }
    return msgspec.json.encode(told)
