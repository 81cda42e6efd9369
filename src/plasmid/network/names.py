"""The address that each name has inside one sandbox, so that a connection tells whom it is for.

A connection carries an address only, and many hosts share one. So no name has its real address
inside: each gets one of its own out of 198.18.0.0/16 (RFC 2544, for benchmarks: nobody lives
there). They are kept in a file, so that programs that remember one may go on when another process
has taken the sandbox over.
"""

from __future__ import annotations

import contextlib
import ipaddress
from pathlib import Path
from typing import Final

NETWORK: Final = "198.18.0.0/16"
NAMES_MAX: Final = 65_000

_FIRST: Final = int(ipaddress.ip_address("198.18.0.0"))


class TooManyNamesError(Exception):
    """A sandbox has asked for more names than there are addresses."""


class Names:
    """Names and their addresses; `path` is where they are kept (None: they are not)."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._names: list[str] = []
        self._numbers: dict[str, int] = {}
        if path is not None:
            with contextlib.suppress(FileNotFoundError):
                for name in path.read_text("ascii").splitlines():
                    self._add(name)

    def address(self, name: str) -> str:
        """Return the address of a name, a new one for a new name; raises TooManyNamesError."""
        number = self._numbers.get(name)
        if number is None:
            if len(self._names) >= NAMES_MAX:
                raise TooManyNamesError(f"a job may look up {NAMES_MAX} different hosts, not more")
            number = self._add(name)
            if self._path is not None:
                with self._path.open("a", encoding="ascii") as file:
                    file.write(f"{name}\n")
        return str(ipaddress.ip_address(_FIRST + number))

    def name(self, address: str) -> str | None:
        """Return the name that has an address; None for an address of the outside or of nobody."""
        number = _number(address)
        return self._names[number - 1] if 0 < number <= len(self._names) else None

    def _add(self, name: str) -> int:
        self._names.append(name)
        self._numbers[name] = len(self._names)
        return len(self._names)


def is_given(address: str) -> bool:
    """Say whether an address is one that names get, rather than one of the outside."""
    return 0 <= _number(address) < 1 << 16


def _number(address: str) -> int:
    if ":" in address:
        return -1
    try:
        return int(ipaddress.IPv4Address(address)) - _FIRST
    except ValueError:
        return -1
