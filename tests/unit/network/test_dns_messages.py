"""Questions to a name server, read and answered."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plasmid.network import dns_messages


def query(name: str, kind: int = dns_messages.A, *, flags: int = 0x0100, count: int = 1) -> bytes:
    head = struct.pack("!6H", 0x1234, flags, count, 0, 0, 0)
    return head + dns_messages.name_data(name) + struct.pack("!HH", kind, 1)


def test_a_question_has_its_name_in_lower_case_and_its_type() -> None:
    question = dns_messages.read(query("Host.Example.ORG", dns_messages.AAAA))
    assert (question.name, question.kind) == ("host.example.org", dns_messages.AAAA)
    assert question.is_for_address
    assert not dns_messages.read(query("a.b", 16)).is_for_address


def test_an_answer_repeats_the_question_as_it_was_spelt_and_points_at_it() -> None:
    asked = query("Host.test")
    answer = dns_messages.answer(dns_messages.read(asked), (b"\x01\x02\x03\x04",), ttl_seconds=7)
    head = struct.pack("!6H", 0x1234, 0x8180, 1, 1, 0, 0)
    record = struct.pack("!HHHIH", 0xC00C, 1, 1, 7, 4) + b"\x01\x02\x03\x04"
    assert answer == head + asked[12:] + record


@pytest.mark.parametrize(
    "message, code",
    [
        (query("a.test")[:-1], dns_messages.MALFORMED),
        (query("a.test")[:14], dns_messages.MALFORMED),
        (query("a.test", count=2), dns_messages.MALFORMED),
        (query("a.test", flags=0x8000), dns_messages.NOT_IMPLEMENTED),
        (query("a.test", flags=0x2800), dns_messages.NOT_IMPLEMENTED),
        (query("a.test")[:-1] + b"\x03", dns_messages.NOT_IMPLEMENTED),
        (query("a.test")[:12] + b"\xc0\x0c\0\x01\0\x01", dns_messages.MALFORMED),
        (query(".".join(["a" * 60] * 5)), dns_messages.MALFORMED),
        (query("a\nb.test"), dns_messages.NO_SUCH_NAME),
        (query("a\0.test"), dns_messages.NO_SUCH_NAME),
    ],
)
def test_what_is_no_question_about_a_host_is_refused(message: bytes, code: int) -> None:
    with pytest.raises(dns_messages.MessageError) as error:
        dns_messages.read(message)
    assert error.value.code == code


def test_a_refusal_has_the_id_and_nobody_answers_an_answer() -> None:
    assert dns_messages.refuse(query("a.test"), 3) == b"\x12\x34\x80\x03" + bytes(8)
    assert dns_messages.refuse(query("a.test", flags=0x8000), 1) == b""
    assert dns_messages.refuse(b"short", 1) == b""


@given(st.binary(max_size=200))
def test_no_bytes_do_more_than_be_refused(message: bytes) -> None:
    refusal = b""
    try:
        question = dns_messages.read(message)
    except dns_messages.MessageError as error:
        question, refusal = None, dns_messages.refuse(message, error.code)
    assert len(refusal) in (0, 12)
    if question is not None:
        assert question.name.isprintable()
        assert dns_messages.answer(question)[:2] == message[:2]


def test_a_reversed_address_is_read_and_other_names_are_none() -> None:
    assert dns_messages.reversed_address("1.0.18.198.in-addr.arpa") == "198.18.0.1"
    assert dns_messages.reversed_address("18.198.in-addr.arpa") == ""
    assert dns_messages.reversed_address("example.org") == ""
