"""Upstream archives of real packages, as Debian's source packages carry them."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_OPTIONS: Final = ("-o", "APT::Sandbox::User=root", "-o", "Acquire::Languages=none")


def archives(folder: Path, names: Sequence[str]) -> dict[str, Path]:
    """Download the archives of source packages with this host's apt; {package: archive}."""
    lines = sorted({_source(line) for line in _targets() if _is_debian(line)})
    for name in ("lists/partial", "files"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "sources.list").write_text("\n".join(lines) + "\n")
    options = [
        *_OPTIONS,
        *("-o", f"Dir::Etc::sourcelist={folder}/sources.list"),
        *("-o", "Dir::Etc::sourceparts=-"),
        *("-o", f"Dir::State::lists={folder}/lists"),
        *("-o", f"Dir::Cache::srcpkgcache={folder}/srcpkgcache.bin"),
        *("-o", f"Dir::Cache::pkgcache={folder}/pkgcache.bin"),
    ]
    _run(["apt-get", *options, "update"], folder)
    _run(["apt-get", *options, "source", "--download-only", "--tar-only", *names], folder / "files")
    found = {}
    for name in names:
        pattern = re.compile(rf"{re.escape(name)}_[^_]*\.orig\.tar\.(gz|xz|bz2)$")
        found[name] = next(p for p in (folder / "files").iterdir() if pattern.match(p.name))
    return found


def _targets() -> list[str]:
    told = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT) $(ORIGIN)"],
        check=True,
        capture_output=True,
        text=True,
    )
    return sorted(set(told.stdout.splitlines()))


def _is_debian(line: str) -> bool:
    _, release, component, *origin = line.split()
    return origin == ["Debian"] and component == "main" and "-" not in release


def _source(line: str) -> str:
    uri, release, component, *_ = line.split()
    return f"deb-src {uri} {release} {component}"


def _run(command: Sequence[str], folder: Path) -> None:
    ran = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, env=os.environ
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
