"""`python -m plasmid` is the `plasmid` command."""

from __future__ import annotations

from plasmid.cli import main

if __name__ == "__main__":
    main.main()
