"""The host's programs: what they print, and how they fail."""

from __future__ import annotations

import pytest

from plasmid.environments import commands


async def test_both_outputs_are_returned() -> None:
    assert await commands.output(["sh", "-c", "echo a; echo b >&2"]) == "a\nb\n"


async def test_the_last_words_of_a_failure_come_out() -> None:
    with pytest.raises(commands.BuildError, match=r"(?s)`sh -c .*` failed:.*the reason"):
        await commands.output(["sh", "-c", "seq 100; echo the reason; exit 3"])


async def test_lines_are_told_as_they_come_and_the_last_if_it_fails() -> None:
    told: list[str] = []
    with pytest.raises(commands.BuildError, match="two"):
        await commands.follow(["sh", "-c", "echo one; echo two; exit 1"], told.append)
    assert told == ["one", "two"]


async def test_a_program_that_is_not_there_is_said() -> None:
    with pytest.raises(commands.BuildError, match="no-such-program cannot be run"):
        await commands.output(["no-such-program"])
