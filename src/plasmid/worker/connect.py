"""Puts together what a worker runs jobs with, as its settings say."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final
from urllib.parse import urlsplit

import structlog

from plasmid.engines import choice, engine
from plasmid.environments import containers, images
from plasmid.network import namespaces, sandbox_network
from plasmid.network.traffic import Traffic
from plasmid.worker import adapters
from plasmid.worker.settings import WorkerSettings

_NAMES_FILE: Final = "network-names"


def adapters_from(settings: WorkerSettings) -> adapters.Adapters:
    """Return the real engine, images and network."""
    problem = namespaces.find_problem()
    if problem:
        structlog.get_logger().warning("only programs that use the proxy reach out", why=problem)
    return adapters.Adapters(
        engine=choice.named(settings.engine, disk_limit=settings.disk_limit),
        images=images.Images(settings.images_folder, settings.image_table),
        network=_network(settings),
        needs_proxy=bool(problem),
        tools=containers.Tools(settings.tools_folder),
    )


def _network(settings: WorkerSettings) -> adapters.OpenNetwork:
    server = urlsplit(settings.server_url)
    port = server.port or (443 if server.scheme == "https" else 80)
    address = (server.hostname or "127.0.0.1", port)
    site = sandbox_network.Site(
        api_address=address,
        package_hosts=settings.package_hosts,
        upstream=sandbox_network.upstream_from(os.environ),
        hosts=settings.hosts,
        closed=settings.closed_addresses,
    )

    def open_network(
        sandbox: engine.Sandbox,
        allowed: Sequence[str],
        on_refused: adapters.Refused,
        *,
        package_hosts: Sequence[str] = (),
        secret: str = "",
        traffic: Traffic | None = None,
    ) -> AbstractAsyncContextManager[object]:
        return sandbox_network.SandboxNetwork(
            sandbox,
            site,
            allowed=allowed,
            package_hosts=package_hosts,
            on_refused=on_refused,
            names_file=sandbox.folder / _NAMES_FILE,
            secret=secret,
            traffic=traffic,
        )

    return open_network
