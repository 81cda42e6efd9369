"""Read the file of a log as what it is made of: lines of entries, and a `#` line after a batch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec

from plasmid.domain.assignments import LogEntry

LARGE_BYTES: Final = 16 << 20
_entry = msgspec.json.Decoder(LogEntry).decode
_cursors = msgspec.json.Decoder(dict[str, int]).decode


def damage(path: Path, *, is_deep: bool) -> str | None:
    """Return what is wrong before the last whole batch, or None; of a large file only its end.

    What stands after the last whole batch was never acknowledged, and may be anything.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return None
    with file:
        size = os.fstat(file.fileno()).st_size
        if size > LARGE_BYTES and not is_deep:
            file.seek(size - LARGE_BYTES)
            file.readline()
        wrong: str | None = None
        cursors: dict[str, int] = {}
        begun = file.tell()
        while line := file.readline():
            if not line.startswith(b"#") or not line.endswith(b"\n"):
                wrong = wrong or _wrong_entry(line, file.tell())
                continue
            if wrong is not None:
                return wrong
            try:
                following = _cursors(line[1:])
            except msgspec.DecodeError:
                wrong = f"the end of a batch before byte {file.tell()} cannot be read"
                continue
            for name, value in cursors.items():
                if following.get(name, value) < value and _repeats(path, begun, file.tell()):
                    return f"its cursor {name} goes back before byte {file.tell()}"
            cursors, begun = following, file.tell()
    return None


def _repeats(path: Path, begun: int, end: int) -> bool:
    """Say whether a batch has a line that is there before.

    Without one, its cursors may go back: what the writer had sent was lost to it in a power cut.
    """
    with path.open("rb") as file:
        file.seek(begun)
        batch = {line for line in file.read(end - begun).splitlines() if not line.startswith(b"#")}
        file.seek(0)
        while file.tell() < begun:
            if file.readline().rstrip(b"\n") in batch:
                return True
    return False


def _wrong_entry(line: bytes, end: int) -> str | None:
    try:
        _entry(line)
    except msgspec.DecodeError:
        return f"the line before byte {end} is no entry"
    return None
