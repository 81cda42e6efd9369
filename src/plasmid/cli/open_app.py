"""`plasmid open`: a link for one use to a job's web application."""

from __future__ import annotations

import os
import webbrowser
from pathlib import Path
from typing import Any

import msgspec

from plasmid.cli.assets import running_server
from plasmid.cli.trouble import CommandError
from plasmid.client.api import NO_RETRY, ApiClient, Unreachable
from plasmid.domain import errors


async def show(
    job: str, *, data: Path | None, default: Path, port: int | None, in_browser: bool
) -> None:
    """Print the link, and open it in the browser if that is wanted; raises CommandError.

    The server is that of a data folder; with none named, the one that dx would ask.
    """
    url, token = _server(data, default)
    async with ApiClient(url, token, retry=NO_RETRY) as client:
        try:
            asked = {} if port is None else {"port": port}
            answer = await client.call(f"/{job}/openHttpsApp", asked)
        except (errors.ApiError, Unreachable) as error:
            raise CommandError(str(error)) from error
    print(answer["url"], flush=True)
    if in_browser and not webbrowser.open(answer["url"]):
        raise CommandError("there is no browser to open it in; open the link within a minute")


def _server(data: Path | None, default: Path) -> tuple[str, str]:
    """Return URL and token: those that dx uses in this shell, else a data folder's first user's."""
    context, host = os.environ.get("DX_SECURITY_CONTEXT"), os.environ.get("DX_APISERVER_HOST")
    if data is None and context and host:
        try:
            token = msgspec.json.decode(context, type=dict[str, Any])["auth_token"]
        except (msgspec.DecodeError, KeyError) as error:
            raise CommandError("DX_SECURITY_CONTEXT is not what dx needs; unset it") from error
        scheme = os.environ.get("DX_APISERVER_PROTOCOL", "https")
        port = os.environ.get("DX_APISERVER_PORT")
        return f"{scheme}://{host}:{port}" if port else f"{scheme}://{host}", str(token)
    folder = (data or default).absolute()
    found = running_server(folder)
    if found is None:
        raise CommandError(f"no server runs on {folder}; start it: plasmid serve --data {folder}")
    return found[0], found[1].user_token
