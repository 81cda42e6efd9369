"""What is put into a new root file system to make a base image of it; pure: files and a script."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import Final

from plasmid.environments.clients import Client
from plasmid.environments.recipes import Recipe

PROXY_URL: Final = "http://127.0.0.1:3128"
JOB_USER: Final = "dnanexus"
PACKAGE_LIST: Final = "/usr/share/plasmid-packages"
"""Where an image lists what is installed in it."""

# Package lists stay in the image, compressed (19 MB): a job's `apt-get update` then fetches only
# what has changed since.
INDEX_SETTINGS: Final = ('Acquire::Languages "none";', 'Acquire::GzipIndexes "true";')


def files(apt_settings: Sequence[str]) -> dict[str, tuple[int, str]]:
    """Return the files put into every image: path to mode and text.

    `apt_settings` are lines of the host's own apt configuration that its archives need.
    """
    apt = [
        f'Acquire::http::Proxy "{PROXY_URL}";',
        f'Acquire::https::Proxy "{PROXY_URL}";',
        *INDEX_SETTINGS,
        'Acquire::Retries "3";',
        *apt_settings,
    ]
    return {
        "/etc/apt/apt.conf.d/99plasmid": (0o644, "\n".join(apt) + "\n"),
        "/etc/sudoers.d/dnanexus": (0o440, f"{JOB_USER} ALL=(ALL:ALL) NOPASSWD: ALL\n"),
        "/etc/default/locale": (0o644, "LANG=C.UTF-8\n"),
        "/etc/hostname": (0o644, "localhost\n"),
        "/etc/hosts": (0o644, "127.0.0.1 localhost\n::1 localhost\n"),
        "/etc/resolv.conf": (0o644, "# No name server: names are resolved by the proxy.\n"),
    }


def apt_settings(dump: str) -> list[str]:
    """Pick from `apt-config dump` what a host's archives need wherever they are used.

    Not its proxy: inside a sandbox there is but one.
    """
    wanted = ("Acquire::Check-Valid-Until", "Acquire::Check-Date")
    return [line for line in dump.splitlines() if line.split(" ")[0] in wanted]


def build_only_settings(dump: str) -> list[str]:
    """Pick from `apt-config dump` how the host itself reaches its archives."""
    wanted = re.compile(r"Acquire::https?::(Proxy|CAInfo|Verify-Peer|Verify-Host)\b.* \".+\";")
    return [line for line in dump.splitlines() if wanted.match(line)]


def script(recipe: Recipe) -> str:
    """Return the script that furnishes a new root: $1 is the root; files and wheels lie beside it.

    The image's own pip never asks an index: the host has fetched everything.
    """
    return f"""#!/bin/sh
set -eu
root=$1
here=$(dirname "$0")
inside() {{ env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \\
    LANG=C.UTF-8 PIP_BREAK_SYSTEM_PACKAGES=1 PIP_ROOT_USER_ACTION=ignore \\
    PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONWARNINGS=ignore chroot "$root" "$@"; }}
install="-m pip install --quiet --no-index --no-deps --no-cache-dir --find-links=/wheels"
local="$root/usr/local/bin"
echo "I: furnishing the image"
rm -f "$root"/etc/resolv.conf "$root"/etc/hostname
cp -R --preserve=mode "$here/files/." "$root/"
chmod 440 "$root"/etc/sudoers.d/*
rm -f "$root/etc/apt/apt.conf.d/99mmdebstrap"
{_managed(recipe)}# Some vendors' images bring a user with the number that the job's user has.
if other=$(inside id -un 1000 2>/dev/null) && [ "$other" != {JOB_USER} ]; then
    inside userdel --remove "$other" 2>/dev/null
fi
inside id {JOB_USER} >/dev/null 2>&1 ||
    inside useradd --create-home --uid 1000 --shell /bin/bash {JOB_USER}
mkdir -p "$root/opt/dnanexus/log"
inside update-ca-certificates >/dev/null
inside dpkg-query -W -f '${{Package}} ${{Version}} ${{Architecture}}\\n' >"$root{PACKAGE_LIST}"
{_clients(recipe)}# What the host trusts is in the system's bundle alone.
for bundle in "$root"/usr/local/lib/python*/dist-packages/certifi/cacert.pem; do
    ln -sf /etc/ssl/certs/ca-certificates.crt "$bundle"
done
echo "I: compiling Python"
inside python3 -m compileall -q -j 2 /usr/lib/python3 /usr/lib/python3.* >/dev/null || true
"""


def _managed(recipe: Recipe) -> str:
    if recipe.externally_managed:
        return ""
    return 'rm -f "$root"/usr/lib/python3*/EXTERNALLY-MANAGED\n'


def _clients(recipe: Recipe) -> str:
    """Return the lines that install the client for each Python; the last one's `dx` wins."""
    python_2, python_3 = recipe.python_2, recipe.python_3
    parts = [_client(python_3, "python3", "wheels")] if python_3 else []
    if python_2:
        lines = _client(python_2, "python2.7", "wheels2")
        if not recipe.python_is_2:
            # `pip` is Python 3's there, and 2.7's is pip2.
            lines += (
                'for name in pip wheel easy_install chardetect; do rm -f "$local/$name"; done\n'
            )
        parts.insert(len(parts) if recipe.python_is_2 else 0, lines)
    return "".join(parts)


def _client(client: Client, python: str, folder: str) -> str:
    newer_pip, isolation = "", ""
    if client.pip:
        first = [p for p in client.requirements if p.startswith(("setuptools", "wheel"))]
        newer_pip = f"""set -- "$root"/wheels/pip-*.whl
inside {python} "/wheels/${{1##*/}}/pip" ${{install#-m pip}} {_quoted([client.pip, *first])}
"""
    if client.builds_inside:
        isolation = "--no-build-isolation "
    return f"""echo "I: installing dxpy {client.version} for Python {client.python}"
cp -R "$here/{folder}" "$root/wheels"
{newer_pip}inside {python} $install {isolation}{_quoted(client.requirements)}
rm -rf "$root/wheels"
inside {python} -m compileall -q /usr/local/lib/python{client.python} >/dev/null || true
inside {python} -m pip list --format=freeze >>"$root{PACKAGE_LIST}"
"""


def _quoted(pins: Sequence[str]) -> str:
    return " ".join(shlex.quote(pin) for pin in pins)


_CERTIFICATE: Final = re.compile(
    r"-----BEGIN CERTIFICATE-----\s*(.*?)\s*-----END CERTIFICATE-----", re.DOTALL
)


def local_certificates(trusted: str, distributed: str) -> list[str]:
    """Return the PEM certificates that a host trusts beyond those its distribution ships."""
    shipped = {"".join(body.split()) for body in _CERTIFICATE.findall(distributed)}
    found = {"".join(b.split()): b for b in _CERTIFICATE.findall(trusted)}
    return [
        f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"
        for key, body in found.items()
        if key not in shipped
    ]
