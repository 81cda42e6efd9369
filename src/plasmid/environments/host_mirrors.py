"""What this host's own package managers are set up with: pip, gem, cpan, R and git.

Only what names a mirror is read. apt's sources are read where base images are made.
"""

from __future__ import annotations

import configparser
import os
import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

_GIT_SECONDS_MAX: Final = 10
_PIP_SECTIONS: Final = ("global", "install")


class Found(msgspec.Struct, frozen=True):
    """A value, and the file or variable that has it."""

    value: str
    origin: str


class Host(msgspec.Struct, frozen=True):
    """The mirrors that a host's managers use; `pip_folders` are its find-links."""

    pip: tuple[Found, ...] = ()
    pip_extra: tuple[Found, ...] = ()
    pip_folders: tuple[Found, ...] = ()
    pip_trusted: tuple[str, ...] = ()
    gem: tuple[Found, ...] = ()
    cpan: tuple[Found, ...] = ()
    cran: tuple[Found, ...] = ()
    git: dict[str, str] = msgspec.field(default_factory=dict)


def read(environ: Mapping[str, str]) -> Host:
    """Return what the host's files and an environment say; what cannot be read says nothing."""
    home = Path(environ.get("HOME") or "/nonexistent")
    pip = _Pip(environ, home)
    return Host(
        pip=pip.values("index-url")[-1:],
        pip_extra=pip.values("extra-index-url"),
        pip_folders=pip.values("find-links"),
        pip_trusted=tuple(found.value for found in pip.values("trusted-host")),
        gem=_gem([Path("/etc/gemrc"), home / ".gemrc"]),
        cpan=_cpan(environ, home),
        cran=_cran([Path(environ.get("R_PROFILE_USER") or home / ".Rprofile")]),
        git=_git(environ),
    )


class _Pip:
    """pip's settings: a variable wins over the user's file, that over the machine's."""

    def __init__(self, environ: Mapping[str, str], home: Path) -> None:
        self._environ = environ
        config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
        named = environ.get("PIP_CONFIG_FILE", "")
        files = [Path("/etc/pip.conf"), home / ".pip/pip.conf", config / "pip/pip.conf"]
        files += [Path(named)] if named else []
        self._files = [] if named == os.devnull else [(path, _ini(path)) for path in files]

    def values(self, name: str) -> tuple[Found, ...]:
        """Return the values of an option that may have several."""
        variable = f"PIP_{name.upper().replace('-', '_')}"
        if text := self._environ.get(variable):
            return tuple(Found(word, f"${variable}") for word in text.split())
        found: tuple[Found, ...] = ()
        for path, parsed in self._files:
            for section in _PIP_SECTIONS:
                if text := parsed.get(section, name, fallback=""):
                    found = tuple(Found(word, str(path)) for word in text.split())
        return found


def _ini(path: Path) -> configparser.RawConfigParser:
    parsed = configparser.RawConfigParser()
    try:
        parsed.read_string(_text(path))
    except configparser.Error:
        return configparser.RawConfigParser()
    return parsed


def _gem(paths: list[Path]) -> tuple[Found, ...]:
    """Return the sources of the last gemrc that has some (its YAML is a plain list there)."""
    found: tuple[Found, ...] = ()
    for path in paths:
        listed = re.search(r"(?m)^:?sources:\s*\n((?:\s*- .*\n?)+)", _text(path))
        if listed:
            sources = re.findall(r"(?m)^\s*- [\"']?([^\s\"']+)", listed.group(1))
            found = tuple(Found(source, str(path)) for source in sources)
    return found


def _cpan(environ: Mapping[str, str], home: Path) -> tuple[Found, ...]:
    """Return the mirrors of cpanm's options, else those of the cpan shell."""
    try:
        words = shlex.split(environ.get("PERL_CPANM_OPT", ""))
    except ValueError:
        words = []
    told = " ".join(words)
    if mirrors := re.findall(r"--(?:mirror|from)[ =](\S+)", told):
        return tuple(Found(mirror, "$PERL_CPANM_OPT") for mirror in mirrors)
    path = home / ".cpan/CPAN/MyConfig.pm"
    _, _, rest = _text(path).partition("'urllist'")
    # Each of the list's entries is written as q[address].
    listed = re.match(r"\s*=>\s*\[((?:\s*q\[[^\]]*\],?)*)", rest)
    urls = re.findall(r"q\[([^\]]+)\]", listed.group(1)) if listed else []
    return tuple(Found(url, str(path)) for url in urls)


def _cran(paths: list[Path]) -> tuple[Found, ...]:
    """Return the CRAN mirror that an R profile sets."""
    for path in paths:
        set_to = re.search(r"(?m)^[^#\n]*\bCRAN[\"']?\]?\s*(?:=|<-)\s*[\"']([^\"']+)", _text(path))
        if set_to:
            return (Found(set_to.group(1), str(path)),)
    return ()


def _git(environ: Mapping[str, str]) -> dict[str, str]:
    """Return {beginning of an address: what git puts for it}, as far as it leads over HTTP."""
    command = ["git", "config", "--null", "--get-regexp", r"^url\..*\.insteadof$"]
    try:
        told = subprocess.run(
            command,
            cwd="/",
            env=dict(environ),
            capture_output=True,
            check=False,
            timeout=_GIT_SECONDS_MAX,
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    return dict(_rewritten(told.stdout.decode(errors="replace")))


def _rewritten(listed: str) -> Iterator[tuple[str, str]]:
    for entry in listed.split("\0"):
        key, _, start = entry.partition("\n")
        mirror = key.removeprefix("url.").rpartition(".")[0]
        if start and re.match(r"https?://", mirror):
            yield start, mirror


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
