"""The environment variables of a job (contract I.1)."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any, Final

import msgspec

from plasmid.domain import assignments

HOME: Final = "/home/dnanexus"
API_HOST: Final = "127.0.0.1"
API_PORT: Final = 8124
PROXY: Final = "http://127.0.0.1:3128"
NAME_SERVER: Final = "127.0.0.53"
CA_BUNDLE: Final = "/opt/plasmid/ca-certificates.crt"

BREAK_PACKAGES: Final = "PIP_BREAK_SYSTEM_PACKAGES"
MANAGED_RELEASES: Final = ("24.04",)
"""Where Python is left to its packages (PEP 668), which an app may break as on the platform."""

BASE: Final = {
    "HOME": HOME,
    "USER": "root",
    "LOGNAME": "root",
    "SHELL": "/bin/bash",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    # Apps extend these, some under `set -u`; the folders need not be there.
    "DNANEXUS_HOME": "/opt/dnanexus",
    "PYTHONPATH": "/opt/dnanexus/lib/python",
    "PERL5LIB": "/opt/dnanexus/lib/perl5",
    "CLASSPATH": "/opt/dnanexus/lib/java/*",
    "DX_APISERVER_HOST": API_HOST,
    "DX_APISERVER_PORT": str(API_PORT),
    "DX_APISERVER_PROTOCOL": "http",
    "DX_CLI_WD": "/",
    BREAK_PACKAGES: "1",
}
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def variables(
    assignment: assignments.Assignment,
    *,
    ca_bundle: Path | None = None,
    needs_proxy: bool = False,
) -> dict[str, str]:
    """Return all variables of a job; what the platform gives wins over what is made here."""
    context = {"auth_token_type": "Bearer", "auth_token": assignment.token}
    made = {
        **BASE,
        "DX_SECURITY_CONTEXT": msgspec.json.encode(context).decode(),
        "DX_JOB_ID": assignment.job,
        **_from_description(assignment.job_description),
    }
    if assignment.release not in MANAGED_RELEASES:
        del made[BREAK_PACKAGES]
    if assignment.network:
        made |= network_variables(ca_bundle) if needs_proxy else trust_variables(ca_bundle)
    return made | assignment.environment


def network_variables(ca_bundle: Path | None) -> dict[str, str]:
    """Return the variables by which programs find the proxy, and what certificates to trust.

    The client knows no `no_proxy` and cannot speak plain HTTP through a proxy (its header names are
    bytes, urllib3 joins them as text). It takes the last of http_proxy, HTTP_PROXY, https_proxy and
    HTTPS_PROXY that is set: an empty one keeps it off the proxy, and all others read past it.
    """
    made = {"no_proxy": "127.0.0.1,localhost", "NO_PROXY": "127.0.0.1,localhost"}
    made |= dict.fromkeys(("http_proxy", "HTTP_PROXY", "https_proxy"), PROXY)
    made["HTTPS_PROXY"] = ""
    return made | trust_variables(ca_bundle)


def trust_variables(ca_bundle: Path | None) -> dict[str, str]:
    """Return the variables by which programs find the certificates that they are to trust."""
    made: dict[str, str] = {}
    if ca_bundle is not None:
        for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT"):
            made[name] = CA_BUNDLE
        made["GIT_SSL_CAINFO"] = CA_BUNDLE
    return made


def render(given: dict[str, str]) -> str:
    """Return the variables as a shell file that can be sourced."""
    lines = [
        f"export {name}={shlex.quote(value)}"
        for name, value in given.items()
        if _IDENTIFIER.fullmatch(name)
    ]
    return "".join(f"{line}\n" for line in lines)


def _from_description(description: dict[str, Any]) -> dict[str, str]:
    """Return the ids that a job's description knows; those of apps only where there are any."""
    fields = {
        "DX_WORKSPACE_ID": "workspace",
        "DX_PROJECT_CONTEXT_ID": "project",
        "DX_RESOURCES_ID": "resources",
        "DX_PROJECT_CACHE_ID": "projectCache",
    }
    return {
        name: str(description[field]) for name, field in fields.items() if description.get(field)
    }
