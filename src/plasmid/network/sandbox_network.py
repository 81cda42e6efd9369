"""A sandbox's whole network, made of sockets inside its network namespace that we serve.

The API is at 127.0.0.1:8124, a forward proxy at 127.0.0.1:3128, a name server at 127.0.0.53. That
is all, and there is no route, unless `access.network` grants hosts: then every TCP connection to
them (by name), or to anywhere, is led to a further listener, judged here and made from here.

If this process dies nothing gets out, and connections wait: the sockets stay open where the
sandbox's engine can do that, and the process that adopts the sandbox serves them on. Where it
cannot they close, and that process opens them again.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol, Self

import msgspec

from plasmid.domain import network_policy
from plasmid.network import (
    inside,
    name_service,
    names,
    namespaces,
    outside,
    proxy,
    proxy_requests,
    redirected,
    relay,
)
from plasmid.network.traffic import Traffic

API_PORT: Final = 8124
PROXY_PORT: Final = 3128
EVERYWHERE: Final = ("0.0.0.0/0", "::/0")
_KEPT_AS: Final = "network"


class Sandbox(Protocol):
    """What a sandbox must tell for this."""

    @property
    def network_namespace(self) -> Path | None:
        """The path that names its network namespace; None if it shares the host's."""
        ...

    async def keep_open(self, name: str, sockets: Sequence[socket.socket]) -> bool:
        """Keep sockets open, also without this process; False where that cannot be."""
        ...

    async def kept_open(self, name: str) -> list[socket.socket]:
        """Return duplicates of what is kept under a name, in its order; [] if nothing is."""
        ...


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """What is the same for all sandboxes of a machine.

    `api_address` is where the platform listens on this machine; `package_hosts`, `upstream`,
    `hosts` and `closed` as in outside.py.
    """

    api_address: relay.Address
    package_hosts: tuple[str, ...] = ()
    upstream: proxy_requests.Upstream = proxy_requests.Upstream()
    hosts: Mapping[str, str] = msgspec.field(default_factory=dict)
    closed: tuple[str, ...] = ()


class SandboxNetwork:
    """The network of one sandbox while it is open; use it by `async with`, in one task.

    `allowed` are patterns of access.network, `package_hosts` are further ones than the site's.
    `on_refused` is told a line for each thing that the sandbox wanted and did not get.
    `names_file` keeps what addresses names have inside. With a `secret` every call of the API that
    leaves the sandbox carries it, so that the platform can tell that it came from here. `traffic`
    counts what goes in and out.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        site: Site,
        *,
        allowed: Sequence[str] = (),
        package_hosts: Sequence[str] = (),
        on_refused: Callable[[str], None] | None = None,
        names_file: Path | None = None,
        secret: str = "",
        traffic: Traffic | None = None,
    ) -> None:
        self._secret = secret
        self._traffic = traffic or Traffic()
        self._sandbox = sandbox
        self._site = site
        self._allowed = tuple(allowed)
        self._on_refused = on_refused or _unheard
        self._names_file = names_file
        self._outside = outside.Outside(
            allowed,
            package_hosts=(*site.package_hosts, *package_hosts),
            upstream=site.upstream,
            hosts=site.hosts,
            closed=site.closed,
        )
        # The client sends even its calls of 127.0.0.1 to the proxy, if there is one.
        here = [("127.0.0.1", API_PORT), ("localhost", API_PORT)]
        self._proxy = proxy.Proxy(
            self._outside,
            services=dict.fromkeys(here, site.api_address),
            on_refused=self._on_refused,
            secret=secret,
            traffic=self._traffic,
        )
        self._opened = contextlib.AsyncExitStack()

    async def open(self) -> None:
        """Open all listeners and serve them; raises NamespaceError if the sandbox has ended."""
        namespace = await asyncio.to_thread(lambda: self._sandbox.network_namespace)
        if namespace is None:
            raise namespaces.NamespaceError("the sandbox has no network namespace of its own")
        await self._opened.enter_async_context(self._served(namespace))

    async def close(self) -> None:
        """Close all listeners and every connection; closed already is fine."""
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
        made = await self._made(namespace)
        with contextlib.ExitStack() as opened, _ungrouped():
            for each in made.sockets:
                opened.enter_context(contextlib.closing(each))
            opened.callback(self._outside.close)
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(service) for service in self._services(made)]
                try:
                    yield
                finally:
                    for task in tasks:
                        task.cancel()

    async def _made(self, namespace: Path) -> inside.Made:
        """Return the sandbox's sockets: those that an earlier process has left, or new ones."""
        kept = await self._sandbox.kept_open(_KEPT_AS)
        if kept:
            return inside.Made(kept)
        plan = inside.Plan((API_PORT, PROXY_PORT), names=True, destinations=self._destinations())
        made = await namespaces.open_sockets(namespace, plan)
        await self._sandbox.keep_open(_KEPT_AS, made.sockets)
        if made.problem:
            self._on_refused(f"only programs that use the proxy reach the outside: {made.problem}")
        return made

    def _destinations(self) -> tuple[str, ...]:
        """Return the networks whose connections come to us; all others have no route."""
        if not self._allowed:
            return ()
        return EVERYWHERE if network_policy.may_hold_addresses(self._allowed) else (names.NETWORK,)

    def _services(self, made: inside.Made) -> Iterator[Coroutine[Any, Any, None]]:
        """Return what serves each of the sockets."""
        api, forward, stream, datagrams, *outer = made.sockets
        known = names.Names(self._names_file) if outer else None
        said = self._on_refused
        answering = name_service.NameService(self._outside, known, on_refused=said)
        yield relay.serve(api, self._to_api())
        yield relay.serve(forward, self._proxy.handle)
        yield answering.serve(stream, datagrams)
        if known is not None:
            leading = redirected.Redirected(
                self._outside, known, self._proxy, on_refused=said, traffic=self._traffic
            )
            for listener in outer[:-1]:
                yield relay.serve(listener, leading.handle)

    def _to_api(self) -> relay.Handler:
        """Return what serves the API's port: bytes as they are, or each request with the secret."""
        if not self._secret:
            return relay.to_address(self._site.api_address, self._traffic)
        return functools.partial(self._proxy.handle, origin=f"http://127.0.0.1:{API_PORT}")


def _unheard(line: str) -> None:
    """Take a line that nobody wants."""


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
