"""Each package manager installs what is asked for, and with a lock exactly that (contract I.7)."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from plasmid.environments.mirrors import Packages
from tests.mirrors import serving
from tests.mirrors.box import Bench
from tests.mirrors.conftest import OLDER_R6, Installer

pytestmark = pytest.mark.e2e

NOT_THE_FILE = "is not the file of the lock"


def versions(rows: list[dict[str, Any]]) -> dict[str, str]:
    return {row["name"]: row["version"] for row in rows}


def with_wrong_hashes(resolved: dict[str, Any]) -> dict[str, Any]:
    changed = copy.deepcopy(resolved)
    for row in [row for rows in changed.values() for row in rows]:
        row["sha256"] = "0" * 64
        row["hashes"] = ["0" * 64]
    return changed


class TestApt:
    def test_a_locked_package_is_installed_by_its_hash(self, installer: Installer) -> None:
        first = installer.install("apt", {"name": "plasmid-probe"}, then="plasmid-probe")
        assert "plasmid-probe 1.2-3" in first.printed, first.failure
        (row,) = first.resolved["apt"]
        assert (row["version"], row["architecture"]) == ("1.2-3", "all")
        lock = {"apt": [{**row, "sha256": "0" * 64}]}
        wrong = installer.install("apt", {"name": "plasmid-probe"}, lock=lock)
        assert NOT_THE_FILE in wrong.failure
        assert not wrong.has("/usr/bin/plasmid-probe")

    def test_a_package_of_the_image_needs_no_update_of_the_lists(
        self, installer: Installer
    ) -> None:
        ran = installer.install("apt", {"name": "tree"}, then="tree --version", asks_mirror=False)
        assert ran.code == 0, ran.failure
        assert versions(ran.resolved["apt"]).keys() == {"tree"}
        assert "apt-get update" not in ran.read("/tmp/dx_apt_install_0.log")

    def test_a_version_that_is_not_there_is_refused_with_those_that_are(
        self, installer: Installer
    ) -> None:
        asked = {"name": "plasmid-probe", "version": "1.0-1ubuntu2"}
        ran = installer.install("apt", asked)
        assert "has no version 1.0-1ubuntu2 of plasmid-probe; it has 1.2-3" in ran.failure
        assert "version_mismatch" in ran.failure

    def test_the_nearest_version_is_taken_if_the_site_says_so_and_the_log_tells(
        self, installer: Installer
    ) -> None:
        settings = Packages(version_mismatch="nearest", substitutes={"openjdk-8-jre": "tree"})
        asked = {"name": "plasmid-probe", "version": "1.0-1ubuntu2"}
        java = {"name": "openjdk-8-jre"}
        ran = installer.install("apt", asked, java, settings=settings, then="plasmid-probe")
        assert "plasmid-probe 1.2-3" in ran.printed, ran.failure
        assert "installing the nearest, 1.2-3" in ran.printed
        assert "no package openjdk-8-jre: installing tree instead" in ran.printed
        assert "tree" in versions(ran.resolved["apt"])


class TestPip:
    @pytest.mark.parametrize("uses_uv", [True, False])
    def test_uv_and_pip_install_the_same(self, installer: Installer, uses_uv: bool) -> None:
        see = "pip3 show --files probe | grep -c METADATA; python3 -c 'import probe, probe_part'"
        ran = installer.install("pip3", {"name": "probe"}, then=see, uses_uv=uses_uv)
        assert ran.code == 0, ran.failure + ran.printed
        assert {**versions(ran.resolved["pip"])} == {"probe": "2.0", "probe_part": "1.0"}
        assert all(len(row["hashes"]) == 1 for row in ran.resolved["pip"])
        assert ran.has("/usr/local/lib/python3.11/dist-packages/probe.py")
        assert ran.has("/usr/local/lib/python3.11/dist-packages/__pycache__")
        wrong = with_wrong_hashes(ran.resolved)
        again = installer.install("pip3", {"name": "probe"}, lock=wrong, uses_uv=uses_uv)
        assert "DO NOT MATCH THE HASHES" in again.failure
        assert not again.has("/usr/local/lib/python3.11/dist-packages/probe.py")

    @pytest.mark.parametrize("uses_uv", [True, False])
    def test_what_the_image_has_stays_if_it_fits(self, installer: Installer, uses_uv: bool) -> None:
        ran = installer.install("pip", {"name": "content"}, uses_uv=uses_uv)
        assert versions(ran.resolved["pip"]) == {"content": "1.0"}

    def test_a_lock_installs_what_it_lists(self, installer: Installer) -> None:
        first = installer.install("pip3", {"name": "probe"})
        again = installer.install("pip3", {"name": "probe"}, lock=first.resolved)
        assert again.resolved == first.resolved


class TestGem:
    def test_a_gem_and_what_it_needs_is_installed_and_locked(
        self, installer: Installer, scripting: Path, mirror: serving.Mirror
    ) -> None:
        layers = (scripting,)
        see = "ruby -e 'require \"rainbow\"; puts Rainbow(1).red'"
        first = installer.install("gem", {"name": "probe"}, layers=layers, then=see)
        assert first.code == 0, first.failure
        assert versions(first.resolved["gem"]).keys() == {"probe", "rainbow"}
        mirror.faults = [serving.Fault("*/rainbow*.gem", changes=True)]
        again = installer.install("gem", {"name": "probe"}, lock=first.resolved, layers=layers)
        assert f"rainbow 3.1.1 {NOT_THE_FILE}" in again.failure

    def test_a_gem_that_does_not_build_names_what_it_may_need(
        self, installer: Installer, scripting: Path
    ) -> None:
        ran = installer.install("gem", {"name": "native"}, layers=(scripting,))
        assert "Failed to build gem native extension" in ran.failure
        assert "ruby-dev" in ran.failure


class TestCpan:
    def test_a_module_and_what_it_needs_is_installed_and_locked(
        self, installer: Installer, scripting: Path, mirror: serving.Mirror
    ) -> None:
        layers = (scripting,)
        asked = {"name": "Devel::GlobalDestruction", "version": "0.1"}
        see = "perl -MDevel::GlobalDestruction -e1"
        first = installer.install("cpan", asked, layers=layers, then=see)
        assert first.code == 0, first.failure
        names = [row["name"] for row in first.resolved["cpan"]]
        assert names == ["Sub-Exporter-Progressive", "Devel-GlobalDestruction"]
        lock = first.resolved
        again = installer.install("cpan", asked, lock=lock, layers=layers, then=see)
        assert (again.code, again.resolved["cpan"]) == (0, lock["cpan"])
        mirror.faults = [serving.Fault("*/Sub-*", changes=True)]
        wrong = installer.install("cpan", asked, lock=lock, layers=layers)
        assert f"Sub-Exporter-Progressive 0.001013 {NOT_THE_FILE}" in wrong.failure

    def test_a_version_above_the_newest_is_told(
        self, installer: Installer, scripting: Path
    ) -> None:
        asked = {"name": "Devel::GlobalDestruction", "version": "9"}
        ran = installer.install("cpan", asked, layers=(scripting,))
        assert "Found Devel::GlobalDestruction 0.14 which doesn't satisfy 9" in ran.failure
        assert "check the version" in ran.failure


TOOL = {"name": "tool", "url": "https://git.example/tool.git", "destdir": "/opt/tools"}


class TestGit:
    def test_a_repository_is_fetched_from_its_mirror_at_its_tag_and_built(
        self, installer: Installer, commit: str
    ) -> None:
        asked = {**TOOL, "tag": "v1", "build_commands": "pwd && make install"}
        ran = installer.install("git", asked, then="cat /usr/local/share/built")
        assert ran.printed.splitlines()[-1] == "built", ran.failure
        assert ran.resolved["git"][0]["commit"] == commit
        assert ran.has("/opt/tools/tool/Makefile")
        lock = {"git": [{**ran.resolved["git"][0], "commit": "1" * 40}]}
        gone = installer.install("git", asked, lock=lock)
        assert f"the lock asks for commit {'1' * 40}" in gone.failure

    @pytest.mark.parametrize(
        ("change", "told", "remedy"),
        [
            ({"tag": "v9"}, "v9", "check `tag`"),
            ({"build_commands": "make nothing"}, "No rule to make", "correct build_commands"),
            ({"url": "https://git.example/none.git"}, "not found", "check the url"),
        ],
    )
    def test_what_fails_is_told_with_its_remedy(
        self, installer: Installer, change: dict[str, str], told: str, remedy: str
    ) -> None:
        ran = installer.install("git", {**TOOL, **change})
        assert told in ran.failure
        assert remedy in ran.failure


class TestCran:
    @pytest.fixture(scope="class")
    @classmethod
    def with_r(cls, bench: Bench) -> Path:
        """A layer with R."""
        install = "apt-get install --yes --no-install-recommends r-base-core > /dev/null 2>&1"
        return bench.run("sh", "-c", install, hosts=bench.image.apt_hosts).changes

    @pytest.mark.parametrize("version", ["", OLDER_R6])
    def test_a_package_of_any_version_is_installed_and_locked(
        self, installer: Installer, mirror: serving.Mirror, with_r: Path, version: str
    ) -> None:
        asked = {"name": "R6", "version": version} if version else {"name": "R6"}
        see = "Rscript -e 'cat(as.character(packageVersion(\"R6\")))'"
        first = installer.install("cran", asked, layers=(with_r,), then=see)
        wanted = version or "2.5.1"
        assert first.printed.endswith(wanted + "\n"), first.failure
        assert versions(first.resolved["cran"]) == {"R6": wanted}
        mirror.faults = [serving.Fault("*/R6_*", changes=True)]
        again = installer.install("cran", asked, lock=first.resolved, layers=(with_r,))
        assert f"R6 {wanted} {NOT_THE_FILE}" in again.failure

    def test_a_version_that_never_was_is_told(self, installer: Installer, with_r: Path) -> None:
        ran = installer.install("cran", {"name": "R6", "version": "99"}, layers=(with_r,))
        assert "CRAN has no version 99 of R6, the current one is 2.5.1" in ran.failure
        assert "check the name and the version" in ran.failure
