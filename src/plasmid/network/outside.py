"""How one sandbox's connections to the outside are made: judged by name, then by address.

Names are resolved here and each address is judged at each connection: no name leads a job to a
service of this machine, however and whenever it resolves. Only what the operator lists as package
hosts may be here, and of these only the ports that are listed.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Mapping, Sequence
from concurrent import futures
from typing import Final

from plasmid.domain import network_policy
from plasmid.network import proxy_requests, relay

_HEAD_BYTES_MAX: Final = 64 * 1024
_RESOLVERS_MAX: Final = 4
_REMEMBERED_MAX: Final = 1024
_REMEMBERED_SECONDS: Final = 30.0
_NEXT_ADDRESS_SECONDS: Final = 5.0


class Outside:
    """What one sandbox may reach; `allowed` may be changed at any time and holds from then on.

    `package_hosts` (`host` for its web ports, or `host:port`) are reachable in any case, also on
    this machine. `hosts` are names that resolve here as the operator says, `closed` are networks
    that nobody may reach.
    """

    def __init__(
        self,
        allowed: Sequence[str],
        *,
        package_hosts: Sequence[str] = (),
        upstream: proxy_requests.Upstream | None = None,
        hosts: Mapping[str, str] | None = None,
        closed: Sequence[str] = (),
    ) -> None:
        self.allowed = tuple(allowed)
        self._package_hosts = tuple(package_hosts)
        self._upstream = upstream or proxy_requests.Upstream()
        self._hosts = {network_policy.normalized(n): a for n, a in (hosts or {}).items()}
        self._closed = tuple(closed)
        self._remembered: dict[str, tuple[float, list[str]]] = {}
        # Of its own: a slow name server holds up this sandbox's lookups and nothing else.
        self._resolvers = futures.ThreadPoolExecutor(_RESOLVERS_MAX, "resolver")

    def close(self) -> None:
        """Stop looking names up."""
        self._resolvers.shutdown(wait=False, cancel_futures=True)

    def is_allowed(self, host: str) -> bool:
        """Say whether access.network holds a host."""
        return network_policy.allows(self.allowed, host)

    def judge(self, host: str, port: int) -> None:
        """Raise RefusedError unless a host's port may be asked for at all."""
        if not self._is_package_host(host, port) and not self.is_allowed(host):
            raise proxy_requests.RefusedError("403 Forbidden", network_policy.refusal(host))

    def upstream_for(self, host: str, *, tunnel: bool) -> str:
        """Return this machine's own proxy that leads to a host; "" if it is reached directly."""
        if network_policy.normalized(host) in self._hosts:
            return ""
        return self._upstream.chosen(host, tunnel=tunnel)

    async def connect(self, host: str, port: int, *, tunnel: bool = True) -> socket.socket:
        """Return a connection to a host's port, or (no `tunnel`) to the proxy that passes it on.

        Raises RefusedError if nobody may go there or it cannot be reached.
        """
        proxy = self.upstream_for(host, tunnel=tunnel)
        is_package_host = self._is_package_host(host, port)
        try:
            if not proxy:
                found = await self._resolve(host)
                return await _dial(found if is_package_host else self._judged(host, found), port)
            if not is_package_host:
                self._judge_literal(host)
            request = proxy_requests.Request(host=host, port=port, tunnel=tunnel)
            return await _connect_by(proxy, request)
        except (OSError, UnicodeError) as error:
            line = f"cannot reach {host} port {port}: {error}"
            raise proxy_requests.RefusedError("502 Bad Gateway", line) from error

    async def find(self, host: str) -> list[str]:
        """Return the addresses at which a host may be reached.

        Raises RefusedError if nobody may reach any of them, socket.gaierror if it has none.
        """
        return self._judged(host, await self._resolve(host))

    def _is_package_host(self, host: str, port: int) -> bool:
        return network_policy.holds_port(self._package_hosts, host, port)

    async def _resolve(self, host: str) -> list[str]:
        name = network_policy.normalized(host)
        if name in self._hosts:
            return [self._hosts[name]]
        loop = asyncio.get_running_loop()
        until, addresses = self._remembered.get(name, (0.0, []))
        if loop.time() < until:
            return addresses
        found = await loop.run_in_executor(self._resolvers, _look_up, name)
        if len(self._remembered) >= _REMEMBERED_MAX:
            self._remembered.clear()
        self._remembered[name] = (loop.time() + _REMEMBERED_SECONDS, found)
        return found

    def _judged(self, host: str, addresses: Sequence[str]) -> list[str]:
        good = [address for address in addresses if self._forbids(address) is None]
        if not good:
            raise _no_job_may(host, addresses[0], self._forbids(addresses[0]) or "")
        return good

    def _judge_literal(self, host: str) -> None:
        """Refuse what need not be resolved; an upstream proxy resolves the rest."""
        if host == "localhost" or host.endswith(".localhost"):
            raise _no_job_may(host, host, "this machine")
        with contextlib.suppress(ValueError, OSError):
            literal = host if ":" in host else socket.inet_ntoa(socket.inet_aton(host))
            reason = self._forbids(literal)
            if reason is not None:
                raise _no_job_may(host, host, reason)

    def _forbids(self, address: str) -> str | None:
        reason = network_policy.forbidden_address(address, self._closed)
        return reason or ("an address of this machine" if _is_own(address) else None)


