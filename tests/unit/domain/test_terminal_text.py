"""What a job prints cannot act on the terminal of whoever reads it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plasmid.domain import terminal_text

RAW = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plain",
        "tab\there",
        "ünïcödé 🧬 \u00a0",
        "\x1b[31mred\x1b[0m",
        "\x1b[38;5;196;1mbright\x1b[m",
        "\x1b[4:3mcurly",
        "windows\r",
        r"\x1b[2J as text",
    ],
)
def test_text_and_colours_pass(text: str) -> None:
    assert terminal_text.shown(text) == text


@pytest.mark.parametrize(
    "text, expected",
    [
        ("\x1b]52;c;aGVsbG8=\x07", r"\x1b]52;c;aGVsbG8=\x07"),
        ("\x1b]0;title\x1b\\", "\\x1b]0;title\\x1b\\"),
        ("\x1b[2J\x1b[1;1H", r"\x1b[2J\x1b[1;1H"),
        ("\x9b31m", r"\x9b31m"),
        ("10%\r20%\r", "10%\\r20%\r"),
        ("\rjob ERROR fake", r"\rjob ERROR fake"),
        ("a\njob ERROR fake", r"a\njob ERROR fake"),
        ("\x1b[31", r"\x1b[31"),
        ("\x1b[?25l", r"\x1b[?25l"),
        ("\x00\x08\x7f\x85", r"\x00\x08\x7f\x85"),
    ],
)
def test_what_acts_on_a_terminal_is_shown_as_what_it_is(text: str, expected: str) -> None:
    assert terminal_text.shown(text) == expected


@given(st.text())
def test_no_control_is_left_but_colours_and_a_last_return(text: str) -> None:
    shown = terminal_text.shown(text)
    left = re.sub(r"\x1b\[[0-9;:]*m|\r\Z", "", shown)
    assert not RAW.search(left)
