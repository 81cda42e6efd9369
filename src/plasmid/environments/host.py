"""What this host lends to the making of an image: its apt sources, certificates, keys and pip."""

from __future__ import annotations

import contextlib
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from plasmid.environments import apt_sources, clients, commands, furnishing
from plasmid.environments.recipes import Recipe

_BUNDLE: Final = Path("/etc/ssl/certs/ca-certificates.crt")
_SHIPPED_CERTIFICATES: Final = Path("/usr/share/ca-certificates")
_SYSTEM_PYTHONS: Final = ("/usr/bin/python3", "python3")
_KEYS: Final = Path(__file__).with_name("keys")
_DEBIAN_KEYRING: Final = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


class Mirrors(msgspec.Struct, frozen=True):
    """Where what images are made of comes from, beyond what the host itself has.

    `apt` has archives by release ("Ubuntu 20.04") or distribution: `URI` or `URI SECURITY-URI`;
    `oci` references by image name. `keyring` is a file or folder of keys that sign the archives.
    """

    prefer: str = "apt"
    apt: dict[str, str] = {}
    oci: dict[str, str] = {}
    keyring: str = ""


def sources(recipe: Recipe, mirrors: Mirrors) -> list[apt_sources.Source]:
    """Return the apt sources of a release: configured, or the host's own, or none (the default)."""
    for key in (recipe.title, recipe.distribution):
        if uris := mirrors.apt.get(key, "").split():
            return apt_sources.of_mirror(
                uris, recipe.distribution, recipe.suite, components=recipe.components
            )
    folder = Path("/etc/apt")
    names = [folder / "sources.list", *folder.glob("sources.list.d/*")]
    texts = {
        str(path): path.read_text(errors="replace")
        for path in names
        if path.suffix in (".list", ".sources") and path.exists()
    }
    release = platform.freedesktop_os_release()
    is_own = release.get("ID") == recipe.distribution.lower()
    own = release.get("VERSION_CODENAME", "") if is_own else ""
    return apt_sources.of_release(
        apt_sources.parse(texts), recipe.suite, own, distribution=recipe.distribution
    )


def keyring(recipe: Recipe, mirrors: Mirrors) -> str:
    """Return the keys that sign a distribution's archives; empty for those that apt trusts here.

    Ubuntu's come with us: no other distribution has them at a place of its own.
    """
    if mirrors.keyring:
        return mirrors.keyring
    if recipe.distribution == "Ubuntu":
        return str(_KEYS)
    if not _DEBIAN_KEYRING.exists():
        raise commands.BuildError(
            "the keys of Debian's archive are not here: apt-get install debian-archive-keyring"
        )
    return ""


def stage(recipe: Recipe, scratch: Path, files: dict[str, tuple[int, str]]) -> None:
    """Lay out what the furnishing script takes into the root, for everybody to read.

    Without root, the script runs as another user of this host.
    """
    scratch.chmod(0o755)
    staged = {path: (mode, text.encode()) for path, (mode, text) in files.items()}
    for number, certificate in enumerate(_local_certificates()):
        path = f"/usr/local/share/ca-certificates/host-{number}.crt"
        staged[path] = (0o644, certificate.encode())
    for path, (mode, content) in staged.items():
        file = scratch / "files" / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        file.chmod(mode | 0o444)
    script = scratch / "customize"
    script.write_text(furnishing.script(recipe))
    script.chmod(0o755)


def _local_certificates() -> list[str]:
    """Return the certificates that this host trusts by its administrator's word."""
    if not _BUNDLE.exists():
        return []
    shipped = "\n".join(p.read_text(errors="replace") for p in _SHIPPED_CERTIFICATES.rglob("*.crt"))
    return furnishing.local_certificates(_BUNDLE.read_text(errors="replace"), shipped)


async def fetch_clients(recipe: Recipe, scratch: Path) -> None:
    """Fetch the client for each Python of an image with the host's pip and its settings."""
    pip = await _pip()
    for client, folder in ((recipe.python_3, "wheels"), (recipe.python_2, "wheels2")):
        if client is None:
            continue
        (scratch / folder).mkdir()
        target = str(scratch / folder)
        wheels = [*client.wheels, *((client.pip,) if client.pip else ())]
        options = clients.wheel_options(client, platform.machine(), recipe.glibc_minor)
        download = [*pip, "download", "--quiet", "--no-deps", "--dest", target]
        await commands.output([*download, *options, *wheels])
        if client.builds_inside:
            await commands.output([*download, "--no-binary=:all:", *client.sources])
        else:
            # Published as source only, with no compiled part: our wheel fits any Python 3.
            wheel = [*pip, "wheel", "--quiet", "--no-deps", "--wheel-dir", target]
            await commands.output([*wheel, *client.sources])


async def _pip() -> Sequence[str]:
    """Return a pip command of this host that works."""
    for python in (sys.executable, *_SYSTEM_PYTHONS):
        with contextlib.suppress(commands.BuildError):
            await commands.output([python, "-m", "pip", "--version"])
            return [python, "-m", "pip", "--disable-pip-version-check"]
    raise commands.BuildError("no pip on this host: apt-get install python3-pip")
