"""`plasmid worker`: the resident worker as a process of its own."""

from __future__ import annotations

from pathlib import Path

import msgspec

from plasmid import bootstrap
from plasmid.bootstrap import Keys
from plasmid.cli.serve import SERVER_FILE, ServerFile
from plasmid.cli.trouble import CommandError
from plasmid.config import Config
from plasmid.worker import resident


async def run(config: Config, data: Path) -> int:
    """Run until stopped, or until the server has been gone for a while; returns the exit code."""
    try:
        keys = msgspec.json.decode((data / "keys.json").read_bytes(), type=Keys)
        server = msgspec.json.decode((data / SERVER_FILE).read_bytes(), type=ServerFile)
    except FileNotFoundError as error:
        raise CommandError(f"no server runs on {data}; start one with: plasmid serve") from error
    settings = bootstrap.worker_settings(
        config, url=server.url, token=keys.worker_token, work=data / "work"
    )
    return await resident.run_process(settings)
