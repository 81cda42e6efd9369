"""What the server has acknowledged survives kill -9; what cannot work is said in one line.

No sandbox is needed: the jobs here wait for something that never comes.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.e2e.driver import ROOT, RefusedError, Site

KILLS: Final = 20
CLIENTS: Final = 4
GONE: Final = (urllib.error.URLError, http.client.HTTPException, ConnectionError)
_NO_PROXY: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))
APPLET: Final = {
    "interpreter": "bash",
    "code": "main() { true; }",
    "distribution": "Ubuntu",
    "release": "24.04",
}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    images = tmp_path / "images"
    images.mkdir()
    site = Site(images, options={"PLASMID_ENGINE": "simulated"})
    try:
        site.start()
        yield site
    finally:
        # a worker that has outlived a killed server would give the next one a minute to come back
        for pid in site.worker_pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        site.close()


class Journal:
    """What was acknowledged, written down by the clients as soon as they know."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._wanted = 0
        self.enough = threading.Event()
        self.files: dict[str, str] = {}
        self.contents: dict[str, bytes] = {}
        self.records: dict[str, Any] = {}
        self.closed_records: set[str] = set()
        self.removed: set[str] = set()
        self.jobs: dict[str, str] = {}
        self.asked: dict[str, str | None] = {}

    def next_round(self, wanted: int) -> None:
        """Say `enough` after this many more acknowledgements."""
        self._count, self._wanted = 0, wanted
        self.enough.clear()

    def note(self, keep: Callable[[], object]) -> None:
        with self._lock:
            keep()
            self._count += 1
            if self._count == self._wanted:
                self.enough.set()


class Client:
    """Somebody who does one thing after the other until the server is gone."""

    def __init__(self, site: Site, journal: Journal, made: dict[str, str], seed: int) -> None:
        self.site, self.journal, self.made = site, journal, made
        self.random = random.Random(seed)

    def work(self) -> None:
        stories = (self.upload, self.record, self.job, self.once)
        with contextlib.suppress(*GONE):
            while True:
                self.random.choice(stories)()

    def new(self, route: str, **body: Any) -> str:
        given = {"project": self.made["project"], **body}
        return str(self.site.call(route, given)["id"])

    def upload(self) -> None:
        journal = self.journal
        content = self.random.randbytes(self.random.choice((1, 1000, 3_000_000)))
        file = self.new("/file/new")
        journal.contents[file] = content
        journal.note(lambda: journal.files.update({file: "made"}))
        asked = {"index": 1, "size": len(content), "md5": md5_of(content)}
        place = self.site.call(f"/{file}/upload", asked)
        put(place, content)
        journal.note(lambda: journal.files.update({file: "uploaded"}))
        self.site.call(f"/{file}/close")
        journal.note(lambda: journal.files.update({file: "closed"}))

    def record(self) -> None:
        journal = self.journal
        details = {"n": self.random.random(), "text": "ü" * self.random.randrange(2000)}
        record = self.new("/record/new", details=details)
        journal.note(lambda: journal.records.update({record: details}))
        self.site.call(f"/{record}/close")
        journal.note(lambda: journal.closed_records.add(record))
        if self.random.random() < 0.3:
            self.site.call(f"/{self.made['project']}/removeObjects", {"objects": [record]})
            journal.note(lambda: journal.removed.add(record))

    def job(self) -> None:
        journal = self.journal
        job = self.new(f"/{self.made['applet']}/run", input={}, dependsOn=[self.made["gate"]])
        journal.note(lambda: journal.jobs.update({job: "waiting_on_input"}))
        if self.random.random() < 0.5:
            self.site.call(f"/{job}/terminate")
            journal.note(lambda: journal.jobs.update({job: "terminated"}))

    def once(self) -> None:
        """A create with a nonce, written down before it is sent: its answer may be lost."""
        nonce = f"{self.random.getrandbits(64):x}"
        self.journal.asked[nonce] = None
        record = self.new("/record/new", name=nonce, nonce=nonce)
        self.journal.note(lambda: self.journal.asked.update({nonce: record}))


