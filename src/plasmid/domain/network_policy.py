"""Which hosts a job may reach: patterns of `access.network` (contract E.3), and where nobody may.

A pattern is a host name, an address or a glob: `*` stands for any letters, dots included, and `?`
for one. `*.example.org` does not hold `example.org` itself.
"""

from __future__ import annotations

import fnmatch
import ipaddress
import re
from collections.abc import Iterable
from typing import Final

WEB_PORTS: Final = (80, 443)

_ADDRESS_PATTERN: Final = re.compile(r"[0-9.*?]+|[0-9a-f.:*?]*:[0-9a-f.:*?]*|[*?]+")
# Where clouds tell a machine its secrets, beside the link-local 169.254.169.254.
_METADATA: Final = (
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "fd00:ec2::254",
    "fd20:ce::254",
)
# Addresses that carry one of IPv4 in their last 32 bits: translated (NAT64) and compatible ones.
_CARRIERS: Final = tuple(
    ipaddress.IPv6Network(network) for network in ("64:ff9b::/96", "64:ff9b:1::/48", "::/96")
)


def normalized(host: str) -> str:
    """Return a host name or address in its one form: lower case, no final dot, no brackets."""
    bare = host.strip().removeprefix("[").removesuffix("]").rstrip(".").lower()
    try:
        return bare.encode("idna").decode("ascii") if not bare.isascii() else bare
    except UnicodeError:
        return bare


def allows(patterns: Iterable[str], host: str) -> bool:
    """Say whether one of the patterns holds a host."""
    name = normalized(host)
    return any(_holds(normalized(pattern), name) for pattern in patterns)


def _holds(pattern: str, name: str) -> bool:
    # Only * and ? are special: fnmatch's [..] would make an IPv6 address a set of letters.
    literal = pattern.replace("[", "[[]")
    return re.fullmatch(fnmatch.translate(literal), name) is not None


def refusal(host: str) -> str:
    """Return the line that tells a job's author why a host is out of reach, and the remedy."""
    return (
        f"this job may not reach {normalized(host)}: name it in access.network of the executable "
        f'(in dxapp.json: "access": {{"network": ["{normalized(host)}"]}})'
    )


def holds_port(entries: Iterable[str], host: str, port: int) -> bool:
    """Say whether a host's port is one of the entries' `host` (its web ports) or `host:port`.

    Package hosts are written so: they may be on this very machine, where other ports are others'.
    """
    name = normalized(host)
    for entry in entries:
        bare, ports = _with_ports(entry)
        if port in ports and _holds(normalized(bare), name):
            return True
    return False


def _with_ports(entry: str) -> tuple[str, tuple[int, ...]]:
    bare, colon, port = entry.rpartition(":")
    if colon and port.isdigit() and (":" not in bare or bare.endswith("]")):
        return bare, (int(port),)
    return entry, WEB_PORTS


def may_hold_addresses(patterns: Iterable[str]) -> bool:
    """Say whether one of the patterns may hold an address, so not names only."""
    return any(_ADDRESS_PATTERN.fullmatch(normalized(pattern)) for pattern in patterns)


def unmapped(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return whom an address leads to: of an IPv6 address that carries an IPv4 one, that one.

    Raises ValueError if it is no address.
    """
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if parsed.version == 4:
        return parsed
    if any(parsed in network for network in _CARRIERS) and int(parsed) > 1:
        return ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
    return parsed.ipv4_mapped or parsed.sixtofour or parsed


def forbidden_address(address: str, closed: Iterable[str] = ()) -> str | None:
    """Return why no job may ever connect to an address; None if it may.

    These are addresses that mean another machine to every machine: the host's own services and
    a cloud's metadata service would take the job for the host. `closed` are networks that the
    operator adds. Raises ValueError if it is no address.
    """
    parsed = unmapped(address)
    for is_so, reason in (
        (parsed.is_loopback, "a loopback address"),
        (parsed.is_link_local, "a link-local address"),
        (parsed.is_unspecified, "the unspecified address"),
        (parsed.is_multicast, "a multicast address"),
        (str(parsed) in _METADATA, "a cloud's metadata service"),
        (parsed == ipaddress.ip_address("255.255.255.255"), "the broadcast address"),
        (_is_in(parsed, ("0.0.0.0/8",)), "this host's own network"),
        (_is_in(parsed, closed), "closed by [network] closed_addresses"),
    ):
        if is_so:
            return reason
    return None


def _is_in(address: ipaddress.IPv4Address | ipaddress.IPv6Address, networks: Iterable[str]) -> bool:
    return any(address in ipaddress.ip_network(network, strict=False) for network in networks)
