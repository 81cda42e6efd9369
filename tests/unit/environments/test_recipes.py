"""What base images are made of, as data."""

from __future__ import annotations

import subprocess
from pathlib import Path

import msgspec

from plasmid.environments import apt_sources, recipes

DEBIAN_12 = recipes.RECIPES["debian-12"]
DUMP = """\
Acquire "";
Acquire::Check-Valid-Until "false";
Acquire::http::Proxy "http://cache.test:3142";
Acquire::http::Timeout "10";
Acquire::https::CAInfo "";
APT::Architecture "amd64";
"""


def test_what_apps_use_undeclared_is_in_every_image() -> None:
    assert {"jq", "parallel", "sudo", "python3-pip", "bc", "git", "pigz", "make", "unzip"} <= set(
        DEBIAN_12.packages
    )
    assert list(DEBIAN_12.packages) == sorted(DEBIAN_12.packages)


def test_apt_inside_knows_the_proxy_and_the_hosts_exceptions() -> None:
    files = recipes.furniture(recipes.apt_settings(DUMP))
    mode, text = files["/etc/apt/apt.conf.d/99plasmid"]
    assert 'Acquire::http::Proxy "http://127.0.0.1:3128";' in text
    assert 'Acquire::Check-Valid-Until "false";' in text
    assert "cache.test" not in text
    assert mode == 0o644


def test_the_jobs_user_may_become_root_without_a_password() -> None:
    mode, text = recipes.furniture([])["/etc/sudoers.d/dnanexus"]
    assert (mode, text) == (0o440, "dnanexus ALL=(ALL:ALL) NOPASSWD: ALL\n")


def test_the_hosts_own_proxy_is_for_building_only() -> None:
    assert recipes.build_only_settings(DUMP) == ['Acquire::http::Proxy "http://cache.test:3142";']
    assert recipes.apt_settings(DUMP) == ['Acquire::Check-Valid-Until "false";']


def test_the_command_names_release_target_packages_and_sources() -> None:
    source = apt_sources.Source("http://mirror.test/debian", "bookworm", ("main",))
    made = recipes.mmdebstrap_command(
        DEBIAN_12, "/t/root", sources=[source], settings=['A "b";'], hook="/t/it's"
    )
    assert made[-3:] == ["bookworm", "/t/root", "deb http://mirror.test/debian bookworm main"]
    assert "--mode=root" in made
    assert '--aptopt=A "b";' in made
    assert """--customize-hook='/t/it'"'"'s' "$1\"""" in made
    assert any(o.startswith("--include=") and ",jq," in o for o in made)


def test_without_sources_the_default_mirror_is_taken() -> None:
    made = recipes.mmdebstrap_command(DEBIAN_12, "/t", sources=[], settings=[], hook="/h")
    assert made[-2:] == ["bookworm", "/t"]


def test_the_customize_script_is_a_shell_script(tmp_path: Path) -> None:
    script = tmp_path / "customize"
    script.write_text(recipes.customize_script(DEBIAN_12))
    assert subprocess.run(["sh", "-n", str(script)], check=False).returncode == 0
    text = script.read_text()
    assert "dxpy==0.413.0" in text
    assert "--no-index" in text


def test_a_digest_is_stable_and_changes_with_recipe_files_and_packages() -> None:
    files = recipes.furniture([])
    first = recipes.digest(DEBIAN_12, files, ["a 1", "b 2"])
    assert first == recipes.digest(DEBIAN_12, dict(reversed(files.items())), ["b 2", "a 1"])
    smaller = msgspec.structs.replace(DEBIAN_12, packages=("jq",))
    others = {
        recipes.digest(smaller, files, ["a 1", "b 2"]),
        recipes.digest(DEBIAN_12, {}, ["a 1", "b 2"]),
        recipes.digest(DEBIAN_12, files, ["a 1", "b 3"]),
    }
    assert len(others | {first}) == 4


def certificate(body: str) -> str:
    return f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"


def test_certificates_that_the_host_trusts_beyond_its_distribution_are_found() -> None:
    trusted = certificate("AAAA\nBBBB") + "comment\n" + certificate("CCCC")
    assert recipes.local_certificates(trusted, certificate("AAAABBBB")) == [certificate("CCCC")]
    assert recipes.local_certificates(trusted, trusted) == []


def test_wheels_are_fetched_for_the_images_python_and_machine() -> None:
    made = recipes.download_options(DEBIAN_12, "aarch64")
    assert {"--python-version=3.11", "--abi=cp311", "--only-binary=:all:"} <= set(made)
    assert {"--platform=manylinux_2_36_aarch64", "--platform=any"} <= set(made)
