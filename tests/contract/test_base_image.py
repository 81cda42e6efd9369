"""What every base image has: apps count on it without declaring it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import bases, stand_in

TOOLS = (
    "awk bc bzip2 curl dx dx-app-wizard dx-build-applet dx-download-all-inputs "
    "dx-jobutil-add-output dx-jobutil-new-job dx-jobutil-report-error dx-upload-all-outputs file "
    "gawk git gzip jq less make nproc parallel pigz pip pip3 ps pstree python3 ssh sudo tar unzip "
    "wget xz zip 7z"
)


@pytest.fixture
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="plasmid-image-", dir="/var/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


async def run(script: str, folder: Path) -> list[str]:
    return await bases.run(script, folder, bases.root_of(stand_in.NAME))


async def test_the_tools_that_apps_assume_are_there(folder: Path) -> None:
    script = f"for t in {TOOLS}; do command -v $t >/dev/null || echo $t; done; echo all"
    assert await run(script, folder) == ["all"]


async def test_the_client_is_the_pinned_one_and_compiled(folder: Path) -> None:
    lines = await run(
        "python3 -W error -c 'import dxpy, requests, numpy, dateutil; print(dxpy.__version__)';"
        "cd $(python3 -c 'import dxpy, os; print(os.path.dirname(dxpy.__file__))');"
        "ls __pycache__ | wc -l; ls *.py | wc -l; find / -xdev -name EXTERNALLY-MANAGED",
        folder,
    )
    assert lines[0] == "0.413.0"
    assert lines[1] == lines[2]
    assert len(lines) == 3


async def test_the_jobs_user_has_its_home_and_may_become_root(folder: Path) -> None:
    lines = await run(
        "id -u dnanexus; stat -c '%U' /home/dnanexus /opt/dnanexus/log;"
        "su dnanexus -c 'sudo id -un'; locale charmap; stat -c %a /tmp",
        folder,
    )
    assert lines == ["1000", "dnanexus", "root", "root", "UTF-8", "1777"]


async def test_packages_come_by_the_proxy_from_debian_alone(folder: Path) -> None:
    lines = await run(
        "apt-config dump | grep '^Acquire::https\\?::Proxy '; apt-cache policy samtools | wc -l;"
        "grep -rh '^deb ' /etc/apt/sources.list /etc/apt/sources.list.d | grep -vc bookworm",
        folder,
    )
    assert sorted(lines[:2]) == [
        'Acquire::http::Proxy "http://127.0.0.1:3128";',
        'Acquire::https::Proxy "http://127.0.0.1:3128";',
    ]
    assert int(lines[2]) > 3  # apt's lists are in the image
    assert lines[3] == "0"


async def test_a_virtual_environment_can_be_made_offline(folder: Path) -> None:
    lines = await run("python3 -m venv /tmp/v && /tmp/v/bin/pip --version | cut -d' ' -f1", folder)
    assert lines == ["pip"]
