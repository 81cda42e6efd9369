"""`plasmid fixtures`: its commands and their arguments."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from cyclopts import App

from plasmid import config

app = App(name="fixtures", help="Accounts and projects that a test platform starts with.")


@app.command
def load(
    name: Literal["client-suite"], *, data: Path | None = None, into_used: bool = False
) -> None:
    """Load what the test suite of the dx client presupposes, into the folder of a stopped server.

    For a test platform only: one of the accounts has a token that everybody knows. The users are
    alice (who administers org-piratelabs), bob, eve and keeper; the tokens of alice and bob are
    printed, and kept in DATA/fixtures.json; they are good for a year. Loading it again changes
    nothing.

    Parameters
    ----------
    name:
        client-suite: users, orgs, public projects and a job as dx-toolkit's own tests want them.
    data:
        The data folder of the server; made if it is not there.
    into_used:
        Also into a folder that has users, orgs or projects already.
    """
    from plasmid.cli import fixtures, processes

    settings = config.load(os.environ)
    folder = (data or settings.data_folder).absolute()
    processes.run(fixtures.load(settings, folder, name=name, into_used=into_used))
