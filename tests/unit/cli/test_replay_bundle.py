"""Bundles of replays: what is written is read, and nothing of a hostile one is believed."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from plasmid.cli import replay_bundle
from plasmid.cli.trouble import CommandError
from plasmid.domain.replays import Capture, Limits
from tests.unit.domain.test_replays import FILE, a_capture

CONTENT = b"reads"


def capture_of(content: bytes = CONTENT) -> Capture:
    return a_capture(
        object__size_bytes=len(content), object__sha256=hashlib.sha256(content).hexdigest()
    )


def written(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    source.write_bytes(CONTENT)
    bundle = tmp_path / "bundle.tar.gz"
    replay_bundle.write(capture_of(), {FILE: source}, bundle)
    return bundle


def packed(tmp_path: Path, *entries: tuple[str, bytes, dict[str, Any]]) -> Path:
    """A bundle of those entries: name, content, and what else the header says."""
    sink = io.BytesIO()
    is_plain = all(len(name) <= tarfile.LENGTH_NAME for name, _, _ in entries)
    form = tarfile.GNU_FORMAT if is_plain else tarfile.PAX_FORMAT
    with tarfile.open(fileobj=sink, mode="w", format=form) as tar:
        for name, content, more in entries:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            for key, value in more.items():
                setattr(entry, key, value)
            tar.addfile(entry, io.BytesIO(content))
    bundle = tmp_path / "hostile.tar.gz"
    bundle.write_bytes(gzip.compress(sink.getvalue()))
    return bundle


def first(capture: Capture | None = None) -> tuple[str, bytes, dict[str, Any]]:
    return ("capture.json", msgspec.json.encode(capture or capture_of()), {})


def refused(bundle: Path, tmp_path: Path) -> str:
    folder = tmp_path / "read"
    folder.mkdir()
    with pytest.raises(CommandError) as caught:
        replay_bundle.read(bundle, folder)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    assert set(folder.iterdir()) <= {folder / FILE}
    return str(caught.value)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "read"
    folder.mkdir()
    capture, contents = replay_bundle.read(written(tmp_path), folder)
    assert capture == capture_of()
    assert contents[FILE].read_bytes() == CONTENT


def test_a_bundle_is_for_its_owner_only_and_no_half_one_stays(tmp_path: Path) -> None:
    assert written(tmp_path).stat().st_mode & 0o777 == 0o600
    with pytest.raises(CommandError, match="cannot write"):
        replay_bundle.write(capture_of(), {FILE: tmp_path / "gone"}, tmp_path / "b")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle.tar.gz", "source"]


def twice(part: str) -> Capture:
    made = capture_of()
    return msgspec.structs.replace(made, **{part: getattr(made, part) * 2})


LONG = "files/" + "x" * 300
HOSTILE: dict[str, tuple[Callable[[], list[tuple[str, bytes, dict[str, Any]]]], str]] = {
    "nothing": (list, "does not begin with capture.json"),
    "no capture": (lambda: [("files/x", b"", {})], "does not begin with capture.json"),
    "no JSON": (lambda: [("capture.json", b"{", {})], "capture.json"),
    "deep JSON": (lambda: [("capture.json", b"[" * 100_000, {})], "capture.json"),
    "wrong types": (lambda: [("capture.json", b'{"run": 3}', {})], "capture.json"),
    "wrong id": (lambda: [first(a_capture(job="job-x"))], "run.job is wrong"),
    "missing file": (lambda: [first()], "is missing"),
    "unknown file": (lambda: [first(), ("../../etc/passwd", b"x", {})], "is not announced"),
    "twice": (
        lambda: [first(), (f"files/{FILE}", CONTENT, {}), (f"files/{FILE}", CONTENT, {})],
        "comes twice",
    ),
    "another size": (lambda: [first(), (f"files/{FILE}", b"rea", {})], "5 are announced"),
    "other bytes": (lambda: [first(), (f"files/{FILE}", b"READS", {})], "is damaged"),
    "a link": (
        lambda: [first(), (f"files/{FILE}", b"", {"type": tarfile.SYMTYPE, "linkname": "/etc"})],
        "no plain file",
    ),
    "a device": (
        lambda: [first(), (f"files/{FILE}", b"", {"type": tarfile.CHRTYPE})], "no plain file"
    ),
    "a name that is no text": (
        lambda: [first(), ("files/\xff\u1234", b"x", {})], "header is no ASCII text"
    ),
    "an owner that is no text": (
        lambda: [first(), (f"files/{FILE}", CONTENT, {"uname": "b\xe9a"})],
        "header is no ASCII text",
    ),
    "a container twice": (lambda: [first(twice("containers"))], "containers is wrong"),
    "an object twice": (lambda: [first(twice("objects"))], "objects is wrong"),
    "less than nothing": (
        lambda: [first(a_capture(given=Limits(cores=-1)))], "run.given.cores is wrong"
    ),
    "more than a number": (
        lambda: [first(a_capture(given=Limits(disk_bytes=1 << 63)))],
        "run.given.disk_bytes is wrong",
    ),
    "a workspace of an app": (
        lambda: [first(a_capture(resources="container-" + "v" * 24))], "run.resources is wrong"
    ),
    "a long header": (lambda: [first(), (LONG, b"x", {})], "no plain file"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_bundle_is_refused_in_one_line(tmp_path: Path, case: str) -> None:
    entries, message = HOSTILE[case]
    assert message in refused(packed(tmp_path, *entries()), tmp_path)


@pytest.mark.parametrize("length", [0, 1, 20, 200, -1])
def test_a_bundle_that_was_cut_off_is_refused(tmp_path: Path, length: int) -> None:
    bundle = written(tmp_path)
    bundle.write_bytes(bundle.read_bytes()[:length])
    assert "copy it again" in refused(bundle, tmp_path)


def test_files_that_no_disk_can_hold_are_refused_before_any_is_written(tmp_path: Path) -> None:
    huge = first(a_capture(object__size_bytes=1 << 60))
    assert "no room" in refused(packed(tmp_path, huge), tmp_path)


def test_no_file_and_no_gzip_are_refused(tmp_path: Path) -> None:
    assert "No such file" in refused(tmp_path / "gone", tmp_path)
    (tmp_path / "read").rmdir()
    (tmp_path / "text").write_text("hello")
    assert "copy it again" in refused(tmp_path / "text", tmp_path)
