"""Which base image tests run on: Debian's stands in for all, so that they need Debian alone.

What only another base shows has a test that names it.
"""

from __future__ import annotations

from typing import Final

NAME: Final = "debian-12"
TABLE: Final = {"*": NAME}
CONFIG: Final = f'[images]\n"*" = "{NAME}"\n'


def added_to(config: str) -> str:
    """Return a plasmid.toml in which the stand-in serves all, unless it names images itself."""
    return config if "[images]" in config else f"{config}\n{CONFIG}"
