"""Puts together what a worker runs jobs with, as its settings say."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from urllib.parse import urlsplit

from plasmid.engines import choice, engine
from plasmid.environments import images
from plasmid.network import sandbox_network
from plasmid.worker import adapters
from plasmid.worker.settings import WorkerSettings


def adapters_from(settings: WorkerSettings) -> adapters.Adapters:
    """Return the real engine, images and network."""
    return adapters.Adapters(
        engine=choice.named(settings.engine),
        images=images.Images(settings.images_folder, settings.image_table),
        network=_network(settings),
    )


def _network(settings: WorkerSettings) -> adapters.OpenNetwork:
    server = urlsplit(settings.server_url)
    port = server.port or (443 if server.scheme == "https" else 80)
    address = (server.hostname or "127.0.0.1", port)
    upstream = sandbox_network.upstream_from(os.environ)

    def open_network(
        sandbox: engine.Sandbox,
        allowed: Sequence[str],
        on_refused: adapters.Refused,
        *,
        package_hosts: Sequence[str] = (),
    ) -> AbstractAsyncContextManager[object]:
        return sandbox_network.SandboxNetwork(
            sandbox,
            api_address=address,
            allowed=allowed,
            package_hosts=(*settings.package_hosts, *package_hosts),
            upstream=upstream,
            on_refused=on_refused,
        )

    return open_network
