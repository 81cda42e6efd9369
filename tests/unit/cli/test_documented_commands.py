"""What the documentation tells people to type exists."""

from __future__ import annotations

import re
from pathlib import Path

from plasmid.cli import main

ROOT = Path(__file__).resolve().parents[3]
# Commands of the shell script `./plasmid` itself.
OF_THE_CHECKOUT = {"test", "setup", "with"}


def documented() -> dict[str, set[str]]:
    """Return {command: pages} of every `plasmid COMMAND` at the start of a line or a code span."""
    found: dict[str, set[str]] = {}
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("examples/*/*.md")]:
        text = page.read_text(encoding="utf-8")
        for command in re.findall(r"(?:^|`|\$ |\()(?:\./)?plasmid ([a-z]+)", text, re.MULTILINE):
            found.setdefault(command, set()).add(page.name)
    return found


def test_every_documented_command_exists() -> None:
    known = set(main.app) | OF_THE_CHECKOUT
    assert {c: pages for c, pages in documented().items() if c not in known} == {}


def test_every_command_is_in_the_reference() -> None:
    hidden = {"--help", "-h", "--version"}
    reference = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    missing = [
        name for name in main.app if name not in hidden and f"`plasmid {name}" not in reference
    ]
    assert missing == []
