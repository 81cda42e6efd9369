"""Building an image: what can be told without doing it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from plasmid.environments import builder, host, recipes

RECIPE = recipes.RECIPES["debian-12"]
MIRRORS = host.Mirrors()


def ignore(_: str) -> None:
    """Take a line of progress."""


async def test_without_root_podman_and_ids_of_ones_own_are_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for missing, package in (("podman", "podman"), ("newuidmap", "uidmap")):
        program(tmp_path / missing, "mmdebstrap", "")
        program(tmp_path / missing, {"podman": "newuidmap", "newuidmap": "podman"}[missing], "")
        monkeypatch.setenv("PATH", str(tmp_path / missing))
        with pytest.raises(builder.BuildError, match=f"apt-get install {package}"):
            await builder.build(RECIPE, tmp_path, ignore, mirrors=MIRRORS)


async def test_without_mmdebstrap_the_remedy_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(builder.BuildError, match="apt-get install mmdebstrap"):
        await builder.build(RECIPE, tmp_path, ignore, mirrors=MIRRORS)


def program(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/bash\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Programs that play apt-config, pip and mmdebstrap."""
    folder = tmp_path / "programs"
    program(folder, "apt-config", "echo 'Acquire::Check-Date \"false\";'")
    program(folder, "python", "exit 0")
    program(
        folder,
        "mmdebstrap",
        """
for argument; do case $argument in */root) root=$argument;; esac; done
mkdir -p "$root/dev/pts" "$root/etc/apt" "$root/bin"
touch "$root/dev/null" "$root/bin/sh"
mkdir -p "$root/usr/share"
echo 'deb http://mirror.test/debian bookworm main' >"$root/etc/apt/sources.list"
printf 'jq 1.6 amd64\\ndxpy==0.413.0\\n' >"$root/usr/share/plasmid-packages"
echo "I: extracting archives..." >&2
echo "I: success in 1.0 seconds" >&2
""",
    )
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setattr("sys.executable", str(folder / "python"))
    return folder


@pytest.mark.skipif(os.geteuid() != 0, reason="building needs root")
@pytest.mark.usefixtures("stand_ins")
async def test_a_build_tells_its_steps_and_what_it_made(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    told: list[str] = []
    built = await builder.build(RECIPE, scratch, told.append, mirrors=MIRRORS)
    assert told == [
        "reading the host's settings",
        "fetching dxpy and what it needs",
        "extracting archives",
        "shifting ids",
    ]
    assert set(built.seconds) == set(told)
    assert built.packages == ("dxpy==0.413.0", "jq 1.6 amd64")
    assert built.apt_hosts == ("mirror.test",)
    assert list((scratch / "root/dev").iterdir()) == []
    assert (scratch / "root/bin/sh").stat().st_uid == 300000


@pytest.mark.skipif(os.geteuid() != 0, reason="building needs root")
async def test_the_script_finds_its_files_wheels_and_settings(
    tmp_path: Path, stand_ins: Path
) -> None:
    # The stand-in looks at what lies beside the script, as the script would.
    program(stand_ins, "mmdebstrap-plain", (stand_ins / "mmdebstrap").read_text())
    look = """
for argument; do case $argument in --customize-hook=*) hook=$argument;; esac; done
here=$(dirname "$(echo "${hook#*=}" | cut -d" " -f1)")
test -x "$here/customize" && test -d "$here/wheels" && stat -c %A "$here" >"$SEEN"
cat "$here/files/etc/apt/apt.conf.d/99plasmid" >>"$SEEN"
exec bash "$(dirname "$0")/mmdebstrap-plain" "$@"
"""
    seen = tmp_path / "seen"
    program(stand_ins, "mmdebstrap", look.replace('"$SEEN"', f'"{seen}"'))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    await builder.build(RECIPE, scratch, ignore, mirrors=MIRRORS)
    mode, *apt = seen.read_text().splitlines()
    assert mode == "drwxr-xr-x"
    assert 'Acquire::Check-Date "false";' in apt
    assert [path.name for path in scratch.iterdir()] == ["root"]


@pytest.mark.skipif(os.geteuid() != 0, reason="building needs root")
async def test_the_last_words_of_a_failed_step_come_out(tmp_path: Path, stand_ins: Path) -> None:
    program(stand_ins, "mmdebstrap", "echo 'E: no such suite' >&2; exit 25")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with pytest.raises(builder.BuildError, match="E: no such suite"):
        await builder.build(RECIPE, scratch, ignore, mirrors=MIRRORS)


@pytest.mark.skipif(os.geteuid() != 0, reason="building needs root")
async def test_a_host_without_pip_is_told_to_install_it(
    tmp_path: Path, stand_ins: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(stand_ins, "python", "echo 'No module named pip' >&2; exit 1")
    monkeypatch.setattr(host, "_SYSTEM_PYTHONS", ())
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with pytest.raises(builder.BuildError, match="apt-get install python3-pip"):
        await builder.build(RECIPE, scratch, ignore, mirrors=MIRRORS)
