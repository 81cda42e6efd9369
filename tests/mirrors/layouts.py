"""Repositories as their managers expect them, laid out from real packages."""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_CPAN_HEAD: Final = "File: 02packages.details.txt\nLine-Count: {count}\n\n"
_GIT_NAME: Final = ("-c", "user.name=a", "-c", "user.email=a@localhost")


def cpan(root: Path, archives: Mapping[str, Path]) -> None:
    """Lay out a CPAN mirror of distributions: {main module: archive}."""
    lines = []
    for module, archive in archives.items():
        folder, version = _top_folder(archive).rpartition("-")[::2]
        file = f"P/PL/PLASMID/{folder}-{version}.tar.gz"
        target = root / "authors/id" / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(archive, target)
        lines.append(f"{module:<40} {version:>10}  {file}\n")
    text = _CPAN_HEAD.format(count=len(lines)) + "".join(sorted(lines))
    (root / "modules").mkdir()
    (root / "modules/02packages.details.txt.gz").write_bytes(gzip.compress(text.encode()))


def cran(root: Path, archive: Path, *, older: str) -> None:
    """Lay out a CRAN mirror of one package, with an older version of it in its archive."""
    folder = root / "src/contrib"
    described = _member(archive, "DESCRIPTION")
    name, version = _dcf(described, "Package"), _dcf(described, "Version")
    (folder / f"Archive/{name}").mkdir(parents=True)
    shutil.copy(archive, folder / f"{name}_{version}.tar.gz")
    _as_version(archive, folder / f"Archive/{name}/{name}_{older}.tar.gz", version, older)
    fields = ("Package", "Version", "Depends", "License", "NeedsCompilation")
    told = [f"{field}: {_dcf(described, field)}\n" for field in fields if _dcf(described, field)]
    (folder / "PACKAGES").write_text("".join(told))


def _as_version(archive: Path, target: Path, version: str, wanted: str) -> None:
    """Write an R package's archive again under another version."""
    with tarfile.open(archive) as source, tarfile.open(target, "w:gz") as sink:
        for entry in source:
            file = source.extractfile(entry) if entry.isfile() else None
            content = file.read() if file is not None else b""
            parts = entry.name.split("/")
            if parts[1:] == ["DESCRIPTION"]:
                old, new = f"Version: {version}".encode(), f"Version: {wanted}".encode()
                content = content.replace(old, new)
            # The folder must have the package's name, whatever it is called where it was found.
            if parts[1:] != ["MD5"]:
                entry.size = len(content)
                sink.addfile(entry, io.BytesIO(content) if file is not None else None)


def simple_index(root: Path, wheels: Mapping[str, Path]) -> None:
    """Lay out a Python package index of wheels by package name, with their hashes."""
    for name, wheel in wheels.items():
        folder = root / "simple" / name
        folder.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        shutil.copy(wheel, folder)
        link = f'<a href="{wheel.name}#sha256={digest}">{wheel.name}</a>\n'
        with (folder / "index.html").open("a") as page:
            page.write(link)


def wheel(folder: Path, name: str, version: str, *, requires: tuple[str, ...] = ()) -> Path:
    """Make a wheel of one module that knows its version."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    about = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += "".join(f"Requires-Dist: {requirement}\n" for requirement in requires)
    with zipfile.ZipFile(path, "w") as made:
        made.writestr(f"{name}.py", f"VERSION = '{version}'\n")
        made.writestr(f"{about}/METADATA", metadata)
        tag = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        made.writestr(f"{about}/WHEEL", tag)
        made.writestr(f"{about}/RECORD", "")
    return path


def repository(folder: Path, files: Mapping[str, str], *, tag: str) -> str:
    """Make a git repository that is served as plain files, with one tag; return its commit."""
    work = folder.parent / f"{folder.stem}-work"
    work.mkdir(parents=True)
    for name, text in files.items():
        (work / name).write_text(text)
    for command in (
        ("init", "--quiet", "--initial-branch", "main"),
        ("add", "."),
        ("commit", "--quiet", "--message", "first"),
        ("tag", tag),
        ("commit", "--quiet", "--allow-empty", "--message", "second"),
        ("clone", "--quiet", "--bare", ".", str(folder)),
    ):
        _git(work, *command)
    _git(folder, "update-server-info")
    return _git(work, "rev-parse", tag)


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", *_GIT_NAME, *arguments]
    ran = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return ran.stdout.strip()


def debian(root: Path, home: Path, versions: Mapping[str, str]) -> Path:
    """Lay out a signed Debian archive of packages {name: version}; return the key's file."""
    stanzas = []
    for name, version in versions.items():
        deb = _deb(root, home, name, version)
        digest = hashlib.sha256(deb.read_bytes()).hexdigest()
        stanzas.append(
            f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: a <a@localhost>\n"
            f"Filename: ./{deb.name}\nSize: {deb.stat().st_size}\nSHA256: {digest}\n"
            f"Description: says its name\n"
        )
    packages = "\n".join(stanzas).encode()
    (root / "Packages").write_bytes(packages)
    told = f" {hashlib.sha256(packages).hexdigest()} {len(packages)} Packages\n"
    (root / "Release").write_text(f"Suite: test\nDate: {_NOW}\nSHA256:\n{told}")
    return _signed(root, home)


_NOW: Final = "Thu, 01 Jan 2026 00:00:00 UTC"


def _deb(root: Path, home: Path, name: str, version: str) -> Path:
    tree = home / f"{name}-{version}"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "usr/bin").mkdir(parents=True)
    tree.chmod(0o755)
    (tree / "DEBIAN/control").write_text(
        f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: a <a@localhost>\n"
        f"Description: says its name\n"
    )
    program = tree / "usr/bin" / name
    program.write_text(f"#!/bin/sh\necho {name} {version}\n")
    program.chmod(0o755)
    deb = root / f"{name}_{version}_all.deb"
    command = ["dpkg-deb", "--root-owner-group", "--build", str(tree), str(deb)]
    subprocess.run(command, check=True, capture_output=True)
    return deb


def _signed(root: Path, home: Path) -> Path:
    keys = home / "keys"
    keys.mkdir(mode=0o700)
    gpg = ["gpg", "--homedir", str(keys), "--batch", "--pinentry-mode", "loopback"]
    gpg += ["--passphrase", ""]
    key = home / "archive.asc"
    for command in (
        ["--quick-generate-key", "archive@localhost", "rsa2048", "sign", "never"],
        ["--clearsign", "--output", str(root / "InRelease"), str(root / "Release")],
        ["--armor", "--export", "--output", str(key)],
    ):
        subprocess.run([*gpg, *command], check=True, capture_output=True)
    subprocess.run(
        ["gpgconf", "--homedir", str(keys), "--kill", "all"], check=False, capture_output=True
    )
    return key


def _top_folder(archive: Path) -> str:
    with tarfile.open(archive) as opened:
        return opened.getnames()[0].split("/")[0]


def _member(archive: Path, name: str) -> str:
    with tarfile.open(archive) as opened:
        entry = next(e for e in opened if e.name.split("/")[1:] == [name])
        file = opened.extractfile(entry)
        assert file is not None
        return file.read().decode()


def _dcf(text: str, field: str) -> str:
    found = re.search(rf"(?m)^{field}: *(.*(?:\n[ \t].*)*)", text)
    return " ".join(found.group(1).split()) if found else ""
