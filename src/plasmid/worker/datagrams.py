"""Reads what programs send to the log sockets of a sandbox (contract G.2, G.3); pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from plasmid.domain import assignments
from plasmid.worker import output_log

APP: Final = "DX_APP"
APP_STREAM: Final = "DX_APP_STREAM"
DATAGRAM_BYTES_MAX: Final = 1 << 16
# What its source is may stand in the part that is cut off.
NOT_SHOWN: Final = f"A message of more than {DATAGRAM_BYTES_MAX} bytes is not shown"
# Not a line: its `msg` is a value to be masked from now on (runtime/dx-mask-value).
MASKED: Final = "PLASMID_MASK"

# The client sends syslog's number of a level; others send one of its names.
NUMBERED: Final = ("EMERG", "ALERT", "CRITICAL", "ERROR", "WARNING", "NOTICE", "INFO", "DEBUG")
NAMED: Final = {
    "debug": "DEBUG",
    "info": "INFO",
    "notice": "NOTICE",
    "warn": "WARNING",
    "warning": "WARNING",
    "err": "ERROR",
    "error": "ERROR",
    "crit": "CRITICAL",
    "critical": "CRITICAL",
    "alert": "ALERT",
    "emerg": "EMERG",
    "panic": "EMERG",
}
STREAM_LEVELS: Final = {"INFO": "STDOUT", "ERROR": "STDERR"}
_TIMESTAMP_MAX: Final = 1 << 53


def secret(datagram: bytes) -> str | None:
    """Return the value that a datagram asks to be masked; None if it is a message.

    One that cannot be read asks for "", which is refused: it may hold a value, so it is no line.
    """
    if MASKED.encode() not in datagram:
        return None
    message = _message(datagram)
    if not message:
        return "" if _is_object(datagram) else None
    text = message.get("msg")
    if message.get("source") != MASKED:
        return None
    return text if isinstance(text, str) else ""


def entries(
    datagram: bytes, now_ms: int, mask: Callable[[bytes], bytes] = bytes
) -> list[assignments.LogEntry]:
    """Return the lines of one datagram; what is not of the agreed form is taken as plain text."""
    message = _message(datagram)
    text = message.get("msg")
    if not isinstance(text, str):
        is_cut = len(datagram) >= DATAGRAM_BYTES_MAX and not message and _is_object(datagram)
        text = NOT_SHOWN if is_cut else datagram.decode("utf-8", "replace")
    level = _level(message.get("level"))
    # Only the platform speaks as SYSTEM: `dx watch` ends at a certain line from there.
    source = APP_STREAM if message.get("source") == APP_STREAM else APP
    if source == APP_STREAM:
        level = STREAM_LEVELS.get(level, level)
    sent = message.get("timestamp")
    timestamp = sent if type(sent) is int and 0 < sent < _TIMESTAMP_MAX else now_ms
    return [
        assignments.LogEntry(timestamp, source, level, piece.decode("utf-8", "replace"))
        for piece in output_log.split(mask(text.encode("utf-8", "replace")))
    ]


def _is_object(datagram: bytes) -> bool:
    """Say whether a datagram is one of the agreed form, or was to be."""
    return datagram.lstrip().startswith(b"{")


def _message(datagram: bytes) -> dict[str, Any]:
    """Return a datagram of the agreed form; {} for any other."""
    try:
        decoded = msgspec.json.decode(datagram)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return decoded if isinstance(decoded, dict) else {}


def _level(sent: object) -> str:
    text = str(sent).lower()
    if len(text) == 1 and text in "01234567":
        return NUMBERED[int(text)]
    return NAMED.get(text, "INFO")