def _look_up(name: str) -> list[str]:
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _is_own(address: str) -> bool:
    """Say whether an address is this machine's: to reach it we would come from it."""
    wanted = network_policy.unmapped(address)
    family = socket.AF_INET6 if wanted.version == 6 else socket.AF_INET
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((str(wanted), 9))  # a datagram socket sends nothing by this
        return network_policy.unmapped(str(probe.getsockname()[0])) == wanted
    return False


def _no_job_may(host: str, address: str, reason: str) -> proxy_requests.RefusedError:
    where = "it" if host == address else address
    return proxy_requests.RefusedError(
        "403 Forbidden", f"no job may reach {host}: {where} is {reason}"
    )


async def _dial(addresses: Sequence[str], port: int) -> socket.socket:
    """Connect to the first address that answers; OSError of the last if none does."""
    for address in addresses[:-1]:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_NEXT_ADDRESS_SECONDS):
                return await relay.connect((address, port))
    return await relay.connect((addresses[-1], port))


async def _connect_by(proxy: str, request: proxy_requests.Request) -> socket.socket:
    """Connect to an upstream proxy, through it to the host if a tunnel is wanted."""
    target = await relay.connect(proxy_requests.proxy_address(proxy))
    if not request.tunnel:
        return target
    with contextlib.ExitStack() as undo:
        undo.callback(target.close)
        await _ask_for_tunnel(target, request, proxy_requests.proxy_credentials(proxy))
        undo.pop_all()
    return target


async def _ask_for_tunnel(
    target: socket.socket,
    request: proxy_requests.Request,
    credentials: list[proxy_requests.Header],
) -> None:
    """Send CONNECT to an upstream proxy; OSError unless it agrees."""
    loop = asyncio.get_running_loop()
    where = request.authority
    asked = proxy_requests.head(f"CONNECT {where} HTTP/1.1", [("Host", where), *credentials])
    await loop.sock_sendall(target, asked)
    # One byte at a time: what follows the head belongs to the tunnel.
    answer = b""
    while not answer.endswith(b"\r\n\r\n") and len(answer) < _HEAD_BYTES_MAX:
        more = await loop.sock_recv(target, 1)
        if not more:
            break
        answer += more
    status = answer.split(b"\r\n", 1)[0].decode("latin-1")
    if status.split(" ")[1:2] != ["200"]:
        raise OSError(f"the upstream proxy answered {status!r}")
