"""Serves the connections that programs made to the outside without knowing of us.

Such a connection's own address is the one that the program meant. If that is the address of a name
(see names.py), it is judged and made by that name, else by the address. What cannot be made is
reset: the program has long been told that it is connected.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Callable

from plasmid.network import names, outside, proxy, proxy_requests, relay
from plasmid.network.traffic import Traffic

_HTTP_PORT = 80


class Redirected:
    """The handler of one sandbox's connections; `forward` is its proxy."""

    def __init__(
        self,
        reachable: outside.Outside,
        known: names.Names,
        forward: proxy.Proxy,
        *,
        on_refused: Callable[[str], None],
        traffic: Traffic | None = None,
    ) -> None:
        self._outside = reachable
        self._names = known
        self._proxy = forward
        self._on_refused = on_refused
        self._traffic = traffic

    async def handle(self, client: socket.socket) -> None:
        """Serve one connection (a handler for relay.serve)."""
        address, port = client.getsockname()[:2]
        host = self._names.name(address)
        if host is None and names.is_given(address):
            _reset(client)
            return
        host = host or address
        try:
            self._outside.judge(host, port)
            if port == _HTTP_PORT and self._outside.upstream_for(host, tunnel=False):
                # Proxies let few ports through as tunnels, and this is seldom one of them.
                literal = f"[{host}]" if ":" in host else host
                await self._proxy.handle(client, origin=f"http://{literal}")
                return
            target = await self._outside.connect(host, port)
        except proxy_requests.RefusedError as refused:
            self._on_refused(refused.line)
            _reset(client)
            return
        with contextlib.closing(target):
            await relay.join(client, target, self._traffic)


def _reset(client: socket.socket) -> None:
    """Let the close that follows end the connection as an error, not as an end of data."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
