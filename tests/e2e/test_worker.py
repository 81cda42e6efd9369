"""Real jobs in real sandboxes, on a platform in memory: what a worker promises, kept for real."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import socket
import subprocess
import sys
import tarfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import uvicorn

from plasmid import config
from plasmid.domain import assignments, ids
from plasmid.environments import images
from plasmid.worker import connect, resident
from plasmid.worker.settings import WorkerSettings
from tests import stand_in
from tests.unit.worker import fake_platform

pytestmark = pytest.mark.e2e

# Groups of the kernel are named for jobs, so tests that run at once need jobs of their own.
JOB = ids.mint("job", os.urandom(15))
FILE = "file-BBBBBBBBBBBBBBBBBBBBBBB1"
SANDBOX_SECONDS_MAX = 240.0


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[WorkerSettings]:
    """A worker of this machine's engine and images; nothing of it may be left afterwards."""
    found = config.load(os.environ)
    try:
        images.Images(found.images_folder, stand_in.TABLE).find("Ubuntu", "20.04", "0")
    except images.ImageError as error:
        pytest.skip(f"no base image: {error}")
    # Root inside passes through the folders above its sandbox.
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o011)
    yield WorkerSettings(
        server_url="",
        token=fake_platform.WORKER_TOKEN,
        name="w1",
        work_folder=tmp_path / "work",
        images_folder=found.images_folder,
        layers_folder=tmp_path / "layers",
        tools_folder=tmp_path / "tools",
        image_table=stand_in.TABLE,
        ca_bundle=Path(found.network.ca_bundle) if found.network.ca_bundle else None,
        sync_wait_ms=500,
    )
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["worker.lock"]
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()


def an_assignment(code: str, **options: Any) -> assignments.Assignment:
    return fake_platform.an_assignment(code, job=JOB, **options)


