"""What base images are made of, as data."""

from __future__ import annotations

import subprocess
from pathlib import Path

import msgspec
import pytest

from plasmid.environments import apt_sources, recipes

DEBIAN_12 = recipes.RECIPES["debian-12"]
EVERY = pytest.mark.parametrize("recipe", recipes.RECIPES.values(), ids=lambda r: r.name)


def command(recipe: recipes.Recipe, **options: object) -> list[str]:
    given = {"sources": [], "settings": [], "customize": "/h", **options}
    return recipes.command(recipe, "/t/root", **given)  # type: ignore[arg-type]


@EVERY
def test_what_apps_use_undeclared_is_in_every_image(recipe: recipes.Recipe) -> None:
    assert {"jq", "parallel", "sudo", "python3-pip", "bc", "git", "pigz", "make", "unzip"} <= set(
        recipe.packages
    )
    assert list(recipe.packages) == sorted(set(recipe.packages))


def test_apps_compile_for_python_3_and_unpack_rar_on_every_ubuntu() -> None:
    for recipe in recipes.RECIPES.values():
        if recipe.distribution == "Ubuntu":
            rar = {"bsdtar", "libarchive-tools"} & set(recipe.packages)
            assert len(rar) == 1
            assert "python3-dev" in recipe.packages


def test_python_is_2_where_it_was_the_releases_own() -> None:
    assert [name for name, recipe in recipes.RECIPES.items() if recipe.python_is_2] == [
        "ubuntu-16.04",
        "ubuntu-14.04",
    ]


def test_the_names_are_those_of_the_releases() -> None:
    for name, recipe in recipes.RECIPES.items():
        assert name == f"{recipe.distribution.lower()}-{recipe.release}" == recipe.name
        assert recipe.title == f"{recipe.distribution} {recipe.release}"


@EVERY
def test_every_image_has_the_client_for_a_python(recipe: recipes.Recipe) -> None:
    versions = {c.python: c.version for c in (recipe.python_2, recipe.python_3) if c is not None}
    assert versions
    assert set(versions.values()) <= {"0.364.0", "0.413.0"}
    assert versions.get("2.7", "0.364.0") == "0.364.0"


def test_only_noble_keeps_its_python_for_itself() -> None:
    kept = [name for name, recipe in recipes.RECIPES.items() if recipe.externally_managed]
    assert kept == ["ubuntu-24.04"]
    excluded = "--dpkgopt=path-exclude=/usr/lib/python3*/EXTERNALLY-MANAGED"
    assert [excluded in command(r) for r in recipes.RECIPES.values()].count(False) == 1


def test_the_command_names_release_target_packages_and_sources() -> None:
    source = apt_sources.Source("http://mirror.test/debian", "bookworm", ("main",))
    made = command(DEBIAN_12, sources=[source], settings=['A "b";'], customize="/t/it's")
    assert made[-3:] == ["bookworm", "/t/root", "deb http://mirror.test/debian bookworm main"]
    assert "--mode=root" in made
    assert '--aptopt=A "b";' in made
    assert """--customize-hook='/t/it'"'"'s' "$1\"""" in made
    assert any(o.startswith("--include=") and ",jq," in o for o in made)


def test_without_sources_the_default_mirror_is_taken() -> None:
    assert command(DEBIAN_12)[-2:] == ["bookworm", "/t/root"]


@EVERY
def test_no_archive_is_trusted_without_its_keys(recipe: recipes.Recipe) -> None:
    made = command(recipe, keyring="/keys")
    assert "--keyring=/keys" in made
    assert not any("trusted" in o or "allow-insecure" in o.lower() for o in made)


def test_packages_are_added_to_a_base_that_is_given() -> None:
    made = command(DEBIAN_12, base="/t/it's.tar")
    assert "--variant=custom" in made
    (hook,) = [o for o in made if o.startswith("--setup-hook=")]
    assert """'/t/it'"'"'s.tar'""" in hook
    assert "--exclude='./etc/apt/sources.list.d/*'" in hook


@EVERY
def test_the_hooks_are_shell(recipe: recipes.Recipe) -> None:
    hooks = [o.partition("=")[2] for o in command(recipe) if "-hook=" in o]
    assert hooks
    for hook in hooks:
        ran = subprocess.run(["sh", "-n", "-c", hook], check=False)
        assert ran.returncode == 0, hook


def test_a_root_of_folders_is_linked_into_usr(tmp_path: Path) -> None:
    hooks = [o.partition("=")[2] for o in command(recipes.RECIPES["ubuntu-20.04"]) if "-hook=" in o]
    for hook in hooks[:-1]:
        subprocess.run(["sh", "-c", hook, "sh", str(tmp_path)], check=True)
    assert (tmp_path / "bin").readlink() == Path("usr/bin")
    assert (tmp_path / "usr/share/man/man1").is_dir()


def test_users_that_packages_would_make_too_early_are_there(tmp_path: Path) -> None:
    master = tmp_path / "usr/share/base-passwd"
    master.mkdir(parents=True)
    (tmp_path / "etc").mkdir()
    for name in ("passwd", "group"):
        (master / f"{name}.master").write_text("root:x:0:\n")
    made = command(recipes.RECIPES["ubuntu-16.04"])
    (hook,) = [o.partition("=")[2] for o in made if o.startswith("--extract-hook=")]
    subprocess.run(["sh", "-c", hook, "sh", str(tmp_path)], check=True)
    assert "systemd-timesync:x:100:100::/:/bin/false\n" in (tmp_path / "etc/passwd").read_text()
    assert "systemd-bus-proxy:x:103:\n" in (tmp_path / "etc/group").read_text()


def test_a_digest_is_stable_and_changes_with_recipe_and_content() -> None:
    first = recipes.digest(DEBIAN_12, {"a": 1, "b": 2}, ["x"])
    assert first == recipes.digest(DEBIAN_12, {"b": 2, "a": 1}, ["x"])
    smaller = msgspec.structs.replace(DEBIAN_12, packages=("jq",))
    others = {
        recipes.digest(smaller, {"a": 1, "b": 2}, ["x"]),
        recipes.digest(DEBIAN_12, {}, ["x"]),
    }
    assert len(others | {first}) == 3
