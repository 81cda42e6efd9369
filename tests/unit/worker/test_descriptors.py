"""Pipes and terminals are read and written without waiting, and nothing of it is lost."""

from __future__ import annotations

import asyncio
import contextlib
import os

import pytest

from plasmid.worker import descriptors

MUCH = os.urandom(3_000_000)


class Sink:
    def __init__(self) -> None:
        self.content = bytearray()
        self.full: list[bool] = []

    def on_full(self) -> None:
        self.full.append(True)

    def on_room(self) -> None:
        self.full.append(False)


@pytest.fixture
def sink() -> Sink:
    return Sink()


async def test_all_that_is_written_is_read_in_order(sink: Sink) -> None:
    out, into = os.pipe()
    reading = descriptors.Reading(out, sink.content.extend)
    writing = descriptors.Writing(into, on_full=sink.on_full, on_room=sink.on_room)
    for start in range(0, len(MUCH), 100_000):
        writing.write(MUCH[start : start + 100_000])
    writing.end()
    writing.write(b"too late")
    await asyncio.wait_for(reading.ended.wait(), 60)
    assert sink.content == MUCH
    assert sink.full == [True, False]


async def test_what_comes_while_there_is_room_again_is_not_lost(sink: Sink) -> None:
    """The end may be said from within `on_room`, with more content before it."""
    out, into = os.pipe()
    reading = descriptors.Reading(out, sink.content.extend)

    def on_room() -> None:
        writing.write(b"and more")
        writing.end()

    writing = descriptors.Writing(into, on_full=sink.on_full, on_room=on_room)
    writing.write(MUCH)
    await asyncio.wait_for(reading.ended.wait(), 60)
    assert sink.content == MUCH + b"and more"


async def test_a_paused_reader_takes_nothing(sink: Sink) -> None:
    out, into = os.pipe()
    reading = descriptors.Reading(out, sink.content.extend)
    reading.pause()
    os.write(into, b"content")
    other_out, other_into = os.pipe()
    other = descriptors.Reading(other_out, lambda _: None)
    os.close(other_into)
    await asyncio.wait_for(other.ended.wait(), 60)
    assert not sink.content
    reading.resume()
    os.close(into)
    await asyncio.wait_for(reading.ended.wait(), 60)
    assert sink.content == b"content"
    reading.pause()
    reading.resume()
    reading.close()


async def test_a_reader_that_is_gone_ends_the_writing(sink: Sink) -> None:
    out, into = os.pipe()
    os.close(out)
    writing = descriptors.Writing(into, on_full=sink.on_full, on_room=sink.on_room)
    writing.write(MUCH)
    writing.write(MUCH)
    writing.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(into)
    assert sink.full in ([], [True, False])


async def test_a_terminal_that_nobody_holds_has_ended(sink: Sink) -> None:
    ours, theirs = os.openpty()
    reading = descriptors.Reading(ours, sink.content.extend)
    os.write(theirs, b"last words")
    os.close(theirs)
    await asyncio.wait_for(reading.ended.wait(), 60)
    assert sink.content == b"last words"
    with contextlib.suppress(OSError):
        reading.close()
