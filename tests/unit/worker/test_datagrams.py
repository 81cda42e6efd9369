"""What programs send becomes lines with the platform's levels."""

from __future__ import annotations

import json
from typing import Any

import pytest

from plasmid.domain import assignments, secret_forms
from plasmid.worker import datagrams


def one(**message: Any) -> assignments.LogEntry:
    (entry,) = datagrams.entries(json.dumps(message).encode(), 99)
    return entry


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("debug", "DEBUG"),
        ("info", "INFO"),
        ("notice", "NOTICE"),
        ("warning", "WARNING"),
        ("warn", "WARNING"),
        ("err", "ERROR"),
        ("error", "ERROR"),
        ("crit", "CRITICAL"),
        ("critical", "CRITICAL"),
        ("alert", "ALERT"),
        ("emerg", "EMERG"),
        ("WARNING", "WARNING"),
        ("nonsense", "INFO"),
        (0, "EMERG"),
        (2, "CRITICAL"),
        (3, "ERROR"),
        (4, "WARNING"),
        (7, "DEBUG"),
        (8, "INFO"),
        (None, "INFO"),
    ],
)
def test_levels_of_an_app_are_shown_by_their_names(sent: object, shown: str) -> None:
    assert one(source="DX_APP", timestamp=5, level=sent, msg="m").level == shown


def test_the_streams_of_an_app_are_stdout_and_stderr() -> None:
    assert one(source="DX_APP_STREAM", level="info", msg="m").level == "STDOUT"
    assert one(source="DX_APP_STREAM", level="error", msg="m").level == "STDERR"


def test_nobody_but_the_platform_speaks_as_system() -> None:
    assert one(source="SYSTEM", level="info", msg="END_LOG").source == "DX_APP"


@pytest.mark.parametrize(
    ("sent", "kept"), [(5, 5), (None, 99), (-1, 99), (1 << 60, 99), (True, 99)]
)
def test_a_time_that_cannot_be_is_replaced_by_now(sent: object, kept: int) -> None:
    assert one(timestamp=sent, level="info", msg="m").timestamp == kept


@pytest.mark.parametrize(
    ("datagram", "text"),
    [
        (b"plain", "plain"),
        (b"\xff", "\ufffd"),
        (b"[1]", "[1]"),
        (b'{"level": "err"}', '{"level": "err"}'),
        (b"[" * 60_000, None),
        (b"", ""),
    ],
)
def test_anything_else_is_taken_as_text(datagram: bytes, text: str | None) -> None:
    entries = datagrams.entries(datagram, 99)
    joined = "".join(entry.msg for entry in entries)
    assert joined == (datagram.decode() if text is None else text)


def test_a_long_message_is_split_at_8_kib() -> None:
    entries = datagrams.entries(json.dumps({"msg": "x" * 20_000}).encode(), 99)
    assert [len(entry.msg) for entry in entries] == [8192, 8192, 20_000 - 2 * 8192]


@pytest.mark.parametrize(
    "datagram",
    [
        b'{"source": "PLASMID_MASK", "msg": "a value \\ud800"}',
        b'{"source": "PLASMID_MASK", "msg": "a value \xff"}',
        b'{"source": "PLASMID_MASK", "msg": "a value',
        b' {"msg": "a value", "source": "PLASMID_MASK", ',
        b'{"source": "PLASMID_MASK", "msg": ["a value"]}',
        b'{"source": "PLASMID_MASK"}',
    ],
)
def test_a_registration_that_cannot_be_read_is_no_line(datagram: bytes) -> None:
    value = datagrams.secret(datagram)
    assert value is not None
    assert secret_forms.refusal(value) is not None


def test_a_line_may_speak_of_registrations() -> None:
    assert datagrams.secret(b"PLASMID_MASK is a source") is None
    assert datagrams.secret(json.dumps({"msg": "PLASMID_MASK"}).encode()) is None


def test_a_message_whose_source_was_cut_off_is_not_shown() -> None:
    whole = json.dumps({"msg": "a value" * 20_000, "source": "PLASMID_MASK"}).encode()
    (entry,) = datagrams.entries(whole[: datagrams.DATAGRAM_BYTES_MAX], 1)
    assert entry.msg == datagrams.NOT_SHOWN
