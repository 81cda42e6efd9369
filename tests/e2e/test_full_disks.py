"""No space for files, database, logs or sandboxes: one clear error, nothing lost, on it goes."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.driver import OPTIONS, Dx, RefusedError, Site, ask_part, put, user

pytestmark = pytest.mark.e2e

MB = 1_000_000


@contextlib.contextmanager
def small_disk(folder: Path, size: str, *, mode: str = "711") -> Iterator[Path]:
    """Put a small file system on a folder for the time of the block."""
    folder.mkdir(parents=True, exist_ok=True)
    options = f"size={size},mode={mode}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@contextlib.contextmanager
def filled(folder: Path) -> Iterator[None]:
    """Leave no byte of space in a folder for the time of the block."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    try:
        yield
    finally:
        filler.unlink()


@contextlib.contextmanager
def site_on_small(images: Path, below: str, size: str) -> Iterator[Site]:
    """A server one of whose folders is small; it is mounted before the server starts."""
    site = Site(images, options=OPTIONS)
    try:
        with small_disk(site.data / below, size, mode="700" if below == "blobs" else "711"):
            try:
                site.start()
                yield site
            finally:
                site.close(keeps_folder=True)
    finally:
        site.remove_folder()


def test_files_are_refused_and_taken_again_when_there_is_space(
    images_folder: Path, tmp_path: Path
) -> None:
    with site_on_small(images_folder, "blobs", "8m") as site:
        dx = user(site, tmp_path, "full")
        content = os.urandom(MB)
        kept = dx.upload("kept", content)
        with filled(site.data / "blobs"):
            made = dx.call("/file/new", {"project": dx.project, "name": "big"})["id"]
            status, said = send_part(dx, made, b"x" * MB)
            assert status == 503
            assert "space" in said
            assert dx.call(f"/{made}/describe")["state"] == "open"
            assert fetched(dx, kept) == content
        status, said = send_part(dx, made, b"x" * MB)
        assert status == 200, said
        dx.call(f"/{made}/close")
        assert dx("cat", made).out == "x" * MB


def fetched(dx: Dx, file_id: str) -> bytes:
    dx("download", file_id, "-o", "back", "-f", "--no-progress")
    return (dx.home / "back").read_bytes()


def send_part(dx: Dx, file_id: str, content: bytes) -> tuple[int, str]:
    asked = ask_part(dx, file_id, content)
    return put(str(asked["url"]), asked["headers"], content)


def test_the_database_refuses_and_goes_on_when_there_is_space(
    images_folder: Path, tmp_path: Path
) -> None:
    with site_on_small(images_folder, "", "24m") as site:
        dx = user(site, tmp_path, "full")
        first = dx.call("/record/new", {"project": dx.project, "name": "before", "close": True})
        with filled(site.data):
            made = []
            with pytest.raises(RefusedError) as refused:  # noqa: PT012 - the first may still fit
                for number in range(2000):
                    body = {"project": dx.project, "name": "x" * 500, "details": {"n": number}}
                    made.append(dx.call("/record/new", body)["id"])
            assert (refused.value.status, refused.value.type) == (503, "ServiceUnavailable")
            assert "space" in refused.value.message
            assert dx.call(f"/{first['id']}/describe")["state"] == "closed"
        for record in [first["id"], *made]:
            assert dx.call(f"/{record}/describe")["id"] == record
        assert dx.call("/record/new", {"project": dx.project, "name": "after"})["id"]


def test_logs_wait_for_space_and_lose_nothing(images_folder: Path, tmp_path: Path) -> None:
    with site_on_small(images_folder, "logs", "2m") as site:
        dx = user(site, tmp_path, "full")
        code = (
            "main() { echo first; until dx ls $DX_PROJECT_CONTEXT_ID:/go; do :; done; seq 2000; }"
        )
        job = dx.run(dx.applet(code))
        next(frame for frame in site.frames(job) if frame["msg"] == "first")
        with filled(site.data / "logs"):
            dx.call(f"/{dx.project}/newFolder", {"folder": "/go"})
            site.state(job, "running")
        ended = site.ended(job)
        numbers = [text for text in ended.said() if text.isdecimal()]
        assert numbers == [str(n) for n in range(1, 2001)]


def test_a_job_that_fills_its_disk_is_told_so_and_the_next_one_runs(
    images_folder: Path, tmp_path: Path
) -> None:
    with site_on_small(images_folder, "work", "64m") as site:
        dx = user(site, tmp_path, "full")
        code = "main() { echo on; dd if=/dev/zero of=big bs=1M count=200; }"
        job = dx.run(dx.applet(code), executionPolicy={"restartOn": {}})
        ended = site.ended(job)
        assert ended.why.startswith("AppInsufficientResourceError"), ended.why
        assert "disk" in ended.why
        assert "on" in ended.said()
        assert dx.ran("echo fine").said() == ["fine"]


def test_a_sandbox_that_cannot_be_made_for_want_of_space_says_so(
    images_folder: Path, tmp_path: Path
) -> None:
    with site_on_small(images_folder, "work", "4m") as site:
        dx = user(site, tmp_path, "full")
        with filled(site.data / "work"):
            job = dx.run(dx.applet("echo never"), executionPolicy={"restartOn": {}})
            ended = site.ended(job)
            assert "space" in ended.why, ended.why
        assert dx.ran("echo fine").said() == ["fine"]
