"""Questions to a name server read, and answers written (RFC 1035); pure.

Only what stub resolvers send: one question, whose name has no compression.
"""

from __future__ import annotations

import re
import struct
from typing import Final

import msgspec

A: Final = 1
PTR: Final = 12
AAAA: Final = 28

OK: Final = 0
MALFORMED: Final = 1
SERVER_FAILURE: Final = 2
NO_SUCH_NAME: Final = 3
NOT_IMPLEMENTED: Final = 4

_HEADER: Final = struct.Struct("!6H")
_IS_ANSWER: Final = 0x8000
_OPERATION: Final = 0x7800
_RECURSION_WANTED: Final = 0x0100
_RECURSION_AVAILABLE: Final = 0x0080
_CLASS_INTERNET: Final = 1
_NAME_BYTES_MAX: Final = 253
_LABEL_BYTES_MAX: Final = 63
_TO_QUESTION: Final = 0xC00C  # a pointer to where the question's name begins
_LABEL: Final = re.compile(rb"[A-Za-z0-9_-]+")
_REVERSE: Final = ".in-addr.arpa"


class MessageError(ValueError):
    """A message is no question that can be answered; `code` is what its sender is told."""

    def __init__(self, code: int) -> None:
        super().__init__(f"answered with code {code}")
        self.code = code


class Question(msgspec.Struct, frozen=True):
    """What is asked: a name in lower case without its final dot, and the type of record."""

    id: int
    flags: int
    name: str
    kind: int
    section: bytes

    @property
    def is_for_address(self) -> bool:
        """Whether it asks where a host is, rather than something else about a name."""
        return self.kind in (A, AAAA)


def read(message: bytes) -> Question:
    """Return a message's question; raises MessageError, whose answer is `refuse`."""
    if len(message) < _HEADER.size:
        raise MessageError(MALFORMED)
    identity, flags, questions, *_ = _HEADER.unpack_from(message)
    if flags & (_IS_ANSWER | _OPERATION):
        raise MessageError(NOT_IMPLEMENTED)
    if questions != 1:
        raise MessageError(MALFORMED)
    labels, offset = _labels(message, _HEADER.size)
    if offset + 4 > len(message):
        raise MessageError(MALFORMED)
    kind, of_class = struct.unpack_from("!HH", message, offset)
    if of_class != _CLASS_INTERNET:
        raise MessageError(NOT_IMPLEMENTED)
    section = message[_HEADER.size : offset + 4]
    return Question(identity, flags, ".".join(labels).lower(), kind, section)


def _labels(message: bytes, offset: int) -> tuple[list[str], int]:
    """Return a name's labels and where it ends."""
    labels: list[str] = []
    while offset < len(message) and (length := message[offset]):
        label = message[offset + 1 : offset + 1 + length]
        if length > _LABEL_BYTES_MAX or len(label) < length:
            raise MessageError(MALFORMED)
        if not _LABEL.fullmatch(label):
            raise MessageError(NO_SUCH_NAME)  # no host is called so
        labels.append(label.decode("ascii"))
        offset += 1 + length
    if offset >= len(message) or len(".".join(labels)) > _NAME_BYTES_MAX:
        raise MessageError(MALFORMED)
    return labels, offset + 1


def answer(
    question: Question, records: tuple[bytes, ...] = (), *, code: int = OK, ttl_seconds: int = 60
) -> bytes:
    """Return the answer to a question: the data of records of the type that was asked for."""
    flags = _IS_ANSWER | (question.flags & _RECURSION_WANTED) | _RECURSION_AVAILABLE | code
    head = _HEADER.pack(question.id, flags, 1, len(records), 0, 0)
    whole = head + question.section
    for data in records:
        about = (_TO_QUESTION, question.kind, _CLASS_INTERNET, ttl_seconds, len(data))
        whole += struct.pack("!HHHIH", *about) + data
    return whole


def refuse(message: bytes, code: int) -> bytes:
    """Return the answer to a message that is no question; b"" if it cannot have one."""
    if len(message) < _HEADER.size or message[2] & 0x80:
        return b""
    return message[:2] + struct.pack("!5H", _IS_ANSWER | code, 0, 0, 0, 0)


def name_data(name: str) -> bytes:
    """Return a name as the data of a record."""
    parts = (label.encode("ascii") for label in name.split("."))
    return b"".join(bytes([len(part)]) + part for part in parts) + b"\0"


def reversed_address(name: str) -> str:
    """Return the address that a name like 4.3.2.1.in-addr.arpa stands for; "" if it is none."""
    digits = name.removesuffix(_REVERSE).split(".")
    return ".".join(reversed(digits)) if name.endswith(_REVERSE) and len(digits) == 4 else ""
