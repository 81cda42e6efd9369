"""What base images are made of; pure: every file, package and command as data."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from plasmid.environments import apt_sources

PROXY_URL: Final = "http://127.0.0.1:3128"
DXPY_VERSION: Final = "0.413.0"
JOB_USER: Final = "dnanexus"
PACKAGE_LIST: Final = "/usr/share/plasmid-packages"
"""Where an image lists what is installed in it."""

# requests comes beside dxpy and not from Debian: it must agree with dxpy's urllib3.
PYTHON_REQUIREMENTS: Final = (f"dxpy=={DXPY_VERSION}", "requests")

# What apps use without declaring it. gcc stays out: with it the image is 190 MB larger, and apps
# that compile declare build-essential.
PACKAGES: Final = (
    "apt-utils",
    "bc",
    "bsdextrautils",
    "bzip2",
    "ca-certificates",
    "curl",
    "file",
    "gawk",
    "git",
    "hostname",
    "iproute2",
    "jq",
    "less",
    "libgomp1",
    "libncurses5",
    "libncurses6",
    "lsb-release",
    "make",
    "netbase",
    "openssh-client",
    "p7zip-full",
    "parallel",
    "patch",
    "pigz",
    "procps",
    "psmisc",
    "python3",
    "python3-numpy",
    "python3-pip",
    "python3-venv",
    "rsync",
    "sudo",
    "time",
    "unzip",
    "wget",
    "xz-utils",
    "zip",
)

# Manuals and translations are for nobody here; licences stay. Jobs install by the same rules and
# without syncing each file to disk, which takes most of an installation's time.
DPKG_OPTIONS: Final = (
    "force-unsafe-io",
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/locale/*",
    "path-include=/usr/share/locale/locale.alias",
    "path-exclude=/usr/lib/python3*/EXTERNALLY-MANAGED",
)


# Package lists stay in the image, compressed (19 MB): a job's `apt-get update` then fetches only
# what has changed since.
INDEX_SETTINGS: Final = ('Acquire::Languages "none";', 'Acquire::GzipIndexes "true";')


class Recipe(msgspec.Struct, frozen=True):
    """How one base image is made."""

    name: str
    distribution: str
    release: str
    suite: str
    python: str
    packages: tuple[str, ...] = PACKAGES
    requirements: tuple[str, ...] = PYTHON_REQUIREMENTS


RECIPES: Final = {
    "debian-12": Recipe(
        name="debian-12", distribution="Debian", release="12", suite="bookworm", python="3.11"
    ),
}


def furniture(apt_settings: Sequence[str]) -> dict[str, tuple[int, str]]:
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


def digest(recipe: Recipe, files: Mapping[str, tuple[int, str]], packages: Sequence[str]) -> str:
    """Return the stable name of an image's content: its recipe and what became installed."""
    content = msgspec.json.encode(
        [recipe, sorted(files.items()), customize_script(recipe), sorted(packages)], order="sorted"
    )
    return hashlib.sha256(content).hexdigest()[:32]


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


def mmdebstrap_command(
    recipe: Recipe,
    target: str,
    *,
    sources: Sequence[apt_sources.Source],
    settings: Sequence[str],
    hook: str,
    as_root: bool = True,
) -> list[str]:
    """Return the command that makes the root file system, without root as a tar file.

    `hook` is the file of customize_script. Without sources, mmdebstrap takes Debian's own mirror.
    """
    return [
        "mmdebstrap",
        *(("--mode=root", "--format=directory") if as_root else ("--mode=unshare", "--format=tar")),
        "--variant=minbase",
        "--skip=cleanup/apt/lists",
        f"--include={','.join(recipe.packages)}",
        *(f"--dpkgopt={option}" for option in DPKG_OPTIONS),
        *(f"--aptopt={setting}" for setting in (*INDEX_SETTINGS, *settings)),
        f'--customize-hook={shlex.quote(hook)} "$1"',
        recipe.suite,
        target,
        *(source.line() for source in sources),
    ]


def customize_script(recipe: Recipe) -> str:
    """Return the script that furnishes a new root: $1 is the root; files and wheels lie beside it.

    The image's own pip never asks an index: the host's has fetched every wheel.
    """
    requirements = " ".join(shlex.quote(r) for r in recipe.requirements)
    return f"""#!/bin/sh
set -eu
root=$1
here=$(dirname "$0")
inside() {{ env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \\
    LANG=C.UTF-8 chroot "$root" "$@"; }}
echo "I: furnishing the image"
cp -R --preserve=mode "$here/files/." "$root/"
chmod 440 "$root"/etc/sudoers.d/*
rm -f "$root/etc/apt/apt.conf.d/99mmdebstrap" "$root"/usr/lib/python3*/EXTERNALLY-MANAGED
inside useradd --create-home --uid 1000 --shell /bin/bash {JOB_USER}
mkdir -p "$root/opt/dnanexus/log"
inside update-ca-certificates >/dev/null
echo "I: installing dxpy"
cp -R "$here/wheels" "$root/wheels"
inside python3 -m pip install --quiet --no-index --find-links=/wheels --no-cache-dir \\
    --root-user-action=ignore --disable-pip-version-check {requirements}
rm -rf "$root/wheels"
# Python's own list of authorities: the system's, which has what the host trusts.
for bundle in "$root"/usr/local/lib/python3*/dist-packages/certifi/cacert.pem; do
    ln -sf /etc/ssl/certs/ca-certificates.crt "$bundle"
done
echo "I: compiling Python"
inside python3 -m compileall -q -j 2 /usr/lib/python3 /usr/lib/python3.* /usr/local/lib || true
inside dpkg-query -W -f '${{Package}} ${{Version}} ${{Architecture}}\\n' >"$root{PACKAGE_LIST}"
inside python3 -m pip list --format=freeze --disable-pip-version-check >>"$root{PACKAGE_LIST}"
"""


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


def wheel_platforms(machine: str) -> list[str]:
    """Return the platform tags of wheels that run on Debian 12 (glibc 2.36) or older."""
    minors = (36, 35, 34, 31, 28, 27, 24, 17, 12, 5)
    return [*(f"manylinux_2_{minor}_{machine}" for minor in minors), f"manylinux2014_{machine}"]


def download_options(recipe: Recipe, machine: str) -> list[str]:
    """Return pip's options that make it fetch wheels for the image's Python, not for its own."""
    tag = f"cp{recipe.python.replace('.', '')}"
    return [
        "--only-binary=:all:",
        f"--python-version={recipe.python}",
        "--implementation=cp",
        *(f"--abi={abi}" for abi in (tag, "abi3", "none")),
        *(f"--platform={name}" for name in (*wheel_platforms(machine), "any")),
    ]
