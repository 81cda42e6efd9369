"""Bodies of answers: long lists are encoded piece by piece, to the same bytes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from plasmid.api import answers

LONG = [{"id": f"file-{number}", "more": [number, None, 'q"']} for number in range(5_001)]


@pytest.mark.parametrize(
    "answer",
    [
        {},
        [],
        "text",
        {"results": []},
        {"results": LONG, "next": None},
        {"objects": LONG, "folders": ["/ä", '/q"'] * 3_000, "": 1},
        {"results": [*LONG[: answers.ENTRIES]]},
        {"results": [*LONG[: answers.ENTRIES + 1]]},
    ],
)
async def test_a_long_answer_is_as_if_it_was_encoded_at_once(answer: Any) -> None:
    assert await answers.encode(answer) == msgspec.json.encode(answer)
