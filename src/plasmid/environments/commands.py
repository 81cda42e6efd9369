"""Run the host's programs: what they print, and an error with their last words."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Final

TAIL_LINES_MAX: Final = 12


class BuildError(Exception):
    """A step of making an image failed; the message has its last words."""


async def output(command: Sequence[str], *, environ: Mapping[str, str] | None = None) -> str:
    """Run a command and return what it printed; BuildError with its last words if it fails."""
    async with process(command, environ=environ) as running:
        said, _ = await running.communicate()
    text = said.decode(errors="replace")
    if running.returncode != 0:
        tail = "\n".join(text.strip().splitlines()[-TAIL_LINES_MAX:])
        raise BuildError(f"`{' '.join(command[:4])} …` failed:\n{tail}")
    return text


async def follow(command: Sequence[str], on_line: Callable[[str], None]) -> None:
    """Run a command and tell each line of it; BuildError with the last ones if it fails."""
    tail: list[str] = []
    async with process(command) as running:
        while running.stdout is not None and (raw := await running.stdout.readline()):
            line = raw.decode(errors="replace").rstrip()
            tail = [*tail, line][-TAIL_LINES_MAX:]
            on_line(line)
        if await running.wait() != 0:
            raise BuildError(f"{command[0]} failed:\n" + "\n".join(tail))


@contextlib.asynccontextmanager
async def process(
    command: Sequence[str], *, environ: Mapping[str, str] | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a command with both outputs as one; it is ended if we leave before it has."""
    try:
        running = await asyncio.create_subprocess_exec(
            *command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "LC_ALL": "C.UTF-8", **(environ or {})},
        )
    except OSError as error:
        raise BuildError(f"{command[0]} cannot be run: {error}") from error
    try:
        yield running
    finally:
        if running.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                running.terminate()
            await running.wait()
