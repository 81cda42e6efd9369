"""What a worker runs jobs with: an engine, images, and networks for its sandboxes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

import msgspec

from plasmid.engines import engine
from plasmid.environments import containers
from plasmid.network.traffic import Traffic

Refused = Callable[[str], None]
"""Is told each line with which a sandbox's proxy refuses a host."""


class Image(Protocol):
    """A base image that serves a release."""

    @property
    def name(self) -> str:
        """What the image is called."""
        ...

    @property
    def digest(self) -> str:
        """What tells its content from that of any other image."""
        ...

    @property
    def root(self) -> Path:
        """Its root file system."""
        ...

    @property
    def stand_in(self) -> bool:
        """Whether it stands in for the release that was asked for."""
        ...

    @property
    def apt_hosts(self) -> Sequence[str]:
        """The hosts that hold its packages, which every job may reach."""
        ...


class Images(Protocol):
    """The base images of this machine."""

    def find(self, distribution: str, release: str, version: str) -> Image:
        """Return the image that serves a release."""
        ...


class OpenNetwork(Protocol):
    """Opens what one sandbox reaches: the API, and through a proxy what it is allowed to.

    Closing it does not touch the sandbox; another process may open it again.
    """

    def __call__(
        self,
        sandbox: engine.Sandbox,
        allowed: Sequence[str],
        on_refused: Refused,
        *,
        package_hosts: Sequence[str] = (),
        secret: str = "",
        traffic: Traffic | None = None,
    ) -> AbstractAsyncContextManager[object]:
        """Return the network, open within `async with`.

        `allowed` is access.network; `package_hosts` are reachable in any case; `secret` is what
        calls of the API carry that leave the sandbox; `traffic` counts what goes in and out.
        """
        ...


class Adapters(msgspec.Struct, frozen=True):
    """The parts that bootstrap or a test puts together for a worker.

    `needs_proxy` says that on this machine only programs that use the proxy reach the outside;
    without `tools` no job runs containers or mounts.
    """

    engine: engine.Engine
    images: Images
    network: OpenNetwork
    needs_proxy: bool = False
    tools: containers.Tools | None = None
