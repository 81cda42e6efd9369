"""What a worker is told when it is started."""

from __future__ import annotations

from pathlib import Path

import msgspec

from plasmid.environments.mirrors import Mirrors


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the platform is, who the worker is there, and where it keeps its sandboxes.

    `token` is the worker's own; `image_table` says which base image serves which release;
    `disk_limit` is how sandboxes are kept to their disk;
    `containers` says which jobs may run containers (domain/containers.py);
    `hosts` and `closed_addresses` are those of `[network]`;
    `ca_bundle` is a file of certificates that jobs trust besides those of their base image;
    `mirrors` are where package managers go;
    `ssh_host` is told to people who log in to jobs; `ssh_listen` and `ssh_ports` (`22000-22999`;
    any free ones if empty) are where that is possible.
    """

    server_url: str
    token: str
    name: str
    work_folder: Path
    images_folder: Path
    layers_folder: Path
    tools_folder: Path
    image_table: dict[str, str]
    engine: str = "auto"
    disk_limit: str = "auto"
    package_hosts: tuple[str, ...] = ()
    hosts: dict[str, str] = msgspec.field(default_factory=dict)
    closed_addresses: tuple[str, ...] = ()
    ca_bundle: Path | None = None
    mirrors: Mirrors = Mirrors()
    layers_size_bytes_max: int = 50_000_000_000
    layers_age_days_max: int = 60
    containers: str = "auto"
    ssh_host: str = "127.0.0.1"
    ssh_listen: str = "127.0.0.1"
    ssh_ports: str = ""
    sync_wait_ms: int = 3_000
    server_gone_ms_max: int = 60_000
