"""The values that an operator wants masked in every log, read from a file."""

from __future__ import annotations

import stat
from pathlib import Path

import structlog

from plasmid.domain import secret_forms

_log = structlog.get_logger()


class SecretValues:
    """The lines of a file; one that cannot be read any more counts as it was last."""

    def __init__(self, path: Path) -> None:
        """Read the file; raises OSError, or ValueError if it is not UTF-8 text.

        Warns of lines that cannot be masked, and if others than its owner may read it.
        """
        self._path = path
        self._values, refused = _read(path)
        for reason in refused:
            _log.warning("secret_not_masked", file=str(path), reason=reason)
        if path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
            _log.warning(
                "secrets_file_open", file=str(path), remedy=f"others may read it: chmod 600 {path}"
            )

    def read(self) -> list[str]:
        """Return the values that are in the file now."""
        try:
            self._values, _ = _read(self._path)
        except (OSError, ValueError) as error:
            _log.warning("secrets_file_unreadable", file=str(self._path), error=str(error))
        return list(self._values)


def _read(path: Path) -> tuple[list[str], list[str]]:
    """Return the values, and why some lines are none; empty lines are skipped."""
    values, refused = [], []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        reason = secret_forms.refusal(line)
        if reason is None:
            values.append(line)
        elif line:
            refused.append(f"line {number}: {reason}")
    return values, refused
