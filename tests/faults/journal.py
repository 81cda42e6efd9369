"""What the platform has acknowledged, on disk before anything else happens: the ground truth."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any


class Journal:
    """Facts in order, one JSON line each, in a file outside the platform's disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.facts: list[dict[str, Any]] = []
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_DSYNC, 0o600)
        self._lock = threading.Lock()

    def add(self, fact: str, **said: Any) -> None:
        """Keep a fact; it is on disk when this returns."""
        line = {"fact": fact, **said}
        with self._lock:
            os.write(self._file, json.dumps(line).encode() + b"\n")
            self.facts.append(line)

    def find(self, fact: str) -> list[dict[str, Any]]:
        """Return the facts of a kind."""
        with self._lock:
            return [line for line in self.facts if line["fact"] == fact]

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
