"""A sandbox's whole network: the API at 127.0.0.1:8124 and a forward proxy at 127.0.0.1:3128.

Both are listeners that live inside the sandbox's network namespace and are served by this process.
If it dies they close; the process that adopts the sandbox opens them again at the same ports.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self

from plasmid.network import namespaces, proxy, proxy_requests, relay

API_PORT: Final = 8124
PROXY_PORT: Final = 3128


class Sandbox(Protocol):
    """What a sandbox must tell for this."""

    @property
    def network_namespace(self) -> Path | None:
        """The path that names its network namespace; None if it shares the host's."""
        ...


class SandboxNetwork:
    """The network of one sandbox while it is open; use it by `async with`, in one task.

    `api_address` is where the platform listens on this machine. `allowed` are patterns of
    access.network; `package_hosts` are reachable in any case (see proxy.py).
    """

    def __init__(
        self,
        sandbox: Sandbox,
        *,
        api_address: relay.Address,
        allowed: Sequence[str] = (),
        package_hosts: Sequence[str] = (),
        upstream: proxy_requests.Upstream | None = None,
        on_refused: Callable[[str], None] | None = None,
    ) -> None:
        self._sandbox = sandbox
        self._api_address = api_address
        self._proxy = proxy.Proxy(
            allowed,
            package_hosts=package_hosts,
            # The client sends even its calls of 127.0.0.1 to the proxy, if there is one.
            services=dict.fromkeys([("127.0.0.1", API_PORT), ("localhost", API_PORT)], api_address),
            upstream=upstream,
            on_refused=on_refused,
        )
        self._opened = contextlib.AsyncExitStack()

    def allow(self, patterns: Sequence[str]) -> None:
        """Replace the patterns of hosts that may be reached; holds for new connections."""
        self._proxy.allowed = tuple(patterns)

    async def open(self) -> None:
        """Open both listeners and serve them; raises NamespaceError if the sandbox has ended."""
        namespace = await asyncio.to_thread(lambda: self._sandbox.network_namespace)
        if namespace is None:
            raise namespaces.NamespaceError("the sandbox has no network namespace of its own")
        await self._opened.enter_async_context(self._served(namespace))

    async def close(self) -> None:
        """Close both listeners and every connection; closed already is fine."""
        await self._opened.aclose()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # The stack hears of the error, so that a task group within can tell its cancellation.
        await self._opened.__aexit__(kind, error, trace)

    @contextlib.asynccontextmanager
    async def _served(self, namespace: Path) -> AsyncIterator[None]:
        api, forward = await namespaces.open_listeners(namespace, (API_PORT, PROXY_PORT))
        with contextlib.closing(api), contextlib.closing(forward), _ungrouped():
            async with asyncio.TaskGroup() as group:
                tasks = (
                    group.create_task(relay.serve(api, relay.to_address(self._api_address))),
                    group.create_task(relay.serve(forward, self._proxy.handle)),
                )
                try:
                    yield
                finally:
                    for task in tasks:
                        task.cancel()


@contextlib.contextmanager
def _ungrouped() -> Iterator[None]:
    """Let a single error of the block within come out as it is: whoever uses us made no group."""
    try:
        yield
    except BaseExceptionGroup as group:
        if len(group.exceptions) == 1:
            raise group.exceptions[0] from None
        raise


def upstream_from(environment: dict[str, str] | os._Environ[str]) -> proxy_requests.Upstream:
    """Return the proxies that an environment names (http_proxy, https_proxy, no_proxy)."""

    def value(name: str) -> str:
        return environment.get(name, environment.get(name.upper(), ""))

    return proxy_requests.Upstream(
        http_proxy=value("http_proxy"),
        https_proxy=value("https_proxy"),
        no_proxy=tuple(e.strip() for e in value("no_proxy").split(",") if e.strip()),
    )
