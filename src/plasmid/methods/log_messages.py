"""Lines of a store as the messages that readers of a log get (contract G.1.3).

An entry becomes a message by adding the job and the line's number to its JSON; only what is unusual
is decoded: control characters, which are made visible, the line that would end `dx watch`, and
measurements.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from plasmid.domain import metrics, terminal_text
from plasmid.domain.assignments import LogEntry
from plasmid.logs.store import ALL, Choice, Piece

LEVELS: Final = frozenset(
    {
        "EMERG", "ALERT", "CRITICAL", "ERROR", "WARNING", "NOTICE", "INFO", "DEBUG", "STDERR",
        "STDOUT", "METRICS",
    }
)  # fmt: skip
END_LOG: Final = "END_LOG"
# More of the past is given to nobody at once; contract M.14: it is no error to ask for more.
RECENT_MAX: Final = 262_144
# The client ends at a line of this text from SYSTEM, whoever wrote it.
_NOT_SYSTEM: Final = "DX_APP"
_UNUSUAL: Final = re.compile(
    rb'\\u00|\\[bfnr]|\x7f|\xc2[\x80-\x9f]|"msg":"END_LOG"\}|,"level":"METRICS"'
)
_HINTS: Final = (b"\\", b"\x7f", b"\xc2", b'"END_LOG"}', b'"METRICS"')
_decode = msgspec.json.Decoder(LogEntry).decode
_encode = msgspec.json.Encoder().encode


def choose(levels: list[str] | None, *, with_metrics: bool) -> Choice:
    """Return the choice of some levels, or of all; measurements only if they are wanted."""
    if levels is None:
        return ALL if with_metrics else Choice([metrics.LEVEL], others=True)
    names = LEVELS if with_metrics else LEVELS - {metrics.LEVEL}
    return Choice([name for name in levels if name in names])


def message(line: bytes, job: str, attempt: int | None, number: int) -> bytes:
    """Return an entry, as it is kept, with its job, try and number."""
    attempt_bytes = b"" if attempt is None else b',"jobTry":%d' % attempt
    return b'%b,"job":"%b"%b,"line":%d}' % (line.rstrip()[:-1], job.encode(), attempt_bytes, number)


class Maker:
    """Makes the messages of one reader."""

    def __init__(self, choice: Choice, metrics_format: str | None = None) -> None:
        self.choice = choice
        self._metrics_format = metrics_format
        self._is_first_sample = True

    def make(self, piece: Piece, job: str, attempt: int | None) -> list[bytes]:
        """Return the messages of a piece of a log, each of them JSON; with the try if given."""
        if self.choice.takes_none(piece.data):
            return []
        has_unusual = any(hint in piece.data for hint in _HINTS)
        takes = None if self.choice.is_all else self.choice.takes
        attempt_bytes = b"" if attempt is None else b',"jobTry":%d' % attempt
        rest = b',"job":"%b"%b,"line":%%d}' % (job.encode(), attempt_bytes)
        made: list[bytes] = []
        for number, line in enumerate(piece.data.split(b"\n")[:-1], piece.first_line):
            if takes is not None and not takes(line):
                continue
            if has_unusual and _UNUSUAL.search(line):
                made += [told[:-1] + rest % number for told in self._tamed(line)]
            else:
                made.append(line[:-1] + rest % number)
        return made

    def _tamed(self, line: bytes) -> list[bytes]:
        """Return an entry as a terminal and the client may see it; a measurement in its form."""
        entry = _decode(line)
        if entry.level == metrics.LEVEL:
            told = metrics.messages(entry, self._metrics_format, is_first=self._is_first_sample)
            self._is_first_sample = self._is_first_sample and not told
            return [_encode(msgspec.structs.replace(entry, msg=msg)) for msg in told]
        source, msg = entry.source, terminal_text.shown(entry.msg)
        if msg == END_LOG and source == metrics.SOURCE:
            source = _NOT_SYSTEM
        shown = terminal_text.shown
        return [_encode(LogEntry(entry.timestamp, shown(source), shown(entry.level), msg))]
