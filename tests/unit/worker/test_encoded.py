"""Lines are made many at once, and are what they would be one by one."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from plasmid.domain.assignments import LogEntry
from plasmid.logs.store import Lines
from plasmid.worker import encoded

ODD = [
    "",
    "\\n",
    '\\n"}',
    '"',
    "\\",
    '"},\\n{"timestamp":',
    "\t\r\x00\x1b[0m",
    "\u2028\x85",
    "ünïcödé \U0001f9ec",
    "#",
    "}\\",
]


def entry(text: str, level: str = "STDOUT") -> LogEntry:
    return LogEntry(timestamp=-5, source="DX_APP_STREAM", level=level, msg=text)


@given(st.lists(st.one_of(st.sampled_from(ODD), st.text(st.characters(codec="utf-8"))), min_size=1))
def test_many_lines_are_what_the_store_makes_of_their_entries(said: list[str]) -> None:
    entries = [entry(text) for text in said]
    made = encoded.texts(-5, "DX_APP_STREAM", "STDOUT", said)
    wanted = Lines.of(entries)
    assert (made.timestamp, made.count, made.data) == (-5, len(said), wanted.data)
    assert Lines.read(made.data) == wanted
    assert encoded.entries([made]) == entries


def test_entries_are_lines_of_their_own() -> None:
    made = encoded.all_of([entry("a"), entry("b\nc", "STDERR")])
    assert [(piece.timestamp, piece.count) for piece in made] == [(-5, 1), (-5, 1)]
    assert encoded.count(made) == 2
    assert encoded.entries(made) == [entry("a"), entry("b\nc", "STDERR")]
    assert made[1].data == msgspec.json.encode(entry("b\nc", "STDERR")) + b"\n"
