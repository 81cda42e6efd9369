"""Web applications of jobs: what an executable declares, and by which hosts they are reached (H.7).

Each job, and each of its ports, has a host of its own below the site's domain, so that browsers
keep them apart: `job-xxxx.DOMAIN` is the first of its ports, `job-xxxx-8080.DOMAIN` is that one.
Hosts have no case and ids do, so a host names a job only to somebody who knows the id.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from plasmid.domain import errors, keys
from plasmid.domain.access import Level

FIELD: Final = "httpsApp"
PORTS: Final = (443, 8080, 8081)
LAUNCHER_ONLY: Final = "NONE"
ACCESS: Final = (LAUNCHER_ONLY, "VIEW", "CONTRIBUTE", "ADMINISTER")
OFF: Final[dict[str, Any]] = {"enabled": False}
NOT_LISTENING: Final = "plasmid-not-listening"
# A connection through a worker's socket is there before one into the sandbox is, so the worker must
# say that there is none. An application that says so itself only makes its visitors wait.
NOBODY_LISTENS: Final = (
    f"HTTP/1.1 503 Service Unavailable\r\n{NOT_LISTENING}: 1\r\nContent-Length: 0\r\n"
    "Connection: close\r\n\r\n"
).encode()

_HOSTNAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_LISTED: Final = "443, 8080 and 8081, or some of them"
_LABEL: Final = re.compile(rf"(job-[0-9a-z]{{24}})(?:-({'|'.join(map(str, PORTS))}))?")


class Place(NamedTuple):
    """What a host names: a job's id in lower case, and a port of it (None: its first)."""

    job: str
    port: int | None


class Address(NamedTuple):
    """Where the web applications of a site are; the port is "" if it is the scheme's own."""

    scheme: str
    domain: str
    port: str


def check(body: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what an executable declares in `httpsApp`; None if it has no web application.

    Raises InvalidInput that names the field.
    """
    given = keys.hash_of(dict(body), FIELD)
    if given is None or not keys.boolean(given, "enabled", FIELD, default=True):
        return None
    return {
        "ports": _ports(given),
        "shared_access": _shared_access(given),
        **_dns(given),
    }


def _ports(given: dict[str, Any]) -> list[int]:
    ports = keys.array(given, "ports", FIELD)
    if not ports:
        raise errors.InvalidInput(
            f'Expected {FIELD} to have property "ports", a nonempty array of {_LISTED}'
        )
    for port in ports:
        if not keys.is_integer(port) or port not in PORTS:
            raise keys.refusal("ports", FIELD, f"an array of {_LISTED}")
    if len(set(ports)) < len(ports):
        raise keys.refusal("ports", FIELD, "an array without repetitions")
    return [int(port) for port in ports]


def _shared_access(given: dict[str, Any]) -> str:
    found = keys.string(given, "shared_access", FIELD) or LAUNCHER_ONLY
    if found not in ACCESS:
        raise keys.refusal("shared_access", FIELD, f"one of {keys.listed(ACCESS)}")
    return found


def _dns(given: dict[str, Any]) -> dict[str, Any]:
    dns = keys.hash_of(given, "dns", FIELD) or {}
    hostname = keys.string(dns, "hostname", f"{FIELD}.dns")
    if hostname is None:
        return {}
    if not _HOSTNAME.fullmatch(hostname):
        raise keys.refusal("hostname", f"{FIELD}.dns", 'letters, digits and "-" within')
    return {"dns": {"hostname": hostname}}


def declared_by(body: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what a kept executable declares; None if that is nothing that can be offered."""
    try:
        return check(body)
    except errors.InvalidInput:
        return None  # kept by a version that did not look at it


def of_executable(declared: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what describes the web application of an applet or app."""
    if not declared or not declared.get("ports"):
        return dict(OFF)
    return {
        "enabled": True,
        "shared_access": LAUNCHER_ONLY,
        "dns": {},
        **{name: value for name, value in declared.items() if name != "enabled"},
    }


def of_job(
    declared: Mapping[str, Any] | None, job_id: str, address: Address | None
) -> dict[str, Any]:
    """Return what describes the web application of a job; there is none without an address."""
    if not declared or address is None:
        return dict(OFF)
    return {
        "enabled": True,
        "ports": declared["ports"],
        "shared_access": declared["shared_access"],
        "dns": {"url": url_of(address, job_id)},
    }


def address_of(server_url: str, domain: str) -> Address:
    """Return where web applications are: below a domain, by the server's scheme and port."""
    parts = urlsplit(server_url)
    return Address(parts.scheme, domain, "" if parts.port is None else str(parts.port))


def url_of(address: Address, job_id: str, port: int | None = None) -> str:
    """Return the URL of a job's web application, or of another port of it."""
    label = job_id if port is None else f"{job_id}-{port}"
    at = f":{address.port}" if address.port else ""
    return f"{address.scheme}://{label}.{address.domain}{at}"


def place_of(host: str, domain: str) -> Place | None:
    """Return what the Host header of a request names; None if that is no job's."""
    # With a dot at its end a name is the same one, and not looked up in a search list.
    name = host.partition(":")[0].lower().removesuffix(".")
    found = _LABEL.fullmatch(name.removesuffix(f".{domain.lower()}"))
    if found is None or not name.endswith(f".{domain.lower()}"):
        return None
    return Place(found[1], int(found[2]) if found[2] else None)


def port_of(declared: Mapping[str, Any], asked: int | None) -> int | None:
    """Return the port inside the sandbox for one that was asked for; None if it is not declared."""
    ports: Sequence[int] = declared["ports"]
    if asked is not None:
        return asked if asked in ports else None
    return 443 if 443 in ports else ports[0]


def needed_level(declared: Mapping[str, Any]) -> Level:
    """Return the least level on the job's project of those who may open it."""
    shared = declared["shared_access"]
    return Level.VIEW if shared == LAUNCHER_ONLY else Level[shared]
