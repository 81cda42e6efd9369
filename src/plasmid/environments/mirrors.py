"""Where package managers get packages from: `[mirrors]`, else what this host itself is set up with.

What is told inside a sandbox are addresses only: the way out is the sandbox's own proxy, the
certificates are those of `[network] ca_bundle`. Addresses with a password in them serve the builds
of layers and are not written where a job could read them. A folder of this host is no mirror for a
sandbox: such settings are left out, and `plasmid doctor` says so.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from plasmid.domain import dependencies
from plasmid.environments import host_mirrors

_WEB_PORTS: Final = {"http": 80, "https": 443}
_RETRIES: Final = "2"
_APT_SOURCES: Final = "/etc/apt/sources.list.d/plasmid-mirrors.list"

_ADDRESS: Final = "^(https?://.+)?$"
_Address = Annotated[str, Meta(pattern=_ADDRESS)]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Mirrors of package managers; empty ones are taken from this host's own settings."""

    apt: Annotated[
        list[Annotated[str, Meta(pattern="^deb ")]],
        Meta(
            description="More lines of sources.list for every base image: a site's own packages. "
            "The archives of the distribution itself are set by [image_sources]."
        ),
    ] = msgspec.field(default_factory=list)
    apt_keys: Annotated[
        list[str], Meta(description="Files of the keys (.asc or .gpg) that sign these.")
    ] = msgspec.field(default_factory=list)
    pip: Annotated[
        str, Meta(pattern=_ADDRESS, description="Python package index; empty: as this host's pip.")
    ] = ""
    pip_extra: Annotated[
        list[_Address], Meta(description="More Python package indexes; empty: as this host's pip.")
    ] = msgspec.field(default_factory=list)
    gem: Annotated[
        list[_Address], Meta(description="Ruby gem sources; empty: those of this host's gemrc.")
    ] = msgspec.field(default_factory=list)
    cpan: Annotated[
        list[_Address], Meta(description="CPAN mirrors; empty: those of this host's cpanm or cpan.")
    ] = msgspec.field(default_factory=list)
    cran: Annotated[
        str, Meta(pattern=_ADDRESS, description="CRAN mirror; empty: that of ~/.Rprofile here.")
    ] = ""
    git: Annotated[
        dict[str, _Address],
        Meta(
            description='Beginnings of git addresses and what stands for them: "https://a.example/"'
            ' = "https://mirror.example/a/"; empty: the insteadOf of this host\'s git.'
        ),
    ] = msgspec.field(default_factory=dict)
    timeout_seconds: Annotated[
        int, Meta(ge=1, le=3600, description="How long a mirror may be silent.")
    ] = 30


