"""Hostile archives, unpacked by the real dx-unpack in real sandboxes, reach nothing outside."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from plasmid.engines import engine, oci, oci_config
from plasmid.environments import images
from plasmid.worker import inside
from plasmid.worker.steps import workspace
from tests import stand_in
from tests.archives import corpus, formats
from tests.e2e.driver import Dx

pytestmark = pytest.mark.timeout(900)

SECONDS_MAX = 600
CASES, RESULTS = "/opt/cases", "/opt/results.json"
SOURCE = Path(corpus.__file__).with_name("unpack-all")


class Batch(NamedTuple):
    """Archives, what came of each, and the digest of the host before and after."""

    cases: Sequence[corpus.Case]
    results: list[dict[str, Any]]
    host: tuple[dict[str, object], dict[str, object]]
    strangers: list[str]


def host_tree(*trees: Path) -> dict[str, object]:
    """Everything but the access time of every file in some folders of the host."""
    found: dict[str, object] = {}
    for tree in trees:
        for folder, _, names in os.walk(tree):
            for path in (folder, *(f"{folder}/{name}" for name in names)):
                told = os.lstat(path)
                found[path] = (
                    *(told.st_ino, told.st_mode, told.st_nlink, told.st_uid, told.st_gid),
                    *(told.st_size, told.st_rdev, told.st_mtime_ns, told.st_ctime_ns),
                )
    return found


def strangers(changes: Path) -> list[str]:
    """What a sandbox has left that is a device, or belongs to a user of the host."""
    found = []
    last = oci_config.ID_FIRST + oci_config.ID_COUNT
    for folder, _, names in os.walk(changes):
        for name in names:
            told = os.lstat(f"{folder}/{name}")
            is_mark_of_overlay = stat.S_ISCHR(told.st_mode) and told.st_rdev == 0
            if stat.S_ISBLK(told.st_mode) or (
                stat.S_ISCHR(told.st_mode) and not is_mark_of_overlay
            ):
                found.append(f"{folder}/{name} is a device")
            elif not is_mark_of_overlay and not oci_config.ID_FIRST <= told.st_uid < last:
                found.append(f"{folder}/{name} belongs to {told.st_uid}")
    return found


def spec(root: Path, folder: Path, cases: Path) -> engine.SandboxSpec:
    tools = ("/usr/bin/dx-unpack", "dx_unpack.py"), ("/opt/plasmid/archive_limits.py",) * 2
    files = {path: workspace.runtime_file(Path(name).name) for path, name in tools}
    sandbox = folder / "archives.1"
    sandbox.mkdir()
    return engine.SandboxSpec(
        name=f"{folder.name}.1",
        folder=sandbox,
        base_image=root,
        hostname="localhost",
        command=("/usr/bin/python3", "/opt/unpack-all", CASES, RESULTS),
        environment={"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LANG": "C.UTF-8"},
        working_directory="/",
        files={**files, "/opt/unpack-all": SOURCE.read_bytes()},
        memory_bytes=2 << 30,
        cpu_weight=100,
        mounts=(engine.Mount(str(cases), CASES),),
    )


async def unpacked(root: Path, folder: Path, cases: Sequence[corpus.Case]) -> Batch:
    """Unpack archives in one sandbox."""
    given = folder / "cases"
    given.mkdir(mode=0o755)
    for number, case in enumerate(cases):
        (given / str(number)).write_bytes(case.content)
    told = [{"place": c.place, "name": c.name, "look": list(c.has)} for c in cases]
    (given / "cases.json").write_text(json.dumps(told))
    runner = oci.OciEngine(None)
    before = host_tree(root, given, Path("/etc"), Path("/srv"), Path("/home"))
    sandbox = await runner.create(spec(root, folder, given))
    try:
        async with asyncio.timeout(SECONDS_MAX):
            await sandbox.start()
            ended = await sandbox.wait()
        assert ended.exit_code == 0, sandbox.log_path.read_text()[-4000:]
        results = json.loads(inside.read(sandbox.root, RESULTS) or "")
        found = strangers(sandbox.changes)
        # A setuid program of root inside is one of a user out here: nobody may get at it.
        if sandbox.folder.stat().st_mode & 0o007:
            found.append(f"{sandbox.folder} is open to the users of the host")
    finally:
        await sandbox.remove()
    after = host_tree(root, given, Path("/etc"), Path("/srv"), Path("/home"))
    return Batch(cases, results, (before, after), found)


def difference(case: corpus.Case, result: dict[str, Any]) -> str | None:
    """How what came of an archive differs from what must come; None if it does not."""
    last = result["reason"].rstrip("\n")
    if (result["code"] != 0) != (case.fails is not None) or (case.fails or "") not in last:
        return f"{case.title}: ended with {result['code']}: {result['said']}"
    for path, wanted in case.has.items():
        kind, _, text = wanted.partition(" ")
        found = result["found"][path]
        is_there = found.get(kind) == text if kind in ("mode", "size") else found["kind"] == kind
        if not is_there or (text and kind in ("file", "link") and found.get("text") != text):
            return f"{case.title}: {path} is {found} and not {wanted!r}: {result['said']}"
    return None


@pytest.fixture(scope="module")
def root(images_folder: Path) -> Path:
    return images.Images(images_folder, stand_in.TABLE).find("Ubuntu", "24.04", "0").root


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="plasmid-archives-", dir="/var/tmp"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def batch(root: Path, folder: Path) -> Batch:
    return asyncio.run(unpacked(root, folder, corpus.cases()))


def test_every_archive_comes_to_what_it_must(batch: Batch) -> None:
    found = [difference(*pair) for pair in zip(batch.cases, batch.results, strict=True)]
    wrong = [text for text in found if text]
    assert not wrong, f"{len(wrong)} of {len(found)}\n" + "\n".join(wrong)


def test_the_corpus_is_large_and_has_every_format(batch: Batch) -> None:
    assert len(batch.cases) >= 300
    endings = {case.name.partition(".")[2] for case in batch.cases}
    wanted = "tar tar.gz tgz tbz2 tar.xz tar.lzma zip jar gz bz2 xz lzma 7z rar lha a deb"
    assert set(wanted.split()) <= endings


def test_nothing_outside_of_the_sandbox_changes(batch: Batch) -> None:
    before, after = batch.host
    assert len(before) > 1000
    changed = sorted(path for path in {*before, *after} if before.get(path) != after.get(path))
    assert changed == []


def test_nothing_unpacked_is_a_device_or_belongs_to_a_user_of_the_host(batch: Batch) -> None:
    assert batch.strangers == []


def test_no_bomb_keeps_the_machine_busy(batch: Batch) -> None:
    slow = [
        (case.title, result["seconds"])
        for case, result in zip(batch.cases, batch.results, strict=True)
        if result["seconds"] > 120
    ]
    assert slow == []


@pytest.mark.parametrize("case", corpus.alone(), ids=lambda case: case.title)
def test_an_archive_over_the_systems_files_stays_inside(
    case: corpus.Case, root: Path, tmp_path: Path
) -> None:
    tmp_path.chmod(0o711)
    batch = asyncio.run(unpacked(root, tmp_path, [case]))
    assert difference(case, batch.results[0]) is None
    assert (batch.host[0] == batch.host[1], batch.strangers) == (True, [])


def test_a_job_with_a_hostile_bundle_fails_and_says_why(dx: Dx) -> None:
    climbing = formats.tar([formats.file("../../etc/cron.d/x")])
    (dx.home / "tools.tar.gz").write_bytes(gzip.compress(climbing))
    file = dx.id("upload", "tools.tar.gz", "--wait")
    bundle = {"name": "tools.tar.gz", "id": {"$dnanexus_link": file}}
    ended = dx.ran("main() { echo never; }", run={"bundledDepends": [bundle]})
    assert ended.describe["failureReason"] == "ExecutionError", ended.why
    assert "tools.tar.gz" in ended.why
    assert "its entry '../../etc/cron.d/x' climbs out" in ended.why
    assert "never" not in ended.said()
