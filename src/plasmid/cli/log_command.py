"""`plasmid logs`: the command line of it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def logs(
    job: str,
    *,
    since: str | None = None,
    grep: str | None = None,
    levels: Annotated[list[str] | None, Parameter(name=["-l", "--levels"])] = None,
    attempt: Annotated[int | None, Parameter(name="--try")] = None,
    tail: Annotated[int | None, Parameter(name=["-n", "--tail"])] = None,
    tree: bool = False,
    follow: Annotated[bool, Parameter(name=["-f", "--follow"], negative="")] = False,
    json: bool = False,
    timestamps: bool = False,
    data: Path | None = None,
) -> None:
    """Print the whole log of a job, of all its tries.

    Asks the server of the DX_ variables, or else that of the data folder. Exits with 2 if there is
    no such job or server, with --follow with 3 if the job fails; else with 0.

    Parameters
    ----------
    job:
        The job's id.
    since:
        Only lines of the last 90s, 10m, 2h or 3d, or since a time such as 2026-01-31T12:00.
    grep:
        Only lines whose text has a match of this RE2 expression.
    levels:
        Only lines of these levels, such as STDERR,ERROR.
    attempt:
        Only this try, 0 is the first.
    tail:
        Only the last so many of these lines, of the latest try.
    tree:
        Also the logs of all jobs below it.
    follow:
        Go on until the job is over, also when the server is restarted.
    json:
        Print one JSON object a line.
    timestamps:
        Begin each line with its time in UTC.
    data:
        The data folder of the server.
    """
    from plasmid import config
    from plasmid.cli import log_choice, logs, processes

    wanted = log_choice.wanted(since=since, grep=grep, levels=levels, tail=tail)
    request = logs.Request(
        job=job,
        wanted=wanted,
        attempt=attempt,
        tree=tree,
        follows=follow,
        as_json=json,
        timestamps=timestamps,
    )
    usual = config.load(os.environ).data_folder.absolute()
    given = data.absolute() if data else None
    sys.exit(processes.run(logs.show(request, lambda: logs.find_door(given, usual))))
