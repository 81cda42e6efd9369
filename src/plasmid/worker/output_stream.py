"""One stream of a sandbox's output: how far it was taken, and its line that is not complete."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from plasmid.worker import encoded, log_limit

SOURCE: Final = "DX_APP_STREAM"


class Stream:
    """The pieces of a line have the offsets where they begin."""

    def __init__(self, level: str, cursor: int, splits: int) -> None:
        self.level = level
        self.cursor = cursor
        self.splits = splits
        self.is_split = splits % 2 == 1
        self.pieces: list[tuple[int, bytes]] = []
        self.length = 0
        self.searched = 0
        self.timestamp = 0
        self.trail: log_limit.Trail | None = None

    def place(self, position: int) -> tuple[int, int]:
        """Return the cursor and how often it has gone into a line and out of one."""
        if self.trail is not None:
            cursor, is_split = self.trail.first.cursor, self.trail.first.is_split
        elif self.pieces:
            return self.cursor, self.splits
        else:
            cursor, is_split = max(self.cursor, position), self.is_split
        return cursor, self.splits + (self.splits % 2 != is_split)

    def lines(self, said: Sequence[str]) -> encoded.Lines:
        """Return lines of this stream by their texts, which are some."""
        return encoded.texts(self.timestamp, SOURCE, self.level, said)

    def cut(self, taken: int) -> None:
        """Drop so many bytes from the beginning of the line, and set the cursor there."""
        self.length -= taken
        left = []
        for start, piece in self.pieces:
            rest = piece[taken:] if taken < len(piece) else b""
            if rest:
                left.append((start + len(piece) - len(rest), rest))
            else:
                self.cursor = start + len(piece)
            taken = max(0, taken - len(piece))
        self.pieces = left
        if left:
            self.cursor = left[0][0]
