"""What all tests share: their order, how one that fails ends, and that skips are counted.

An unexplained skip fails CI.
"""

from __future__ import annotations

import fnmatch
import gc
import os
import sys
import warnings
from collections.abc import Generator
from pathlib import Path

import pytest

ALLOWED = Path(__file__).with_name("allowed_skips.txt")
# Files of few and long tests: where files run side by side, these must not be left for the end.
LONG = ("tests/faults/", "tests/every_base/", "tests/mirrors/", "tests/contract/", "tests/fuzz/")
_SKIPPED = pytest.StashKey[dict[str, str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Start counting."""
    config.stash[_SKIPPED] = {}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the long ones first."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONG))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Keep what a test that failed has left open from failing a later one, which finds it."""
    failed_before = item.session.testsfailed
    result = yield
    if item.session.testsfailed > failed_before:
        for name in ("last_type", "last_value", "last_traceback", "last_exc"):
            sys.__dict__.pop(name, None)  # a traceback has all that its functions had
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            gc.collect()
    return result


class _Counter:
    """Keeps each skip with the reason that it gave."""

    def __init__(self, skipped: dict[str, str]) -> None:
        self.skipped = skipped

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped and not hasattr(report, "wasxfail"):
            self._keep(report.nodeid, report.longrepr)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self._keep(report.nodeid, report.longrepr)

    def _keep(self, nodeid: str, longrepr: object) -> None:
        self.skipped[nodeid] = str(longrepr[2] if isinstance(longrepr, tuple) else longrepr)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Listen to the reports, also to those of parallel workers."""
    session.config.pluginmanager.register(_Counter(session.config.stash[_SKIPPED]))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail the run in CI if a test was skipped for a reason that nobody wrote down."""
    if exitstatus == pytest.ExitCode.OK and os.environ.get("CI") and _unexplained(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say which skips need a line in allowed_skips.txt."""
    for line in _unexplained(config):
        terminalreporter.write_line(f"skipped, not in tests/allowed_skips.txt: {line}", red=True)


def _unexplained(config: pytest.Config) -> list[str]:
    """Return `id: why` of the skips that match no line `pattern  # reason` of the list."""
    rows = [line.partition("#") for line in ALLOWED.read_text(encoding="utf-8").splitlines()]
    patterns = [pattern.strip() for pattern, _, reason in rows if reason.strip()]
    return [
        f"{test}: {why}"
        for test, why in sorted(config.stash[_SKIPPED].items())
        if not any(fnmatch.fnmatchcase(test, pattern) for pattern in patterns)
    ]
