"""`plasmid open`: a link for one use to a job's web application."""

from __future__ import annotations

import webbrowser
from pathlib import Path

from plasmid.cli import logs
from plasmid.cli.trouble import CommandError
from plasmid.client.api import NO_RETRY, ApiClient, Unreachable
from plasmid.domain import errors


async def show(
    job: str, *, data: Path | None, default: Path, port: int | None, in_browser: bool
) -> None:
    """Print the link, and open it in the browser if that is wanted; raises CommandError.

    The server is that of a data folder; with none named, the one that dx would ask.
    """
    door = logs.find_door(data, default)
    async with ApiClient(door.url, door.token, retry=NO_RETRY) as client:
        try:
            asked = {} if port is None else {"port": port}
            answer = await client.call(f"/{job}/openHttpsApp", asked)
        except (errors.ApiError, Unreachable) as error:
            raise CommandError(str(error)) from error
    print(answer["url"], flush=True)
    if in_browser and not webbrowser.open(answer["url"]):
        raise CommandError("there is no browser to open it in; open the link within a minute")
