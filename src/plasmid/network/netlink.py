"""Leads every TCP connection of a network namespace to one listener of ours; over netlink.

Two things do it, both inside the namespace that the calling thread is in: a route by which the
kernel takes addresses for the namespace's own (`local 0.0.0.0/0 dev lo`), so that what is sent to
them stays within, and the rules that `nft list ruleset` shows there as

    table inet plasmid {
      chain outside {
        type filter hook prerouting priority mangle; policy accept;
        ip daddr 127.0.0.0/8 accept
        ip6 daddr ::1 accept
        meta l4proto tcp tproxy to :3129
      }
    }

An accepted connection's own address is then the one that the program meant. There is no connection
tracking, and nothing that could lead a packet out: whoever undoes this inside is left with less.

The messages are written here: the `ip` and `nft` programs need 20 ms for what takes 1 ms so.
Source: linux/netlink.h, rtnetlink.h, netfilter/nfnetlink.h, netfilter/nf_tables.h. The helper
process of namespaces.py runs this file: standard library only.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
from collections.abc import Iterable
from typing import Final

_NETLINK_ROUTE: Final = 0
_NETLINK_NETFILTER: Final = 12
_ANSWER_BYTES_MAX: Final = 1 << 16
_ANSWER_SECONDS_MAX: Final = 5.0
_ERROR: Final = 2

_REQUEST: Final = 1
_ACKNOWLEDGE: Final = 4
_REPLACE: Final = 0x100
_CREATE: Final = 0x400
_APPEND: Final = 0x800

_NEW_ROUTE: Final = 24
_TABLE_LOCAL: Final = 255
_BY_BOOT: Final = 3
_SCOPE_HOST: Final = 254
_TYPE_LOCAL: Final = 2
_ROUTE_TO, _ROUTE_DEVICE, _ROUTE_FROM = 1, 4, 7

_BATCH_BEGIN, _BATCH_END = 16, 17
_TABLES: Final = 10 << 8
_NEW_TABLE, _DELETE_TABLE, _NEW_CHAIN, _NEW_RULE = 0, 2, 3, 6
_FAMILY_ANY_IP: Final = 1
_PREROUTING: Final = 0
_PRIORITY_MANGLE: Final = -150
_NESTED: Final = 0x8000
_ACCEPT: Final = 1
_REGISTER: Final = 1
_VERDICT: Final = 0
_META_PROTOCOL, _META_FAMILY = 16, 15
_EQUAL: Final = 0
_NETWORK_HEADER: Final = 1

_TABLE: Final = b"plasmid\0"
_CHAIN: Final = b"outside\0"


def lead_to(port: int, destinations: Iterable[str]) -> socket.socket:
    """Lead all TCP to these networks to the transparent listeners at a port of lo.

    Doing it again changes nothing. Raises OSError if the kernel cannot or we may not. Returns the
    socket to the kernel: closing it within 10 ms would wait for so long.
    """
    device = socket.if_nametoindex("lo")
    routes = [_route(ipaddress.ip_network(network), device) for network in destinations]
    with _open(_NETLINK_ROUTE) as link:
        _exchange(link, routes)
    link = _open(_NETLINK_NETFILTER)
    try:
        _exchange(link, _rules(port))
    except OSError:
        link.close()
        raise
    return link


def _open(protocol: int) -> socket.socket:
    link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
    link.settimeout(_ANSWER_SECONDS_MAX)
    return link


def _route(network: ipaddress.IPv4Network | ipaddress.IPv6Network, device: int) -> bytes:
    family = socket.AF_INET if network.version == 4 else socket.AF_INET6
    head = struct.pack(
        "=8BI",
        *(family, network.prefixlen, 0, 0),
        *(_TABLE_LOCAL, _BY_BOOT, _SCOPE_HOST, _TYPE_LOCAL, 0),
    )
    body = head + _attribute(_ROUTE_DEVICE, struct.pack("=I", device))
    if network.prefixlen:
        body += _attribute(_ROUTE_TO, network.network_address.packed)
    if network.version == 4:
        # Else a connection would come from the very address it goes to.
        body += _attribute(_ROUTE_FROM, socket.inet_aton("127.0.0.1"))
    flags = _REQUEST | _ACKNOWLEDGE | _CREATE | _REPLACE
    return _message(_NEW_ROUTE, flags, body)


def _rules(port: int) -> list[bytes]:
    """Return the batch that makes the table anew; all of it holds at once or none of it."""
    table = _attribute(1, _TABLE)
    hook = _nested(4, _number(1, _PREROUTING), _number(2, _PRIORITY_MANGLE))
    chain = table + _attribute(3, _CHAIN) + hook + _attribute(7, b"filter\0")
    loopback = _payload(offset=16, count=1, equal=b"\x7f")
    loopback6 = _payload(offset=24, count=16, equal=socket.inet_pton(socket.AF_INET6, "::1"))
    return [
        _batch(_BATCH_BEGIN),
        # Deleting what is not there is an error, so it is made first.
        _table_message(_NEW_TABLE, table),
        _table_message(_DELETE_TABLE, table, _REQUEST),
        _table_message(_NEW_TABLE, table),
        _table_message(_NEW_CHAIN, chain),
        _rule(_meta(_META_FAMILY, socket.AF_INET), loopback, _accept()),
        _rule(_meta(_META_FAMILY, socket.AF_INET6), loopback6, _accept()),
        _rule(_meta(_META_PROTOCOL, socket.IPPROTO_TCP), _transparent_proxy(port)),
        _batch(_BATCH_END),
    ]


def _batch(kind: int) -> bytes:
    return _message(kind, _REQUEST, struct.pack("!BBH", 0, 0, 10))


def _table_message(kind: int, body: bytes, flags: int = _REQUEST | _CREATE) -> bytes:
    head = struct.pack("!BBH", _FAMILY_ANY_IP, 0, 0)
    return _message(_TABLES | kind, flags | _ACKNOWLEDGE, head + body)


def _rule(*expressions: bytes) -> bytes:
    body = _attribute(1, _TABLE) + _attribute(2, _CHAIN) + _nested(4, *expressions)
    return _table_message(_NEW_RULE, body, _REQUEST | _CREATE | _APPEND)


def _meta(key: int, equal: int) -> bytes:
    load = _expression(b"meta", _number(2, key), _number(1, _REGISTER))
    return load + _compare(bytes([equal]))


def _payload(*, offset: int, count: int, equal: bytes) -> bytes:
    where = (_number(2, _NETWORK_HEADER), _number(3, offset), _number(4, count))
    return _expression(b"payload", _number(1, _REGISTER), *where) + _compare(equal)


def _compare(value: bytes) -> bytes:
    data = _nested(3, _attribute(1, value))
    return _expression(b"cmp", _number(1, _REGISTER), _number(2, _EQUAL), data)


def _accept() -> bytes:
    verdict = _nested(2, _nested(2, _number(1, _ACCEPT)))
    return _expression(b"immediate", _number(1, _VERDICT), verdict)


def _transparent_proxy(port: int) -> bytes:
    data = _nested(2, _attribute(1, struct.pack("!H", port)))
    load = _expression(b"immediate", _number(1, _REGISTER), data)
    return load + _expression(b"tproxy", _number(1, 0), _number(3, _REGISTER))


def _expression(name: bytes, *attributes: bytes) -> bytes:
    return _nested(1, _attribute(1, name + b"\0"), _nested(2, *attributes))


def _number(kind: int, value: int) -> bytes:
    return _attribute(kind, struct.pack("!i", value))


def _nested(kind: int, *attributes: bytes) -> bytes:
    return _attribute(kind | _NESTED, b"".join(attributes))


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def _message(kind: int, flags: int, body: bytes) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, flags, 0, 0) + body


def _exchange(link: socket.socket, messages: list[bytes]) -> None:
    """Send messages as one and read their acknowledgements; OSError for the first that failed."""
    awaited = sum(1 for m in messages if struct.unpack_from("=H", m, 6)[0] & _ACKNOWLEDGE)
    link.sendto(b"".join(messages), (0, 0))
    while awaited > 0:
        awaited -= _read_answers(link.recv(_ANSWER_BYTES_MAX))


def _read_answers(answer: bytes) -> int:
    """Return how many messages an answer acknowledges; OSError if it tells of an error."""
    count = offset = 0
    while offset < len(answer):
        length, kind = struct.unpack_from("=IH", answer, offset)
        if kind == _ERROR:
            number = -struct.unpack_from("=i", answer, offset + 16)[0]
            if number:
                raise OSError(number, os.strerror(number))
            count += 1
        offset += length + -length % 4
    return count
