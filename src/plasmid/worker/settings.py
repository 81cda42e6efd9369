"""What a worker is told when it is started."""

from __future__ import annotations

from pathlib import Path

import msgspec


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the platform is, who the worker is there, and where it keeps its sandboxes.

    `token` is the worker's own; `image_table` says which base image serves which release;
    `ca_bundle` is a file of certificates that jobs trust besides those of their base image.
    """

    server_url: str
    token: str
    name: str
    work_folder: Path
    images_folder: Path
    image_table: dict[str, str]
    engine: str = "auto"
    package_hosts: tuple[str, ...] = ()
    ca_bundle: Path | None = None
    sync_wait_ms: int = 5_000
    server_gone_ms_max: int = 60_000
