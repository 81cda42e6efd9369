"""`plasmid env`: point any client at a server (contract J.1)."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from plasmid.bootstrap import Keys
from plasmid.cli.serve import SERVER_FILE, ServerFile
from plasmid.cli.trouble import CommandError

PROXIES: Final = frozenset({"http_proxy", "https_proxy"})


def variables(url: str, token: str, user: str) -> dict[str, str]:
    """Return the variables that dx and dxpy read."""
    parts = urlsplit(url)
    context = {"auth_token_type": "Bearer", "auth_token": token}
    return {
        "DX_APISERVER_PROTOCOL": parts.scheme,
        "DX_APISERVER_HOST": parts.hostname or "",
        "DX_APISERVER_PORT": str(parts.port),
        "DX_SECURITY_CONTEXT": msgspec.json.encode(context).decode(),
        "DX_USERNAME": user.removeprefix("user-"),
        # the server that dx login, logout and new user ask: dx wants the scheme with the host
        "DX_AUTHSERVER_HOST": f"{parts.scheme}://{parts.hostname or ''}",
        "DX_AUTHSERVER_PORT": str(parts.port),
    }


def show(data: Path, *, write: bool) -> None:
    """Print the variables as shell lines, and with `write` keep them for dx."""
    try:
        keys = msgspec.json.decode((data / "keys.json").read_bytes(), type=Keys)
        server = msgspec.json.decode((data / SERVER_FILE).read_bytes(), type=ServerFile)
    except FileNotFoundError as error:
        raise CommandError(
            f"no server runs on the data folder {data}; start one with: plasmid serve"
        ) from error
    found = variables(server.url, keys.user_token, keys.user)
    if write:
        _write(found)
    proxies = sorted(name for name in os.environ if name.lower() in PROXIES and os.environ[name])
    if proxies:
        # dxpy asks a proxy even for 127.0.0.1, whatever no_proxy says, and cannot speak http to it
        print(f"plasmid: dx will fail while these are set: {' '.join(proxies)}", file=sys.stderr)
    for name, value in found.items():
        print(f"export {name}={shlex.quote(value)}")
    print("unset DX_PROJECT_CONTEXT_ID DX_WORKSPACE_ID DX_JOB_ID")


def _write(found: dict[str, str]) -> None:
    """Write dx's own configuration file, keeping what it says of other things."""
    folder = Path(os.environ.get("DX_USER_CONF_DIR", "~/.dnanexus_config")).expanduser()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / "environment.json"
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=dict[str, Any]) if path.exists() else {}
    except msgspec.DecodeError as error:
        raise CommandError(
            f"{path} is no JSON object ({error}); remove it, and try again"
        ) from error
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, 0o600)  # one that was there already may be open to everybody
        file.write(msgspec.json.encode({**kept, **found}))
