"""What each release's base image is: `just bases` makes all and runs these on each.

Without BASES in the environment, on Debian's two: that is what any machine with Debian's packages
can make. An image that is not there is made first, once.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests import bases
from tests.e2e.driver import opened, user

NAMES = os.environ.get("BASES", "debian-11 debian-12").split()

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(os.geteuid() != 0, reason="sandboxes with limits of their own need root"),
]


class Release(NamedTuple):
    """What is known of a release beforehand."""

    title: str
    python3: str
    dx: str
    has_python2: bool
    dxpy3: str = "0.413.0"
    numpy3: str = "of a package"
    is_managed: bool = False


RELEASES = {
    "ubuntu-24.04": Release(
        "ubuntu 24.04", "3.12", "0.413.0", False, is_managed=True, numpy3="1.26.4"
    ),
    "ubuntu-20.04": Release("ubuntu 20.04", "3.8", "0.413.0", has_python2=True, numpy3="1.23.5"),
    "ubuntu-16.04": Release("ubuntu 16.04", "3.5", "0.364.0", has_python2=True, dxpy3="0.364.0"),
    "ubuntu-14.04": Release("ubuntu 14.04", "3.4", "0.364.0", has_python2=True, dxpy3="none"),
    "debian-12": Release("debian 12", "3.11", "0.413.0", has_python2=False),
    "debian-11": Release("debian 11", "3.9", "0.413.0", has_python2=True),
}


class Base(NamedTuple):
    """An image that is here."""

    name: str
    release: Release
    root: Path


@pytest.fixture(params=NAMES, scope="module")
def base(request: pytest.FixtureRequest) -> Base:
    """Each image; it is made if it is not there."""
    name = str(request.param)
    bases.make_if_missing(name)
    return Base(name, RELEASES[name], bases.root_of(name))


@pytest.fixture
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="plasmid-base-", dir="/var/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


async def test_it_says_what_it_is(base: Base, folder: Path) -> None:
    lines = await bases.run('. /etc/os-release; echo "$ID $VERSION_ID"', folder, base.root)
    assert lines == [base.release.title]


async def test_python_3_is_the_releases_own(base: Base, folder: Path) -> None:
    code = "import sys, numpy, ssl, sqlite3; print('%d.%d' % sys.version_info[:2], sys.executable)"
    lines = await bases.run(f'python3 -c "{code}"', folder, base.root)
    assert lines == [f"{base.release.python3} /usr/bin/python3"]


async def test_the_client_is_the_last_that_runs_there_and_compiled(
    base: Base, folder: Path
) -> None:
    python = "python2.7" if base.release.dx == "0.364.0" else "python3"
    look = (
        "import dxpy, requests, dateutil, os, sys;"
        "cached = getattr(dxpy, '__cached__', dxpy.__file__);"
        "print(dxpy.__version__, cached.endswith('c') and os.path.exists(cached))"
    )
    lines = await bases.run(f'dx --version; {python} -B -c "{look}"', folder, base.root)
    assert lines[0] == f"dx v{base.release.dx}"
    assert lines[1] in (f"{base.release.dx} True", f"('{base.release.dx}', True)")


async def test_python_3_imports_the_client_and_what_apps_use(base: Base, folder: Path) -> None:
    look = (
        "import dateutil, requests, psutil, numpy\n"
        "path = numpy.__file__\n"
        "print('of a package' if '/usr/lib/' in path else numpy.__version__)\n"
        "if '/usr/local/' in path: import scipy.stats, scipy.linalg\n"
        "try: import dxpy; print(dxpy.__version__)\n"
        "except ImportError: print('none')"
    )
    lines = await bases.run(f'python3 -W ignore -c "{look}"', folder, base.root)
    assert lines == [base.release.numpy3, base.release.dxpy3]


async def test_pip_and_dx_are_of_the_python_that_python_is(base: Base, folder: Path) -> None:
    script = 'pip --version 2>/dev/null | cut -d" " -f6; head -1 $(command -v dx)'
    lines = await bases.run(script, folder, base.root)
    if base.release.dx == "0.364.0":
        assert lines == ["2.7)", "#!/usr/bin/python2.7"]
    else:
        assert lines == [f"{base.release.python3})", "#!/usr/bin/python3"]


async def test_ubuntu_has_what_apps_compile_with_and_unpack_by(base: Base, folder: Path) -> None:
    header = "python3 -c 'import sysconfig; print(sysconfig.get_paths()[\"include\"])'"
    script = f"ls $({header})/Python.h >/dev/null && command -v bsdtar >/dev/null && echo both"
    lines = await bases.run(script, folder, base.root)
    assert (lines == ["both"]) is base.release.title.startswith("ubuntu")


async def test_python_2_runs_where_the_release_has_it(base: Base, folder: Path) -> None:
    look = "import dxpy, requests, concurrent.futures, sys; print dxpy.__version__"
    lines = await bases.run(
        f'command -v python2.7 >/dev/null || {{ echo none; exit; }}; python2.7 -c "{look}";'
        "python2.7 -m pip --version 2>/dev/null | cut -d' ' -f1-2",
        folder,
        base.root,
    )
    assert lines == (["0.364.0", "pip 20.3.4"] if base.release.has_python2 else ["none"])


async def test_python_is_left_to_its_packages_as_the_release_says(base: Base, folder: Path) -> None:
    script = (
        "ls /usr/lib/python3*/EXTERNALLY-MANAGED 2>/dev/null | wc -l;"
        "pip3 --disable-pip-version-check install --no-index /nothing 2>&1 |"
        " grep -c externally-managed-environment;"
        "PIP_BREAK_SYSTEM_PACKAGES=1 pip3 install --no-index /nothing 2>&1 |"
        " grep -c externally-managed-environment"
    )
    managed = "1" if base.release.is_managed else "0"
    assert await bases.run(script, folder, base.root) == [managed, managed, "0"]


async def test_the_jobs_user_becomes_root_without_a_question(base: Base, folder: Path) -> None:
    script = "id -u dnanexus; su dnanexus -c 'sudo -n id -un </dev/null'; stat -c %U ~dnanexus"
    assert await bases.run(script, folder, base.root) == ["1000", "root", "dnanexus"]


async def test_packages_are_found_and_come_by_the_proxy_alone(base: Base, folder: Path) -> None:
    script = (
        "apt-config dump | grep -c '^Acquire::https\\?::Proxy \"http://127.0.0.1:3128\"';"
        "apt-get install --simulate samtools 2>/dev/null | grep -c '^Inst samtools';"
        "grep -rhc trusted /etc/apt/sources.list | sort -u"
    )
    assert await bases.run(script, folder, base.root) == ["2", "1", "0"]


async def test_bash_keeps_what_it_exports_and_arrays_apart(base: Base, folder: Path) -> None:
    script = "set -eu -o pipefail; a=('x y' z); export -f 2>/dev/null || true; echo ${#a[@]} $a"
    assert await bases.run(script, folder, base.root) == ["2 x y"]


async def test_the_tools_of_a_job_are_there(base: Base, folder: Path) -> None:
    tools = "bc curl file gawk git jq less make parallel pigz ps rsync sudo unzip wget zip 7z xz"
    script = f"for t in {tools} fusermount; do command -v $t >/dev/null || echo $t; done; echo all"
    lines = await bases.run(script.replace("fusermount", ""), folder, base.root)
    assert lines == ["all"]


def test_a_job_installs_a_package_and_calls_the_platform(base: Base, tmp_path: Path) -> None:
    code = """
        sudo apt-get update >/dev/null && sudo apt-get install --yes hello >/dev/null && hello
        dx describe "$DX_JOB_ID" --json | jq -r .state
    """
    with opened(bases.FOLDER, config=f'[images]\n"*" = "{base.name}"\n') as site:
        dx = user(site, tmp_path, "bases")
        ended = dx.ran(code)
    assert ended.state == "done", ended.why
    assert ended.said()[-2:] == ["Hello, world!", "running"]


def test_a_job_in_python_2_gives_its_output(base: Base, tmp_path: Path) -> None:
    code = """
@dxpy.entry_point("main")
def main():
    import sys
    return {"version": "%d.%d" % sys.version_info[:2]}
"""
    spec = [{"name": "version", "class": "string"}]
    with opened(bases.FOLDER, config=f'[images]\n"*" = "{base.name}"\n') as site:
        dx = user(site, tmp_path, "bases")
        ended = dx.ran(code, interpreter="python2.7", outputSpec=spec)
    if base.release.has_python2:
        assert (ended.state, ended.output) == ("done", {"version": "2.7"}), ended.why
    else:
        assert "has no python2.7, which runSpec.interpreter asks for" in ended.why
