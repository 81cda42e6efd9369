r"""Text of unknown origin, made safe to print on a terminal.

A job can print anything: what moves the cursor, sets the clipboard (OSC 52) or renames the window
is shown as what it is, `\x1b]52;…`. Colours pass, as do tabs and a carriage return at the end.
"""

from __future__ import annotations

import re
from typing import Final

_CONTROLS: Final = re.compile(r"(\x1b\[[0-9;:]*m|\r\Z)|[\x00-\x08\x0a-\x1f\x7f-\x9f]")
_NAMED: Final = {"\n": "\\n", "\r": "\\r"}


def shown(text: str) -> str:
    """Return a line with its control characters made visible."""
    return text if text.isprintable() else _CONTROLS.sub(_visible, text)


def _visible(found: re.Match[str]) -> str:
    harmless: str | None = found.group(1)
    if harmless is not None:
        return harmless
    character = found.group()
    return _NAMED.get(character) or f"\\x{ord(character):02x}"
