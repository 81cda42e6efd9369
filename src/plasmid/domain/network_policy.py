"""Which hosts a job may reach: patterns of `access.network` (contract E.3), and where nobody may.

A pattern is a host name, an address or a glob: `*` stands for any letters, dots included, and `?`
for one. `*.example.org` does not hold `example.org` itself.
"""

from __future__ import annotations

import fnmatch
import ipaddress
import re
from collections.abc import Iterable


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


def forbidden_address(address: str) -> str | None:
    """Return why no job may ever connect to an address; None if it may.

    These are addresses that mean another machine to every machine: the host's own services and
    a cloud's metadata service would take the job for the host.
    """
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        parsed = parsed.ipv4_mapped or parsed.sixtofour or parsed
    for is_so, reason in (
        (parsed.is_loopback, "a loopback address"),
        (parsed.is_link_local, "a link-local address"),
        (parsed.is_unspecified, "the unspecified address"),
        (parsed.is_multicast, "a multicast address"),
        (parsed == ipaddress.ip_address("255.255.255.255"), "the broadcast address"),
        (parsed in ipaddress.ip_network("0.0.0.0/8"), "this host's own network")
        if parsed.version == 4
        else (False, ""),
    ):
        if is_so:
            return reason
    return None
