"""The values that a job has registered as secret: masked at once, and in the next worker too."""

from __future__ import annotations

from typing import Final

import structlog

from plasmid.worker import masking, try_folder

REFUSED_TOLD_MAX: Final = 10
_log = structlog.get_logger()


class Registered:
    """What a job has registered, kept in its folder as soon as the disk has room for it."""

    def __init__(self, masker: masking.Masker, folder: try_folder.TryFolder) -> None:
        self._masker = masker
        self._folder = folder
        self._values = folder.masked()
        self._refused = 0
        self._is_unsaved = False

    @property
    def is_unsaved(self) -> bool:
        """Whether the next worker would not know all of them."""
        return self._is_unsaved

    def add(self, value: str) -> str | None:
        """Mask a value from now on; returns what the log should say if that cannot be."""
        refused = self._masker.add(value)
        if refused is None:
            if value not in self._values:
                self._values.append(value)
                self._is_unsaved = True
                self.save()
            return None
        self._refused += 1
        if self._refused > REFUSED_TOLD_MAX:
            return None
        return f"A value that the job registered as secret is not masked: {refused}"

    def save(self) -> None:
        """Keep what is not kept yet; while the disk is full it stays in memory."""
        if not self._is_unsaved:
            return
        try:
            self._folder.keep_masked(self._values)
        except OSError as error:
            if not try_folder.is_full(error):
                raise
            _log.warning("secrets_wait_for_disk", values=len(self._values))
        else:
            self._is_unsaved = False
