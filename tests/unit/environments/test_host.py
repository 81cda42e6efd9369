"""What the host lends: sources as configured, else its own, and the keys that sign them."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from plasmid.environments import commands, host, recipes

FOCAL = recipes.RECIPES["ubuntu-20.04"]
BOOKWORM = recipes.RECIPES["debian-12"]
FINGERPRINTS = {
    "790BC7277767219C42C86F933B4FE6ACC0B21F32",  # Ubuntu Archive Automatic Signing Key (2012)
    "F6ECB3762474EDA9D21B7022871920D1991BC93C",  # the same (2018)
}


def lines(recipe: recipes.Recipe, **apt: str) -> list[str]:
    named = {key.replace("_", " "): value for key, value in apt.items()}
    return [source.line() for source in host.sources(recipe, host.Mirrors(apt=named))]


def test_a_configured_mirror_carries_all_pockets_of_ubuntu() -> None:
    assert lines(FOCAL, Ubuntu="http://m.test/ubuntu/") == [
        "deb http://m.test/ubuntu focal main universe",
        "deb http://m.test/ubuntu focal-updates main universe",
        "deb http://m.test/ubuntu focal-security main universe",
    ]


def test_debians_security_is_an_archive_of_its_own() -> None:
    assert lines(BOOKWORM, Debian="http://m.test/debian")[2:] == [
        "deb http://m.test/debian-security bookworm-security main"
    ]
    assert lines(BOOKWORM, Debian="http://m.test/debian http://s.test/x")[2:] == [
        "deb http://s.test/x bookworm-security main"
    ]


def test_a_release_may_have_a_mirror_of_its_own() -> None:
    given = {"Ubuntu": "http://m.test/ubuntu", "Ubuntu 20.04": "http://old.test/ubuntu"}
    found = host.sources(FOCAL, host.Mirrors(apt=given))
    assert {source.host for source in found} == {"old.test"}


def test_a_host_of_another_distribution_has_no_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        platform, "freedesktop_os_release", lambda: {"ID": "fedora", "VERSION_ID": "43"}
    )
    assert lines(FOCAL) == []


def test_the_keys_of_ubuntu_that_come_along_are_the_two_of_its_archive(tmp_path: Path) -> None:
    if shutil.which("gpg") is None:
        pytest.skip("no gpg here")
    keys = Path(host.keyring(FOCAL, host.Mirrors())) / "ubuntu-archive.asc"
    said = subprocess.run(
        ["gpg", "--homedir", str(tmp_path), "--show-keys", "--with-colons", str(keys)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = {line.split(":")[9] for line in said.splitlines() if line.startswith("fpr:")}
    assert found == FINGERPRINTS


def test_a_configured_keyring_comes_first() -> None:
    assert host.keyring(FOCAL, host.Mirrors(keyring="/srv/keys.gpg")) == "/srv/keys.gpg"


def test_a_host_without_debians_keys_is_told_which_package_has_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(host, "_DEBIAN_KEYRING", tmp_path / "none")
    with pytest.raises(commands.BuildError, match="apt-get install debian-archive-keyring"):
        host.keyring(BOOKWORM, host.Mirrors())
