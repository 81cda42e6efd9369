"""One try from its assignment to its report, and nothing of it left."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
from collections.abc import Iterator

import pytest

from plasmid.domain import assignments, errors
from plasmid.engines import engine
from tests.unit.worker import fake_engine, fake_platform
from tests.unit.worker.conftest import Place

JOB = "job-BBBBBBBBBBBBBBBBBBBBBBB1"


async def finished(place: Place, assignment: assignments.Assignment) -> assignments.Finished:
    """Run one job to its end."""
    async with place.worker():
        await place.platform.assign(assignment)
        await place.platform.until(lambda: assignment.job in place.platform.finished)
    return place.platform.finished[assignment.job]


async def test_the_output_is_reported_and_all_of_the_try_is_removed(place: Place) -> None:
    def job(sandbox: fake_engine.FakeSandbox) -> None:
        sandbox.write("hello")
        sandbox.put("/home/dnanexus/job_output.json", b'{"a": 1}')
        sandbox.end()

    place.engine.job = job
    report = await finished(place, fake_platform.an_assignment())
    assert (report.output, report.failure_reason, report.worker) == ({"a": 1}, None, "w1")
    assert report.peak_memory_bytes == 1 << 20
    assert place.folders() == []
    assert [sandbox.removals for sandbox in place.engine.made] == [1]
    assert place.platform.messages(JOB, "STDOUT") == ["hello"]


async def test_the_log_begins_with_the_platforms_own_lines(place: Place) -> None:
    await finished(place, fake_platform.an_assignment())
    first, second, third = place.platform.lines[JOB][:3]
    assert first.msg == "Logging initialized (priority)"
    assert second.msg.startswith("CPU: 0% (1 cores) * Memory: 0/512MB * Storage: ")
    assert third.msg == "The base image debian-12 stands in for Ubuntu 20.04"
    assert {line.source for line in (first, second, third)} == {"SYSTEM"}


async def test_a_job_without_a_release_is_told_what_it_runs_on(place: Place) -> None:
    assignment = fake_platform.an_assignment()
    del assignment.executable_description["runSpec"]["release"]
    await finished(place, assignment)
    said = place.platform.lines[JOB][2].msg
    assert said == "The executable names no release: it runs on Ubuntu 20.04"


async def test_all_of_the_log_is_there_before_the_end_is_reported(place: Place) -> None:
    def job(sandbox: fake_engine.FakeSandbox) -> None:
        for number in range(10_000):
            sandbox.write(str(number))
        sandbox.end()

    place.engine.job = job
    seen = []

    def note(route: str) -> None:
        if route.endswith("finished"):
            seen.append(len(place.platform.messages(JOB, "STDOUT")))

    place.platform.before = note
    await finished(place, fake_platform.an_assignment())
    assert seen == [10_000]


async def test_a_failure_is_reported_and_told_in_the_log(place: Place) -> None:
    def job(sandbox: fake_engine.FakeSandbox) -> None:
        error = {"error": {"type": "AppError", "message": "wrong input"}}
        sandbox.put("/home/dnanexus/job_error.json", json.dumps(error).encode())
        sandbox.end(1)

    place.engine.job = job
    report = await finished(place, fake_platform.an_assignment())
    assert (report.failure_reason, report.failure_message) == ("AppError", "wrong input")
    assert report.ran is not None
    assert (bool(report.ran.image), bool(report.ran.image_digest)) == (True, True)
    assert report.ran.exit_code == 1
    assert place.platform.messages(JOB, "ERROR") == ["AppError: wrong input"]


async def test_a_secret_is_in_no_failure_message(place: Place) -> None:
    assignment = fake_platform.an_assignment()
    assignment.secrets = ["of the site"]

    def job(sandbox: fake_engine.FakeSandbox) -> None:
        message = f"{assignment.token} and of the site"
        error = {"error": {"type": "AppError", "message": message}}
        sandbox.put("/home/dnanexus/job_error.json", json.dumps(error).encode())
        sandbox.end(1)

    place.engine.job = job
    report = await finished(place, assignment)
    assert report.failure_message == "*** and ***"
    assert place.platform.messages(JOB, "ERROR") == ["AppError: *** and ***"]


async def test_an_engine_that_cannot_is_no_fault_of_the_job(place: Place) -> None:
    place.engine.problem = "no crun: apt-get install crun"
    report = await finished(place, fake_platform.an_assignment())
    assert report.failure_reason == "JMInternalError"
    assert "apt-get install crun" in str(report.failure_message)
    assert "plasmid doctor" in str(report.failure_message)
    assert place.folders() == []


async def test_a_bug_of_the_worker_fails_the_job_and_not_the_worker(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("bug")

    monkeypatch.setattr(fake_engine.FakeImages, "find", broken)
    report = await finished(place, fake_platform.an_assignment())
    assert report.failure_reason == "JMInternalError"
    assert place.folders() == []


async def test_a_job_that_runs_too_long_is_ended(place: Place) -> None:
    place.engine.job = fake_engine.run_on
    report = await finished(place, fake_platform.an_assignment(timeout_ms=30))
    assert report.failure_reason == "JobTimeoutExceeded"
    assert place.engine.made[0].kills == 1


async def test_a_bundle_that_is_gone_fails_the_job_by_name(place: Place) -> None:
    bundled = [{"name": "r.tar.gz", "id": {"$dnanexus_link": "file-BBBBBBBBBBBBBBBBBBBBBBB9"}}]
    report = await finished(place, fake_platform.an_assignment(bundled_depends=bundled))
    assert report.failure_reason == "ExecutionError"
    assert "r.tar.gz (file-BBBBBBBBBBBBBBBBBBBBBBB9)" in str(report.failure_message)


async def test_a_wrong_dependency_fails_the_job(place: Place) -> None:
    given = fake_platform.an_assignment(exec_depends=[{"name": "a", "package_manager": "yum"}])
    report = await finished(place, given)
    assert report.failure_reason == "ExecutionError"
    assert "yum" in str(report.failure_message)


async def test_a_report_is_repeated_until_it_is_kept(place: Place) -> None:
    refusals = iter("xxx")

    def refuse(route: str) -> None:
        if route.endswith("finished") and next(refusals, None):
            raise errors.ServiceUnavailable("not now")

    place.platform.before = refuse
    report = await finished(place, fake_platform.an_assignment())
    assert report.output == {}
    assert place.folders() == []


async def test_a_try_whose_removal_fails_is_reported_and_removed_all_the_same(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    troubles = iter([OSError(errno.EIO, "made to fail")])
    remove = fake_engine.FakeSandbox.remove

    async def fail_once(sandbox: fake_engine.FakeSandbox) -> None:
        for trouble in troubles:
            raise trouble
        await remove(sandbox)

    monkeypatch.setattr(fake_engine.FakeSandbox, "remove", fail_once)
    assignment = fake_platform.an_assignment()
    async with place.worker():
        await place.platform.assign(assignment)
        await place.platform.until(lambda: JOB in place.platform.finished and not place.folders())
    assert place.platform.finished[JOB].output == {}


async def test_a_try_that_the_platform_stops_is_killed_and_told_with_its_last_lines(
    place: Place,
) -> None:
    def job(sandbox: fake_engine.FakeSandbox) -> None:
        sandbox.write("last line")

    place.engine.job = job
    given = fake_platform.an_assignment()
    async with place.worker():
        await place.platform.assign(given)
        await place.platform.until(lambda: bool(place.platform.held))
        await place.platform.until(lambda: "last line" in place.platform.messages(JOB))
        await place.platform.stop(assignments.HeldTry(JOB, 0))
        await place.platform.until(lambda: not place.platform.held)
    assert place.engine.made[0].kills == 1
    assert place.platform.finished[JOB].failure_reason == "Terminated"
    assert place.folders() == []


@pytest.fixture
def last_words(monkeypatch: pytest.MonkeyPatch) -> str:
    """What every job sends so late that nobody looks before all of the rest has ended."""
    said = "last words"

    @contextlib.contextmanager
    def network(sandbox: fake_engine.FakeSandbox) -> Iterator[None]:
        try:
            yield
        finally:
            folder = os.open(sandbox.spec.mounts[0].source, os.O_PATH)
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
                out.connect(f"/proc/self/fd/{folder}/bulk")  # its own path may be too long
                out.send(said.encode())
            os.close(folder)

    def opened(_: object, sandbox: fake_engine.FakeSandbox, *__: object, **___: object) -> object:
        stack = contextlib.AsyncExitStack()
        stack.enter_context(network(sandbox))
        return stack

    monkeypatch.setattr(fake_engine.NoNetwork, "__call__", opened)
    return said


async def test_the_last_log_records_of_a_try_that_is_stopped_are_kept(
    place: Place, last_words: str
) -> None:
    place.engine.job = fake_engine.run_on
    async with place.worker():
        await place.platform.assign(fake_platform.an_assignment())
        await place.platform.until(lambda: bool(place.platform.lines[JOB]))
        await place.platform.stop(assignments.HeldTry(JOB, 0))
        await place.platform.until(lambda: JOB in place.platform.finished)
    assert last_words in place.platform.messages(JOB)


async def test_the_last_log_records_before_a_lost_supervisor_are_kept(
    place: Place, last_words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def wait(_: fake_engine.FakeSandbox) -> engine.Exit:
        raise engine.SupervisorLostError("lost")

    monkeypatch.setattr(fake_engine.FakeSandbox, "wait", wait)
    report = await finished(place, fake_platform.an_assignment())
    assert report.failure_reason == "UnresponsiveWorker"
    assert last_words in place.platform.messages(JOB)


async def test_a_try_that_is_no_longer_ours_is_killed_and_removed(place: Place) -> None:
    place.engine.job = fake_engine.run_on
    place.platform.revoked.add(JOB)
    async with place.worker():
        await place.platform.assign(fake_platform.an_assignment())
        await place.platform.until(
            lambda: bool(place.engine.made) and not place.platform.held and not place.folders()
        )
    assert place.engine.made[0].removals == 1


async def test_a_trap_for_an_output_file_is_an_output_error(place: Place) -> None:
    def job(sandbox: fake_engine.FakeSandbox) -> None:
        (sandbox.root / "home/dnanexus/job_output.json").symlink_to("/etc/passwd")
        sandbox.end()

    place.engine.job = job
    report = await finished(place, fake_platform.an_assignment())
    assert report.failure_reason == "OutputError"
    assert "root:" not in str(report.failure_message)
