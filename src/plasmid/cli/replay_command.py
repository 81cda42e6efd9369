"""The command `plasmid replay`."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from plasmid import config
from plasmid.cli.trouble import CommandError
from plasmid.domain import terminal_text


def replay(
    job: str = "",
    *,
    attempt: Annotated[int | None, Parameter(name="--try")] = None,
    shell: bool = False,
    entry: str | None = None,
    against: Path | None = None,
    bundle: Path | None = None,
    export: Path | None = None,
    data: Path | None = None,
) -> None:
    """Run a try of a job again from the same start, here, without touching its project.

    Exits with 0 if the replayed job is done, 1 if it failed, 2 if there is nothing to replay.

    Parameters
    ----------
    job:
        Id of a job that is over, also a sub-job; with --bundle it may be left out.
    attempt:
        Number of the try, from 0; the last one if not given.
    shell:
        Open a shell in the prepared sandbox just before the job's code; without a terminal, the
        commands of standard input are run there.
    entry:
        Call another entry point of the executable with the same input.
    against:
        Folder of changed source (with dxapp.json) to run instead; says what differs: state,
        outputs, the log's last lines, time and memory.
    bundle:
        Replay from a file that --export has written; no server is needed.
    export:
        Write everything that a replay needs to this file, and run nothing.
    data:
        The data folder of the job's server; by default the server that dx asks, or the site's own.
    """
    from plasmid.cli import logs, processes, replay

    asked = replay.Request(
        job=job,
        attempt=attempt,
        is_shell=shell,
        entry=entry,
        against=against,
        bundle=bundle,
        export=export,
    )
    with _harmless_errors():
        replay.check(asked)
        settings = config.load(os.environ)
        if bundle is None:
            server = logs.find_door(data, settings.data_folder)
            asked = replay.at(asked, server)
        sys.exit(processes.run(replay.replay(settings.fitting(), asked)))


@contextlib.contextmanager
def _harmless_errors() -> Iterator[None]:
    """Let an error quote what a job or a bundle is named by, without doing what that says."""
    try:
        yield
    except CommandError as error:
        raise CommandError(terminal_text.shown(str(error)), error.exit_code) from error
