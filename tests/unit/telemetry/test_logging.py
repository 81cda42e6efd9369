"""Plasmid's own log is JSON where no person reads it, from the level that is asked for."""

from __future__ import annotations

import json
import os
import subprocess
import sys

PROGRAM = """
import structlog
from plasmid.telemetry import logging
logging.configure()
structlog.get_logger().info("job_moved", job="job-1")
structlog.get_logger().warning("worker_died", exit_code=9)
"""


def logged(level: str | None) -> list[dict[str, object]]:
    environ = {name: value for name, value in os.environ.items() if name != "PLASMID_LOG"}
    if level is not None:
        environ["PLASMID_LOG"] = level
    environ["PYTHONPATH"] = os.pathsep.join(sys.path)
    command = [sys.executable, "-c", PROGRAM]
    told = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    assert told.stdout == ""
    return [json.loads(line) for line in told.stderr.splitlines()]


def test_only_warnings_are_said_unless_more_is_asked_for() -> None:
    assert [entry["event"] for entry in logged(None)] == ["worker_died"]


def test_events_carry_their_fields_level_and_time() -> None:
    moved, died = logged("info")
    assert (moved["event"], moved["job"], moved["level"]) == ("job_moved", "job-1", "info")
    assert (died["exit_code"], died["level"]) == (9, "warning")
    assert str(moved["timestamp"]).endswith("Z")