class Packages(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What becomes of a package that the base image's distribution does not have as asked for."""

    version_mismatch: Annotated[
        str,
        Meta(
            pattern="^(refuse|nearest)$",
            description="If apt lacks the exact version: refuse (the job fails) or nearest.",
        ),
    ] = "refuse"
    substitutes: Annotated[
        dict[str, str],
        Meta(
            description="Packages that stand for those that the distribution lacks: "
            '"openjdk-8-jre-headless" = "openjdk-17-jre-headless".'
        ),
    ] = msgspec.field(default_factory=dict)
    lists_hours_max: Annotated[
        int, Meta(ge=0, description="Age up to which package lists are used without an update.")
    ] = 24


class Mirrors(msgspec.Struct, frozen=True, kw_only=True):
    """The mirrors in force; `skipped` says which of this host's settings jobs cannot use."""

    apt: tuple[str, ...] = ()
    apt_keys: tuple[tuple[str, bytes], ...] = ()
    pip: str = ""
    pip_extra: tuple[str, ...] = ()
    pip_trusted: tuple[str, ...] = ()
    gem: tuple[str, ...] = ()
    cpan: tuple[str, ...] = ()
    cran: str = ""
    git: dict[str, str] = msgspec.field(default_factory=dict)
    timeout_seconds: int = 30
    packages: Packages = Packages()
    skipped: tuple[str, ...] = ()

    def hosts(self, manager: str, packages: Iterable[dependencies.Package] = ()) -> list[str]:
        """Return the `host:port` of the mirrors that a manager is sent to; [] if to its own.

        What a manager itself knows is the public's: for that, as on the platform, an executable
        needs access.network.
        """
        # Any manager may itself have to be installed first, by apt.
        addresses = [word for line in self.apt for word in line.split() if "://" in word]
        match manager:
            case "pip" | "pip3":
                addresses += [self.pip, *self.pip_extra]
            case "gem":
                addresses += self.gem
            case "cpan":
                addresses += self.cpan
            case "cran":
                addresses.append(self.cran)
            case "git":
                urls = [package.url or "" for package in packages]
                addresses += [
                    mirror
                    for start, mirror in self.git.items()
                    if any(url.startswith(start) for url in urls)
                ]
        return sorted({_place(address) for address in addresses if address})

    def inside(self) -> dict[str, Any]:
        """Return what the installer in a sandbox is told (`mirrors` of its request)."""
        return {
            "environment": self._variables(),
            "gem": list(self.gem),
            "cpan": list(self.cpan),
            "cran": self.cran,
            "timeout_seconds": self.timeout_seconds,
            "apt_sources": bool(self.apt),
            "apt_lists_hours": self.packages.lists_hours_max,
            "apt_version_mismatch": self.packages.version_mismatch,
            "apt_substitutes": dict(self.packages.substitutes),
        }

    def _variables(self) -> dict[str, str]:
        seconds = str(self.timeout_seconds)
        made = {
            "PIP_DEFAULT_TIMEOUT": seconds,
            "PIP_RETRIES": _RETRIES,
            "UV_HTTP_TIMEOUT": seconds,
            "UV_HTTP_RETRIES": _RETRIES,
            "GIT_HTTP_LOW_SPEED_LIMIT": "1",
            "GIT_HTTP_LOW_SPEED_TIME": seconds,
        }
        if self.pip:
            made |= {"PIP_INDEX_URL": self.pip, "UV_DEFAULT_INDEX": self.pip}
        if self.pip_extra:
            extra = " ".join(self.pip_extra)
            made |= {"PIP_EXTRA_INDEX_URL": extra, "UV_INDEX": extra}
        if self.pip_trusted:
            trusted = " ".join(self.pip_trusted)
            made |= {"PIP_TRUSTED_HOST": trusted, "UV_INSECURE_HOST": trusted}
        return made

    def files(self) -> dict[str, bytes]:
        """Return the files by which managers find the mirrors in any sandbox: path to content."""
        seconds = self.timeout_seconds
        made = {
            "/etc/apt/apt.conf.d/98plasmid-mirrors": "".join(
                f'Acquire::{kind}::Timeout "{seconds}";\n' for kind in ("http", "https")
            )
        }
        if self.apt:
            made[_APT_SOURCES] = "".join(f"{line}\n" for line in self.apt)
        if lines := self._pip_lines():
            made["/etc/pip.conf"] = "[global]\n" + "".join(f"{line}\n" for line in lines)
        if sources := _open_ones(self.gem):
            made["/etc/gemrc"] = ":sources:\n" + "".join(f"- {source}\n" for source in sources)
        if self.git:
            made["/etc/gitconfig"] = "".join(
                f'[url "{mirror}"]\n\tinsteadOf = {start}\n'
                for start, mirror in self.git.items()
                if _open_ones([mirror])
            )
        keys = {f"/etc/apt/trusted.gpg.d/{name}": key for name, key in self.apt_keys}
        return {path: text.encode() for path, text in made.items()} | keys

    def _pip_lines(self) -> list[str]:
        lines = [f"index-url = {address}" for address in _open_ones([self.pip])]
        for name, values in (
            ("extra-index-url", _open_ones(self.pip_extra)),
            ("trusted-host", self.pip_trusted),
        ):
            if values:
                lines.append(f"{name} = {' '.join(values)}")
        return lines


def of(settings: Settings, packages: Packages, host: host_mirrors.Host) -> Mirrors:
    """Return the mirrors in force: each setting, else the host's own; raises OSError for a key."""
    skipped: list[str] = []

    def chosen(ours: Sequence[str], theirs: Iterable[host_mirrors.Found]) -> tuple[str, ...]:
        if ours:
            return tuple(ours)
        usable = []
        for found in theirs:
            if re.match(r"https?://", found.value):
                usable.append(found.value)
            else:
                skipped.append(f"{found.value} ({found.origin})")
        return tuple(usable)

    pip = chosen([settings.pip] if settings.pip else [], host.pip)
    cran = chosen([settings.cran] if settings.cran else [], host.cran)
    extra = chosen(settings.pip_extra, () if settings.pip else host.pip_extra)
    skipped += [f"{found.value} ({found.origin})" for found in host.pip_folders]
    return Mirrors(
        apt=tuple(settings.apt),
        apt_keys=tuple(_key(number, Path(name)) for number, name in enumerate(settings.apt_keys)),
        pip=pip[0] if pip else "",
        pip_extra=extra,
        pip_trusted=() if settings.pip else host.pip_trusted,
        gem=chosen(settings.gem, host.gem),
        cpan=chosen(settings.cpan, host.cpan),
        cran=cran[0] if cran else "",
        git=settings.git or host.git,
        timeout_seconds=settings.timeout_seconds,
        packages=packages,
        skipped=tuple(skipped),
    )


def _key(number: int, path: Path) -> tuple[str, bytes]:
    return f"plasmid-{number}{path.suffix}", path.read_bytes()


def _place(address: str) -> str:
    """Return the host of an address with its port."""
    parts = urllib.parse.urlsplit(address)
    host = parts.hostname or ""
    port = parts.port or _WEB_PORTS.get(parts.scheme, 443)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _open_ones(addresses: Iterable[str]) -> list[str]:
    """Return the addresses that anybody may read: those without a password."""
    return [a for a in addresses if a and urllib.parse.urlsplit(a).password is None]
