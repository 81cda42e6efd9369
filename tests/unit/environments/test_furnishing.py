"""What is put into a new root, as files and a script."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from plasmid.environments import furnishing, recipes

EVERY = pytest.mark.parametrize("recipe", recipes.RECIPES.values(), ids=lambda r: r.name)
DUMP = """\
Acquire "";
Acquire::Check-Valid-Until "false";
Acquire::http::Proxy "http://cache.test:3142";
Acquire::http::Timeout "10";
Acquire::https::CAInfo "";
APT::Architecture "amd64";
"""


def test_apt_inside_knows_the_proxy_and_the_hosts_exceptions() -> None:
    files = furnishing.files(furnishing.apt_settings(DUMP))
    mode, text = files["/etc/apt/apt.conf.d/99plasmid"]
    assert 'Acquire::http::Proxy "http://127.0.0.1:3128";' in text
    assert 'Acquire::Check-Valid-Until "false";' in text
    assert "cache.test" not in text
    assert mode == 0o644


def test_the_jobs_user_may_become_root_without_a_password() -> None:
    mode, text = furnishing.files([])["/etc/sudoers.d/dnanexus"]
    assert (mode, text) == (0o440, "dnanexus ALL=(ALL:ALL) NOPASSWD: ALL\n")


def test_the_hosts_own_proxy_is_for_building_only() -> None:
    assert furnishing.build_only_settings(DUMP) == [
        'Acquire::http::Proxy "http://cache.test:3142";'
    ]
    assert furnishing.apt_settings(DUMP) == ['Acquire::Check-Valid-Until "false";']


@EVERY
def test_the_script_is_shell_and_asks_no_index(recipe: recipes.Recipe, tmp_path: Path) -> None:
    script = tmp_path / "customize"
    script.write_text(furnishing.script(recipe))
    assert subprocess.run(["sh", "-n", str(script)], check=False).returncode == 0
    text = script.read_text()
    assert text.count("--no-index --no-deps") == 1
    for client in (recipe.python_2, recipe.python_3):
        assert client is None or f"dxpy=={client.version}" in text


def test_the_python_that_python_is_gets_the_client_last_and_keeps_pip() -> None:
    ordered = {}
    for name in ("ubuntu-16.04", "ubuntu-20.04"):
        text = furnishing.script(recipes.RECIPES[name])
        lines = [line for line in text.splitlines() if "installing dxpy" in line]
        ordered[name] = [line.rstrip('"').rpartition(" ")[2] for line in lines]
        assert ("for name in pip wheel" in text) is (name == "ubuntu-20.04")
    assert ordered == {"ubuntu-16.04": ["3.5", "2.7"], "ubuntu-20.04": ["2.7", "3.8"]}


def test_python_is_left_to_its_packages_on_noble_alone() -> None:
    removed = [
        name
        for name, recipe in recipes.RECIPES.items()
        if "EXTERNALLY-MANAGED" in furnishing.script(recipe)
    ]
    assert removed == [name for name in recipes.RECIPES if name != "ubuntu-24.04"]


def certificate(body: str) -> str:
    return f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"


def test_certificates_that_the_host_trusts_beyond_its_distribution_are_found() -> None:
    trusted = certificate("AAAA\nBBBB") + "comment\n" + certificate("CCCC")
    assert furnishing.local_certificates(trusted, certificate("AAAABBBB")) == [certificate("CCCC")]
    assert furnishing.local_certificates(trusted, trusted) == []