def md5_of(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def put(place: dict[str, Any], content: bytes) -> None:
    request = urllib.request.Request(
        place["url"], data=content, headers=place["headers"], method="PUT"
    )
    with _NO_PROXY.open(request, timeout=120) as response:
        assert response.status == 200


def read(site: Site, file: str) -> bytes:
    place = site.call(f"/{file}/download")
    with _NO_PROXY.open(place["url"], timeout=120) as response:
        return bytes(response.read())


def describe_if_there(site: Site, record: str) -> dict[str, Any] | None:
    try:
        return site.describe(record, details=True)
    except RefusedError as error:
        if error.type != "ResourceNotFound":
            raise
        return None


def check(site: Site, journal: Journal, made: dict[str, str]) -> None:
    """Hold the server against all that it has acknowledged, ever."""
    for file, last in journal.files.items():
        content = journal.contents[file]
        state = site.describe(file)["state"]
        if state == "open":
            assert last != "closed", f"{file} was closed and is open again"
            with pytest.raises(RefusedError, match="InvalidState"):
                site.call(f"/{file}/download")
            if last == "uploaded":
                site.call(f"/{file}/close")
                journal.files[file] = "closed"
        if site.describe(file)["state"] == "closed":
            assert last != "made" or content, file
            assert read(site, file) == content
    for record, details in journal.records.items():
        if record in journal.removed:
            with pytest.raises(RefusedError, match="ResourceNotFound"):
                site.describe(record)
            continue
        described = describe_if_there(site, record)
        if described is None:
            # its removal was asked for and not acknowledged
            assert record in journal.closed_records
            journal.removed.add(record)
            continue
        assert described["details"] == details
        assert described["state"] == "closed" or record not in journal.closed_records
    for job, last in journal.jobs.items():
        state = site.describe(job)["state"]
        assert state == last or (last, state) == ("waiting_on_input", "terminated"), job
        journal.jobs[job] = state
    for nonce, known in list(journal.asked.items()):
        body = {"project": made["project"], "name": nonce, "nonce": nonce}
        again = site.call("/record/new", body)["id"]
        assert known in (None, again), "the same nonce made two records"
        found = site.call(
            "/system/findDataObjects",
            {"name": nonce, "scope": {"project": made["project"]}, "class": "record"},
        )
        assert [entry["id"] for entry in found["results"]] == [again]
        del journal.asked[nonce]


@pytest.mark.timeout(1800)
def test_nothing_acknowledged_is_lost_in_20_kills(site: Site) -> None:
    made = {"project": str(site.call("/project/new", {"name": "p"})["id"])}
    project = {"project": made["project"]}
    made["gate"] = site.call("/record/new", project)["id"]
    made["applet"] = site.call("/applet/new", {**project, "name": "a", "runSpec": APPLET})["id"]
    journal = Journal()
    chance = random.Random(7)
    for kill in range(KILLS):
        journal.next_round(chance.randrange(1, 60))
        clients = [Client(site, journal, made, kill * CLIENTS + n) for n in range(CLIENTS)]
        threads = [threading.Thread(target=client.work) for client in clients]
        for thread in threads:
            thread.start()
        assert journal.enough.wait(120)
        site.stop(signal.SIGKILL)
        for thread in threads:
            thread.join(120)
            assert not thread.is_alive()
        site.start()
        assert list((site.data / "blobs" / "incoming").iterdir()) == []
        check(site, journal, made)
    assert len(journal.files) > 10
    assert len(journal.jobs) > 10
    with contextlib.closing(sqlite3.connect(site.data / "plasmid.sqlite")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        # every part that is said to be there is there
        parts = connection.execute(
            "SELECT blob, size_bytes FROM parts WHERE state = 'complete'"
        ).fetchall()
    for blob, size_bytes in parts:
        assert (site.data / "blobs" / blob[-2:] / blob).stat().st_size == size_bytes
    # what the jobs waited for comes: none of them was forgotten
    site.call(f"/{made['gate']}/close")
    for job, state in journal.jobs.items():
        expected = {"terminated"} if state == "terminated" else {"runnable", "running", "failed"}
        assert site.describe(job)["state"] in expected
        site.call(f"/{job}/terminate")


def test_a_part_that_was_cut_off_by_a_kill_is_not_there(site: Site) -> None:
    project = site.call("/project/new", {"name": "p"})["id"]
    file = site.call("/file/new", {"project": project})["id"]
    content = b"x" * 2_000_000
    place = site.call(f"/{file}/upload", {"index": 1, "size": len(content)})
    host, _, path = place["url"].removeprefix("http://").partition("/")
    with socket.create_connection((host.split(":")[0], int(host.split(":")[1]))) as stream:
        head = f"PUT /{path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(content)}\r\n\r\n"
        stream.sendall(head.encode() + content[:-1])
        site.stop(signal.SIGKILL)
    site.start()
    assert [path for path in (site.data / "blobs").rglob("*") if path.is_file()] == []
    with pytest.raises(RefusedError, match="InvalidState"):
        site.call(f"/{file}/close")
    with pytest.raises(RefusedError, match="InvalidState"):
        site.call(f"/{file}/download")
    put(site.call(f"/{file}/upload", {"index": 1, "size": len(content)}), content)
    site.call(f"/{file}/close")
    assert read(site, file) == content


# ------------------------------------------------------------------------- refusals of a start


def refused(home: Path, *arguments: str) -> str:
    """Start a server that must refuse to start; return its one line."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith("PLASMID_")}
    environ |= {"PLASMID_HOME": str(home), "PYTHONPATH": str(ROOT / "src")}
    ran = subprocess.run(
        [sys.executable, "-P", "-m", "plasmid", "serve", *arguments],
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 1, ran.stderr
    assert ran.stdout == ""
    assert ran.stderr.startswith("plasmid: ")
    assert ran.stderr.count("\n") == 1, ran.stderr
    return ran.stderr


def test_a_second_server_on_a_data_folder_is_refused(site: Site) -> None:
    line = refused(site.home, "--port", "0")
    assert f"another server uses the data folder {site.data}" in line
    assert "--data" in line
    assert site.call("/system/whoami")["id"] == site.keys["user"]


def test_a_port_in_use_is_refused(site: Site, tmp_path: Path) -> None:
    line = refused(tmp_path / "home", "--port", str(site.port))
    assert f"127.0.0.1:{site.port}" in line
    assert "--port" in line


@pytest.mark.parametrize("damage", ["no database", "cut off", "newer", "a folder"])
def test_a_database_that_cannot_be_used_is_refused_and_left_alone(site: Site, damage: str) -> None:
    site.stop()
    path = site.data / "plasmid.sqlite"
    whole = path.read_bytes()
    if damage == "newer":
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
            connection.commit()
    elif damage == "a folder":
        path.unlink()
        path.mkdir()
    else:
        path.write_bytes(b"no database " * 1000 if damage == "no database" else whole[: 3 * 4096])
    before = None if path.is_dir() else path.read_bytes()
    line = refused(site.home, "--port", "0")
    assert str(path) in line
    assert ("newer Plasmid" if damage == "newer" else "backup") in line
    assert path.is_dir() or path.read_bytes() == before
    # the remedy works
    if path.is_dir():
        path.rmdir()
    path.write_bytes(whole)
    site.start()
    assert site.call("/system/whoami")["id"] == site.keys["user"]


def test_a_data_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    line = refused(tmp_path, "--data", str(tmp_path / "file" / "data"), "--port", "0")
    assert f"{tmp_path}/file/data" in line
    assert "--data" in line
