"""Mirrors that are down, slow or wrong, and fields that want to be more (F30, X02)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mirrors import serving
from tests.mirrors.conftest import Installer

pytestmark = pytest.mark.e2e

ASKED = {
    "apt": {"name": "plasmid-probe"},
    "pip3": {"name": "probe"},
    "gem": {"name": "rainbow"},
    "cpan": {"name": "Devel::GlobalDestruction"},
    "git": {"name": "tool", "url": "https://git.example/tool.git"},
}
NO_ANSWER = "the mirror cannot be reached or does not answer"


def fails(installer: Installer, manager: str, scripting: Path) -> str:
    """Install what there is, and return why that failed."""
    ran = installer.install(manager, ASKED[manager], layers=(scripting,))
    assert ran.code == 1, ran.printed
    assert ran.resolved is None
    assert ran.failure.startswith(
        f"DXExecDependencyError: Error while installing {manager} packages {ASKED[manager]['name']}"
    )
    assert ran.failure.count("\n") == 1
    return ran.failure


@pytest.mark.parametrize("manager", ASKED)
def test_a_mirror_that_refuses_for_now_is_told(
    installer: Installer, mirror: serving.Mirror, scripting: Path, manager: str
) -> None:
    mirror.faults = [serving.Fault("*", status=429)]
    assert "refuses more requests for now" in fails(installer, manager, scripting)


@pytest.mark.parametrize("manager", ["pip3", "gem", "cpan", "git"])
def test_a_mirror_that_is_silent_is_not_waited_for(
    installer: Installer, mirror: serving.Mirror, scripting: Path, manager: str
) -> None:
    mirror.faults = [serving.Fault("*", stalls=True)]
    assert NO_ANSWER in fails(installer, manager, scripting)


def test_an_apt_mirror_with_an_error_is_told(
    installer: Installer, mirror: serving.Mirror, scripting: Path
) -> None:
    mirror.faults = [serving.Fault("/debian/*", status=503)]
    assert NO_ANSWER in fails(installer, "apt", scripting)


@pytest.mark.parametrize(
    ("manager", "path"), [("apt", "*.deb"), ("pip3", "*/probe-2*"), ("gem", "*/rainbow*.gem")]
)
def test_changed_bytes_are_refused(
    installer: Installer, mirror: serving.Mirror, scripting: Path, manager: str, path: str
) -> None:
    mirror.faults = [serving.Fault(path, changes=True)]
    assert "serves other bytes" in fails(installer, manager, scripting)
    assert mirror.had(path)


def test_a_file_that_the_index_names_and_the_mirror_lacks_is_told(
    installer: Installer, mirror: serving.Mirror, scripting: Path
) -> None:
    mirror.faults = [serving.Fault("*.deb", status=404)]
    assert "lacks a file that its index names" in fails(installer, "apt", scripting)


@pytest.mark.parametrize("manager", ["apt", "pip3", "gem", "cpan"])
def test_an_unknown_package_is_told(installer: Installer, scripting: Path, manager: str) -> None:
    ran = installer.install(manager, {"name": "nosuchpackage"}, layers=(scripting,))
    assert "nosuchpackage" in ran.failure
    assert "check the name" in ran.failure or "no package of that name" in ran.failure


CANARY = "/canary"
TRICKS = (
    f"a; touch {CANARY}",
    f"a$(touch {CANARY})",
    f"a`touch {CANARY}`",
    f"a|touch {CANARY}",
    f"a&touch {CANARY}",
    f"a\ntouch {CANARY}",
    f"a > {CANARY}",
    f"--option={CANARY}",
    "-o",
    "a\0b",
    f"../../..{CANARY}",
    "",
)


def test_nothing_in_a_field_is_run_or_read_as_an_option(installer: Installer) -> None:
    """All fields of all managers in one sandbox: each is refused before any manager sees it."""
    url = "https://git.example/tool.git"
    bad = [
        (manager, field, {"name": "abc", field: trick})
        for manager in ("apt", "pip", "pip3", "gem", "cpan", "cran")
        for field in ("name", "version")
        for trick in TRICKS
    ]
    bad += [
        ("git", field, {"name": "tool", "url": url, field: trick})
        for field in ("url", "tag", "destdir")
        for trick in (*TRICKS[5:6], *TRICKS[7:])
    ]
    urls = (f"ext::sh -c touch% {CANARY}", "file:///etc", "/etc", "fd::3", "--upload-pack=x:y")
    bad += [("git", "url", {"name": "tool", "url": trick}) for trick in urls]
    refused = installer.refusals([(manager, package) for manager, _, package in bad])
    for (_, field, package), (code, told) in zip(bad, refused.outcomes, strict=True):
        assert code == 1, package
        assert f"the {field} " in told, package
        assert "is refused" in told, package
    assert not refused.ran.has(CANARY)


def test_git_metacharacters_are_plain_text(installer: Installer) -> None:
    tricks = {"tag": f"v1;touch${{IFS}}{CANARY}", "destdir": f"/opt/$(touch {CANARY})"}
    ran = installer.install("git", {**ASKED["git"], **tricks})
    assert ran.code == 1
    assert not ran.has(CANARY)
    assert ran.has(f"/opt/$(touch {CANARY})/tool")
