"""Debian's packages as the host's apt names their sources."""

from __future__ import annotations

import pytest

from plasmid.environments import apt_sources

MIRROR = "http://mirror.test/debian"
SECURITY = "http://mirror.test/debian-security"
DEB822 = f"""\
# kept by hand
Types: deb deb-src
# an old archive
URIs: {MIRROR}
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: {SECURITY}
Suites: bookworm-security
Components: main
"""


def lines(files: dict[str, str], release: str = "bookworm", host: str = "bookworm") -> list[str]:
    found = apt_sources.of_release(apt_sources.parse(files), release, host)
    return [source.line() for source in found]


def test_the_newer_form_is_read() -> None:
    assert lines({"debian.sources": DEB822}) == [
        f"deb {MIRROR} bookworm main contrib",
        f"deb {MIRROR} bookworm-updates main contrib",
        f"deb {SECURITY} bookworm-security main",
    ]


def test_the_older_form_is_read() -> None:
    text = f"""\
# deb {MIRROR} bookworm main
deb [arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {MIRROR} bookworm main
deb {SECURITY} bookworm-security main non-free # security
deb-src {MIRROR} bookworm main
"""
    assert lines({"sources.list": text}) == [
        f"deb {MIRROR} bookworm main",
        f"deb {SECURITY} bookworm-security main non-free",
    ]


@pytest.mark.parametrize(
    "line",
    [
        "deb https://packages.vendor.test/apt cloud-sdk-bookworm main",
        "deb https://vendor.test/node_20.x nodistro main",
        "deb https://vendor.test/linux/debian bookworm stable",
        "deb [signed-by=/etc/apt/keyrings/vendor.gpg] https://vendor.test/debian bookworm main",
        "deb https://vendor.test/php bookworm main",
        "deb http://mirror.test/debian bookworm-backports main",
        "deb http://mirror.test/debian bookwormish main",
        "deb file:/srv/debian bookworm main",
    ],
)
def test_what_is_not_debian_itself_is_left_out(line: str) -> None:
    files = {"a.list": line, "debian.sources": DEB822}
    assert lines(files) == lines({"debian.sources": DEB822})


def test_what_is_turned_off_is_left_out() -> None:
    assert lines({"debian.sources": DEB822.replace("Types: deb\n", "Types: deb\nEnabled: no\n")})[
        -1
    ].endswith("bookworm-updates main contrib")


def test_a_newer_debian_gives_its_mirror_for_an_older_release() -> None:
    trixie = DEB822.replace("bookworm", "trixie")
    assert lines({"debian.sources": trixie}, "bookworm", "trixie") == [
        f"deb {MIRROR} bookworm main contrib",
        f"deb {MIRROR} bookworm-updates main contrib",
        f"deb {SECURITY} bookworm-security main",
    ]


def test_a_host_that_is_no_debian_has_none() -> None:
    text = "deb http://archive.test/ubuntu jammy main universe\n"
    assert lines({"sources.list": text}, host="") == []


def test_updates_without_the_release_itself_are_none() -> None:
    assert lines({"a.list": f"deb {SECURITY} bookworm-security main"}) == []


def test_a_source_names_its_host() -> None:
    source = apt_sources.Source("http://mirror.test:8080/debian", "bookworm", ("main",))
    assert source.host == "mirror.test:8080"


def test_ubuntus_own_sources_are_taken_for_ubuntu_alone() -> None:
    text = """\
deb http://mirror.test/ubuntu jammy main restricted universe multiverse
deb http://mirror.test/ubuntu jammy-security main universe
deb http://mirror.test/ubuntu jammy-backports main
deb https://ppa.test/someone/ppa/ubuntu-extra jammy main
"""
    parsed = apt_sources.parse({"sources.list": text})
    found = apt_sources.of_release(parsed, "focal", "jammy", distribution="Ubuntu")
    assert [source.line() for source in found] == [
        "deb http://mirror.test/ubuntu focal main restricted universe multiverse",
        "deb http://mirror.test/ubuntu focal-security main universe",
    ]
    assert apt_sources.of_release(parsed, "jammy", "jammy", distribution="Debian") == []