class Site:
    """A platform that listens, and the address of it."""

    def __init__(self) -> None:
        self.platform = fake_platform.FakePlatform()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self.socket.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        server = uvicorn.Server(
            uvicorn.Config(self.platform.app, log_level="warning", lifespan="off")
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(server._serve([self.socket]))
            yield
            server.should_exit = True

    async def run(
        self, settings: WorkerSettings, assignment: assignments.Assignment
    ) -> assignments.Finished:
        """Run one job to its end with a worker of its own."""
        given = msgspec.structs.replace(settings, server_url=self.url)
        stop = resident.Stop()
        async with self.serving(), asyncio.TaskGroup() as group:
            group.create_task(
                resident.run_worker(given, with_adapters=connect.adapters_from(given), stop=stop)
            )
            await self.platform.assign(assignment)
            try:
                await self.platform.until(
                    lambda: assignment.job in self.platform.finished, SANDBOX_SECONDS_MAX
                )
            finally:
                stop.stop_all()
        return self.platform.finished[assignment.job]

    def said(self, *levels: str) -> list[str]:
        return self.platform.messages(JOB, *levels)


@pytest.fixture
def site() -> Site:
    return Site()


async def test_a_bash_job_reads_its_input_and_writes_its_output(
    site: Site, settings: WorkerSettings
) -> None:
    code = (
        'main() { echo "$who $(id -un) $(hostname) $PWD $0"; echo oops >&2\n'
        'dx-jobutil-add-output out "$who" --class string; }'
    )
    report = await site.run(settings, an_assignment(code, input={"who": "it's me"}))
    assert report.output == {"out": "it's me"}
    assert site.said("STDOUT") == [
        f"bash running (job ID {JOB})",
        f"it's me root {JOB} /home/dnanexus /home/dnanexus/{JOB}",
    ]
    assert site.said("STDERR") == ["oops"]


async def test_a_python_job_is_called_and_logs_by_the_sockets(
    site: Site, settings: WorkerSettings
) -> None:
    code = (
        '@dxpy.entry_point("main")\ndef main(n):\n'
        '    import logging\n    logging.warning("careful")\n    return {"m": n + 1}\n'
    )
    given = an_assignment(code, interpreter="python3", input={"n": 1})
    report = await site.run(settings, given)
    assert report.output == {"m": 2}
    assert site.said("WARNING") == ["careful"]


@pytest.mark.parametrize(
    ("interpreter", "code", "reason", "message"),
    [
        ("bash", "main() { exit 3; }", "AppInternalError", "non-zero exit status 3"),
        ("bash", "main() { kill -9 $$; }", "AppInternalError", "signal 9"),
        ("bash", "main() { dx-jobutil-report-error bad AppError; }", "AppError", "bad"),
        ("bash", "main() { ln -s /etc/shadow job_output.json; }", "OutputError", "link"),
        ("bash", "main() { echo '{' > job_output.json; }", "OutputError", "not valid JSON"),
        ("python3", "raise ValueError('v')", "AppInternalError", "exit status 1"),
        ("python2.7", "print 1", "ExecutionError", "no python2.7"),
    ],
)
async def test_a_failure_has_its_reason(
    site: Site, settings: WorkerSettings, *, interpreter: str, code: str, reason: str, message: str
) -> None:
    report = await site.run(settings, an_assignment(code, interpreter=interpreter))
    assert report.failure_reason == reason
    assert message in str(report.failure_message)


async def test_a_job_that_wants_too_much_memory_is_told_so(
    site: Site, settings: WorkerSettings
) -> None:
    code = 'main() { python3 -c "bytearray(900 << 20)"; }'
    report = await site.run(settings, an_assignment(code, memory_bytes=200 << 20))
    assert report.failure_reason == "AppInsufficientResourceError"


EATERS = {
    "a fast grab": "python3 -c 'bytearray(900 << 20)'",
    "a slow leak": "python3 -c 'kept = []\nwhile True: kept.append(bytearray(1 << 20))'",
    "locked pages": (
        "python3 -c 'import ctypes\nctypes.CDLL(None).mlockall(3)\nbytearray(900 << 20)'"
    ),
    "threads": (
        "python3 -c 'import threading\nhold = threading.Event()\n"
        "for _ in range(10000): threading.Thread(target=hold.wait, daemon=True).start()'"
    ),
    "files in memory": "head -c 900M /dev/zero >/dev/shm/big",
}


@pytest.mark.parametrize("eater", EATERS)
async def test_whatever_takes_the_memory_it_is_told_so(
    site: Site, settings: WorkerSettings, eater: str
) -> None:
    """By the kernel's counter of the sandbox alone: what it has killed may be any of them."""
    given = an_assignment(f"main() {{ {EATERS[eater]}; }}", memory_bytes=128 << 20)
    report = await site.run(settings, given)
    assert report.failure_reason == "AppInsufficientResourceError", report.failure_message
    assert "memory" in str(report.failure_message)
    assert report.peak_memory_bytes is not None
    assert report.peak_memory_bytes <= 128 << 20


async def test_a_fork_bomb_meets_its_limit_and_is_named(
    site: Site, settings: WorkerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plasmid.worker.steps.execute.PROCESSES_MAX", 150)
    code = (
        "main() { python3 -c 'import os, time\n"
        "while True:\n    if os.fork() == 0: time.sleep(1000)'; }"
    )
    report = await site.run(settings, an_assignment(code))
    assert report.failure_reason == "AppInternalError"
    assert "refused a process or thread, as it had" in str(report.failure_message)


async def test_page_cache_is_not_taken_for_a_lack_of_memory(
    site: Site, settings: WorkerSettings
) -> None:
    code = "main() { head -c 300M /dev/zero >/tmp/big; cat /tmp/big | md5sum >/dev/null; }"
    report = await site.run(settings, an_assignment(code, memory_bytes=128 << 20))
    assert report.output == {}, report.failure_message


async def test_a_job_over_its_time_is_ended_with_all_of_its_processes(
    site: Site, settings: WorkerSettings
) -> None:
    code = "main() { setsid sleep 1000 & echo started; sleep 1000; }"
    report = await site.run(settings, an_assignment(code, timeout_ms=1500))
    assert report.failure_reason == "JobTimeoutExceeded"
    assert "started" in site.said("STDOUT")


async def test_resources_are_unpacked_over_the_root(site: Site, settings: WorkerSettings) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        tool = tarfile.TarInfo("./usr/bin/mytool")
        content = b"#!/bin/sh\necho tool runs\n"
        tool.size, tool.mode = len(content), 0o755
        archive.addfile(tool, io.BytesIO(content))
    site.platform.files[FILE] = ("x", packed.getvalue())
    bundled = [{"name": "my resources.tar.gz", "id": {"$dnanexus_link": FILE}}]
    given = an_assignment("main() { mytool; }", bundled_depends=bundled)
    report = await site.run(settings, given)
    assert (report.output, site.said("STDOUT")[-1]) == ({}, "tool runs")


async def test_a_job_without_network_reaches_the_api_and_nothing_else(
    site: Site, settings: WorkerSettings
) -> None:
    code = (
        "main() { dx describe $DX_JOB_ID --json | grep -c workspace\n"
        "curl -sS -m 5 http://192.0.2.1/ 2>&1 || echo refused; }"
    )
    await site.run(settings, an_assignment(code))
    assert site.said("STDOUT")[1] == "1"
    assert site.said("STDOUT")[-1] == "refused"


async def test_the_client_works_beside_the_proxy(site: Site, settings: WorkerSettings) -> None:
    code = "main() { dx describe $DX_JOB_ID --json | grep -c workspace; }"
    await site.run(settings, an_assignment(code, network=["*"]))
    assert site.said("STDOUT")[1:] == ["1"]
    assert site.said("STDERR") == []


async def test_apps_find_and_end_the_process_that_they_replace(
    site: Site, settings: WorkerSettings
) -> None:
    code = (
        "kill $(ps aux | grep pcp-dstat | head -n1 | awk '{print $2}')\n"
        "/usr/bin/dx-dstat 100 &\nmain() { echo on; }"
    )
    report = await site.run(settings, an_assignment(code))
    assert (report.output, site.said("STDOUT")[-1]) == ({}, "on")


WORKER = """
import asyncio, sys
from pathlib import Path
import msgspec
from plasmid.worker import resident
from plasmid.worker.settings import WorkerSettings
given = msgspec.json.decode(sys.argv[1], type=WorkerSettings, dec_hook=lambda _, text: Path(text))
sys.exit(asyncio.run(resident.run_process(given)))
"""


def spawn(settings: WorkerSettings) -> subprocess.Popen[bytes]:
    given = msgspec.json.encode(settings, enc_hook=str).decode()
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, given],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2] / "src")},
        stderr=subprocess.DEVNULL,
    )


async def test_killed_workers_lose_and_double_no_line(site: Site, settings: WorkerSettings) -> None:
    code = (
        "main() { for i in $(seq 300); do echo out $i; echo err $i >&2; sleep 0.01; done\n"
        "printf half; sleep 0.3; echo ' done'; }"
    )
    given = msgspec.structs.replace(settings, server_url=site.url)
    async with site.serving():
        worker = spawn(given)
        await site.platform.assign(an_assignment(code))
        for count in (20, 90, 160, 230):
            await site.platform.until(lambda least=count: len(site.said("STDOUT")) > least)  # type: ignore[misc]
            worker.send_signal(signal.SIGKILL if count % 20 else signal.SIGTERM)
            await asyncio.to_thread(worker.wait)
            worker = spawn(given)
        await site.platform.until(lambda: JOB in site.platform.finished)
        await site.platform.until(lambda: not site.platform.held)
        worker.terminate()
        await asyncio.to_thread(worker.wait)
    assert site.platform.finished[JOB].output == {}
    assert site.said("STDOUT")[1:] == [f"out {n}" for n in range(1, 301)] + ["half done"]
    assert site.said("STDERR") == [f"err {n}" for n in range(1, 301)]
