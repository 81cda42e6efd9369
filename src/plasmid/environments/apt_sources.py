"""Where packages come from: read from the host's own apt sources (sources.list(5)); pure.

Only what carries a distribution itself is taken (the suites of one release, component main, a path
and a keyring of its name): a vendor's repository beside it is the host's business, not the image's.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

_SUITE_ENDINGS: Final = ("", "-updates", "-security", "/updates")


class _Archive(msgspec.Struct, frozen=True):
    """What tells the sources of a distribution from those of others."""

    folders: tuple[str, ...]
    components: tuple[str, ...]
    keyring: str


_ARCHIVES: Final = {
    "Debian": _Archive(
        ("debian", "debian-security"),
        ("main", "contrib", "non-free", "non-free-firmware"),
        "debian-archive",
    ),
    "Ubuntu": _Archive(
        ("ubuntu", "ubuntu-ports"),
        ("main", "universe", "restricted", "multiverse"),
        "ubuntu-archive",
    ),
}


class Source(msgspec.Struct, frozen=True):
    """One line of apt's sources: an archive, a suite in it and components."""

    uri: str
    suite: str
    components: tuple[str, ...]
    signed_by: str = ""

    @property
    def host(self) -> str:
        """The host that serves it, with its port if the address names one."""
        parts = urllib.parse.urlsplit(self.uri)
        return f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname or ""

    def line(self) -> str:
        """Return it as a line of sources.list (its key is one that apt has)."""
        return f"deb {self.uri} {self.suite} {' '.join(self.components)}"


def parse(files: Mapping[str, str]) -> list[Source]:
    """Read the texts of sources.list and *.list (one-line) and *.sources (deb822) files by name."""
    found: list[Source] = []
    for name, text in sorted(files.items()):
        found += _parse_deb822(text) if name.endswith(".sources") else _parse_lines(text)
    return found


def _parse_lines(text: str) -> list[Source]:
    found = []
    for line in text.splitlines():
        bare = line.partition("#")[0].strip()
        match = re.fullmatch(r"deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+(.+)", bare)
        if match:
            options, uri, suite, components = match.groups()
            signed = re.search(r"signed-by=(\S+)", options or "", re.IGNORECASE)
            key = signed.group(1) if signed else ""
            found.append(Source(uri, suite, tuple(components.split()), key))
    return found


def _parse_deb822(text: str) -> list[Source]:
    found = []
    without_comments = re.sub(r"(?m)^#.*\n?", "", text)
    for stanza in re.split(r"\n\s*\n", without_comments):
        fields: dict[str, str] = {}
        for match in re.finditer(r"(?m)^([A-Za-z-]+):((?:.*)(?:\n[ \t].*)*)", stanza):
            fields[match.group(1).lower()] = " ".join(match.group(2).split())
        is_on = fields.get("enabled", "yes").lower() not in ("no", "false", "0")
        if not is_on or "deb" not in fields.get("types", "").split():
            continue
        components = tuple(fields.get("components", "").split())
        key = fields.get("signed-by", "")
        found += [
            Source(uri, suite, components, key)
            for uri in fields.get("uris", "").split()
            for suite in fields.get("suites", "").split()
        ]
    return found


def of_release(
    sources: Iterable[Source], release: str, host_release: str = "", *, distribution: str = "Debian"
) -> list[Source]:
    """Return the sources that carry a release by its code name.

    On a host of another release of that distribution (`host_release`) its archives are taken with
    the suites of the wanted one: the same mirror carries both. Empty if the host has none.
    """
    archive = _ARCHIVES[distribution]
    wanted: list[Source] = []
    for source in sources:
        for own in dict.fromkeys((release, host_release)):
            ending = source.suite.removeprefix(own) if own else None
            if ending in _SUITE_ENDINGS and own and source.suite.startswith(own):
                kept = tuple(c for c in source.components if c in archive.components)
                made = Source(source.uri, release + ending, kept)
                if _carries(source, archive) and made not in wanted:
                    wanted.append(made)
    has_own = any(source.suite == release for source in wanted)
    return wanted if has_own else []


def of_mirror(
    uris: Sequence[str], distribution: str, release: str, *, components: tuple[str, ...]
) -> list[Source]:
    """Return the sources of a release on a mirror: its archive and, if it has one, for security.

    Ubuntu keeps security beside the rest; Debian in an archive of its own, `<archive>-security`
    unless it is named.
    """
    archive, *others = (uri.rstrip("/") for uri in uris)
    security = others[0] if others else archive
    if not others and distribution == "Debian":
        security = f"{archive}-security"
    suites = (
        (archive, release),
        (archive, f"{release}-updates"),
        (security, f"{release}-security"),
    )
    return [Source(uri, suite, components) for uri, suite in suites]


def _carries(source: Source, archive: _Archive) -> bool:
    parts = urllib.parse.urlsplit(source.uri)
    segments = parts.path.strip("/").split("/")
    return (
        parts.scheme in ("http", "https")
        and "main" in source.components
        and any(segment in archive.folders for segment in segments)
        and (not source.signed_by or archive.keyring in source.signed_by)
    )
