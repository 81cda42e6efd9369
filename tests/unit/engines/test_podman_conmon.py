"""The end of a conmon that podman has started is waited for, whatever its descriptor's number."""

from __future__ import annotations

import fcntl
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from plasmid.engines import podman_conmon

ABOVE_SELECT = 1024


@pytest.fixture
def many_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard <= ABOVE_SELECT:
        pytest.fail("the limit of open files here is too low for this test: ulimit -n 4096")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, ABOVE_SELECT + 100), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_files")
@pytest.mark.parametrize("ends", [True, False])
def test_an_end_is_awaited_in_a_process_with_a_thousand_open_files(
    monkeypatch: pytest.MonkeyPatch, ends: bool
) -> None:
    monkeypatch.setattr(podman_conmon, "_END_SECONDS_MAX", 5.0 if ends else 0.01)
    process = subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE)
    low = os.pidfd_open(process.pid)
    high = fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, ABOVE_SELECT)
    monkeypatch.setattr(podman_conmon, "_all_of", lambda _: iter([high]))
    try:
        assert process.stdin is not None
        if ends:
            process.stdin.close()
        podman_conmon.await_end(Path("/none"))
        assert process.wait(60) == (0 if ends else -9)
    finally:
        process.kill()
        process.communicate()
        os.close(low)
        os.close(high)
