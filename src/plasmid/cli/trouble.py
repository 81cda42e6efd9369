"""What a command says when it cannot go on."""

from __future__ import annotations


class CommandError(Exception):
    """One clear line: what is wrong and what to do about it."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code
