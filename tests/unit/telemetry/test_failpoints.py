"""Failpoints: what is written is read, each step is where it says, nothing fires twice."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from plasmid.telemetry import failpoints

ROOT = Path(__file__).resolve().parents[3]
SOURCES = ROOT / "src" / "plasmid"
_CALL = re.compile(r'failpoints\.reach\(\s*"([^"]+)"')


def armed(text: str, marks: Path | None = None) -> failpoints.Armed:
    environ = {"PLASMID_FAIL": text} | ({"PLASMID_FAIL_MARK": str(marks)} if marks else {})
    found = failpoints.armed(environ)
    assert found is not None
    return found


def test_each_step_is_reached_once_and_where_the_table_says() -> None:
    placed = Counter(
        (step, str(path.relative_to(SOURCES)))
        for path in SOURCES.rglob("*.py")
        for step in _CALL.findall(path.read_text())
    )
    assert placed == Counter((step, at.module) for step, at in failpoints.STEPS.items())


def test_each_step_is_documented() -> None:
    page = (ROOT / "docs" / "reference" / "reliability.md").read_text()
    for step, at in failpoints.STEPS.items():
        assert f"| {step} | {at.process} | {at.meaning} |" in page


def test_nothing_is_armed_by_an_empty_environment() -> None:
    assert failpoints.armed({}) is None
    failpoints.reach("S0", job="/system/whoami")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("S99:kill", "no step 'S99'"),
        ("S4:explode", "no action 'explode'"),
        ("S4", "is not of the form"),
        ("S4:delay", "takes milliseconds"),
        ("S4:kill:9", "takes milliseconds"),
        ("S4:delay:soon", "takes milliseconds"),
        ("S4:kill@0", "counts from 1"),
        ("S4:kill, S5;kill", "is not of the form"),
    ],
)
def test_what_cannot_be_read_is_refused(text: str, words: str) -> None:
    with pytest.raises(failpoints.FailpointError, match=re.escape(words)):
        failpoints.armed({"PLASMID_FAIL": text})


def test_a_process_with_a_bad_failpoint_does_not_start() -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "plasmid", "serve", "--port", "0"],
        env=os.environ
        | {"PLASMID_FAIL": "S99:kill", "PYTHONPATH": str(ROOT / "src"), "PLASMID_HOME": "/nowhere"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("PLASMID_FAIL: no step 'S99'; there are S0, S1,")


def test_an_error_is_raised_only_the_nth_time_and_only_for_its_subject() -> None:
    points = armed("S1:error~/run@2")
    for path in ("/applet-1/run", "/file/new"):
        points.reach("S1", path)
    points.reach("S0", "/applet-1/run")
    with pytest.raises(OSError, match="made to fail at S1"):
        points.reach("S1", "/applet-1/run")
    points.reach("S1", "/applet-1/run")


def test_a_mark_keeps_it_from_firing_again(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="S18"):
        armed("S18:error", tmp_path).reach("S18", "job-1")
    assert '"subject": "job-1"' in (tmp_path / "S18:error").read_text()
    armed("S18:error", tmp_path).reach("S18", "job-1")
    (tmp_path / "S18:error").unlink()
    with pytest.raises(OSError, match="S18"):
        armed("S18:error", tmp_path).reach("S18", "job-1")


def test_a_running_process_is_armed_by_a_file(tmp_path: Path) -> None:
    points = armed(f"@{tmp_path / 'armed'}")
    points.reach("S3", "")
    (tmp_path / "armed").write_text("S3:error\n")
    with pytest.raises(OSError, match="S3"):
        points.reach("S3", "")
    (tmp_path / "armed").unlink()
    points.reach("S3", "")


@pytest.mark.parametrize(("action", "ends"), [("kill", True), ("stop", False), ("delay:10", None)])
def test_each_action_does_what_it_says(action: str, ends: bool | None) -> None:
    code = "from plasmid.telemetry import failpoints; failpoints.reach('S4'); print('after')"
    child = subprocess.Popen(
        [sys.executable, "-P", "-c", code],
        env=os.environ | {"PLASMID_FAIL": f"S4:{action}", "PYTHONPATH": str(ROOT / "src")},
        stdout=subprocess.PIPE,
        text=True,
    )
    if ends is False:
        _, status = os.waitpid(child.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        child.send_signal(signal.SIGCONT)
    out, _ = child.communicate(timeout=60)
    assert (child.returncode, out) == ((-9, "") if ends else (0, "after\n"))
