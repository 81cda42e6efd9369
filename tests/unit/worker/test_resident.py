"""The worker keeps what it holds through restarts, and nothing else."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
from collections.abc import Iterator

import pytest

from plasmid.domain import assignments, errors
from plasmid.worker import resident, try_folder
from tests.unit.worker import fake_engine, fake_platform
from tests.unit.worker.conftest import Place

JOB = "job-BBBBBBBBBBBBBBBBBBBBBBB1"
HELD = assignments.HeldTry(JOB, 0)


@pytest.fixture
def signals() -> Iterator[tuple[signal.Signals, ...]]:
    """The signals that end a process; what they do is put back."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    yield numbers
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


async def test_every_ending_signal_ends(signals: tuple[signal.Signals, ...]) -> None:
    loop = asyncio.get_running_loop()
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    for number in signals:
        asked = asyncio.Event()
        resident.end_by_signals(asked.set)
        os.kill(os.getpid(), number)
        await asyncio.wait_for(asked.wait(), 60)
    for number in signals:
        loop.remove_signal_handler(number)


async def test_a_hangup_that_is_ignored_stays_ignored(signals: tuple[signal.Signals, ...]) -> None:
    loop = asyncio.get_running_loop()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    asked = asyncio.Event()
    resident.end_by_signals(asked.set)
    try:
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(asked.wait(), 60)
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


async def test_many_jobs_run_at_once(place: Place) -> None:
    place.engine.job = fake_engine.run_on
    jobs = [f"job-BBBBBBBBBBBBBBBBBBBBBB{number:02}" for number in range(10)]
    async with place.worker():
        await place.platform.assign(*(fake_platform.an_assignment(job=job) for job in jobs))
        await place.platform.until(lambda: len(place.platform.held) == 10)
        await place.platform.until(lambda: sum(s.starts for s in place.engine.made) == 10)
        for sandbox in place.engine.made:
            sandbox.end()
        await place.platform.until(lambda: len(place.platform.finished) == 10)
    assert place.folders() == []


async def test_an_assignment_that_comes_twice_is_run_once(place: Place) -> None:
    place.engine.job = fake_engine.run_on
    given = fake_platform.an_assignment()
    async with place.worker():
        await place.platform.assign(given)
        await place.platform.until(lambda: place.platform.held == [HELD])
        await place.platform.assign(given)
        before = place.platform.syncs
        await place.platform.until(lambda: place.platform.syncs > before + 1)
        assert len(place.engine.made) == 1


async def test_the_next_worker_adopts_a_running_sandbox(place: Place) -> None:
    place.engine.job = lambda sandbox: sandbox.write("one")
    async with place.worker(stop_all=False):
        await place.platform.assign(fake_platform.an_assignment())
        await place.platform.until(lambda: "one" in place.platform.messages(JOB))
    (sandbox,) = place.engine.made
    assert (sandbox.kills, sandbox.removals, place.platform.finished) == (0, 0, {})
    sandbox.write("two")
    async with place.worker():
        await place.platform.until(lambda: "two" in place.platform.messages(JOB))
        assert place.platform.held == [HELD]
        sandbox.write("three")
        sandbox.end()
        await place.platform.until(lambda: JOB in place.platform.finished)
    assert (sandbox.starts, len(place.engine.made)) == (1, 1)
    assert place.platform.messages(JOB, "STDOUT") == ["one", "two", "three"]
    assert place.platform.messages(JOB, "INFO").count("Logging initialized (priority)") == 1
    assert place.folders() == []


async def test_a_sandbox_that_ended_between_two_workers_is_reported(place: Place) -> None:
    place.engine.job = lambda sandbox: sandbox.write("one")
    async with place.worker(stop_all=False):
        await place.platform.assign(fake_platform.an_assignment())
        await place.platform.until(lambda: "one" in place.platform.messages(JOB))
    place.engine.made[0].end(3)
    async with place.worker():
        await place.platform.until(lambda: JOB in place.platform.finished)
    assert place.platform.finished[JOB].failure_reason == "AppInternalError"


async def test_an_end_that_could_not_be_reported_is_reported_by_the_next_worker(
    place: Place,
) -> None:
    asked = asyncio.Event()

    def refuse(route: str) -> None:
        if route.endswith("finished"):
            asked.set()
            raise errors.ServiceUnavailable("not now")

    place.platform.before = refuse
    async with place.worker(stop_all=False):
        await place.platform.assign(fake_platform.an_assignment())
        await asyncio.wait_for(asked.wait(), 60)
    assert place.platform.finished == {}
    place.platform.before = lambda _: None
    async with place.worker():
        await place.platform.until(lambda: JOB in place.platform.finished)
    assert (place.platform.finished[JOB].output, place.engine.made[0].starts) == ({}, 1)
    assert place.folders() == []


async def test_a_sandbox_that_was_made_and_not_started_is_made_anew(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    starting = asyncio.Event()

    async def hang(_: fake_engine.FakeSandbox) -> None:
        starting.set()
        await asyncio.Event().wait()

    with monkeypatch.context() as patch:
        patch.setattr("plasmid.worker.try_folder.TryFolder.mark_started", lambda *_: None)
        patch.setattr(fake_engine.FakeSandbox, "start", hang)
        async with place.worker(stop_all=False):
            await place.platform.assign(fake_platform.an_assignment())
            await asyncio.wait_for(starting.wait(), 60)
    async with place.worker():
        await place.platform.until(lambda: JOB in place.platform.finished)
    assert [s.removals for s in place.engine.made] == [1, 1]
    assert place.platform.finished[JOB].output == {}


async def test_a_started_sandbox_that_is_gone_fails_its_try_as_the_worker_does(
    place: Place,
) -> None:
    place.engine.job = lambda sandbox: sandbox.write("one")
    async with place.worker(stop_all=False):
        await place.platform.assign(fake_platform.an_assignment())
        await place.platform.until(lambda: "one" in place.platform.messages(JOB))
    place.engine.sandboxes.clear()
    async with place.worker():
        await place.platform.until(lambda: JOB in place.platform.finished)
    assert place.platform.finished[JOB].failure_reason == "UnresponsiveWorker"
    assert place.folders() == []


async def test_what_the_platform_does_not_want_any_more_is_removed_at_start(place: Place) -> None:
    place.engine.job = lambda sandbox: sandbox.write("one")
    async with place.worker(stop_all=False):
        await place.platform.assign(fake_platform.an_assignment())
        await place.platform.until(lambda: "one" in place.platform.messages(JOB))
    place.platform.revoked.add(JOB)
    async with place.worker():
        await place.platform.until(lambda: not place.platform.held and not place.folders())
    assert place.engine.made[0].removals == 1


async def test_a_stop_of_a_try_that_is_not_here_is_answered(place: Place) -> None:
    async with place.worker():
        await place.platform.stop(HELD)
        await place.platform.until(lambda: JOB in place.platform.finished)
    assert place.platform.finished[JOB].failure_reason == "Terminated"


async def test_a_folder_that_was_not_made_to_the_end_is_removed_at_start(place: Place) -> None:
    (place.settings.work_folder / "job-x.0" / "sandbox").mkdir(parents=True)
    async with place.worker():
        await place.platform.until(lambda: place.platform.syncs > 0)
    assert place.folders() == []


async def test_ending_with_all_kills_removes_and_does_not_report(place: Place) -> None:
    place.engine.job = lambda sandbox: sandbox.write("one")
    async with place.worker():
        await place.platform.assign(fake_platform.an_assignment())
        await place.platform.until(lambda: "one" in place.platform.messages(JOB))
    (sandbox,) = place.engine.made
    assert (sandbox.kills, sandbox.removals) == (1, 1)
    assert (place.folders(), place.platform.finished) == ([], {})


async def test_ending_with_all_does_not_wait_for_a_platform_that_is_gone(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plasmid.worker.run.LAST_LINES_SECONDS_MAX", 0.01)
    place.engine.job = lambda sandbox: sandbox.write("one")

    def refuse(_: str) -> None:
        raise errors.ServiceUnavailable("gone")

    async with place.worker():
        await place.platform.assign(fake_platform.an_assignment())
        await place.platform.until(lambda: "one" in place.platform.messages(JOB))
        place.platform.before = refuse
        place.engine.made[0].write("two")
        place.engine.made[0].end()
    assert place.folders() == []


async def test_two_workers_never_share_a_folder(place: Place) -> None:
    async with place.worker():
        await place.platform.until(lambda: place.platform.syncs > 0)
        with pytest.raises(resident.FolderInUseError, match="another worker works in"):
            await resident.run_worker(place.settings)


async def test_a_second_process_ends_with_75_and_says_why(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    async with place.worker():
        await place.platform.until(lambda: place.platform.syncs > 0)
        assert await resident.run_process(place.settings) == 75
    assert str(place.settings.work_folder) in capsys.readouterr().err


async def test_a_worker_without_platform_and_work_ends_by_itself(place: Place) -> None:
    def gone(_: str) -> None:
        raise errors.ServiceUnavailable("gone")

    async with asyncio.timeout(60), place.worker():
        await place.platform.until(lambda: place.platform.syncs > 0)
        place.platform.before = gone


async def test_a_worker_with_work_waits_for_its_platform(place: Place) -> None:
    away = [0]

    def gone(route: str) -> None:
        if route.endswith("sync"):
            away[0] += 1
            raise errors.ServiceUnavailable("gone")

    place.engine.job = fake_engine.run_on
    async with place.worker():
        await place.platform.assign(fake_platform.an_assignment())
        await place.platform.until(lambda: place.platform.held == [HELD])
        place.platform.before = gone
        await place.platform.until(lambda: away[0] > 100)
        place.platform.before = lambda _: None
        place.engine.made[0].end()
        await place.platform.until(lambda: JOB in place.platform.finished)


async def test_a_worker_whose_server_stops_ends_and_leaves_its_sandbox_running(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.engine.job = fake_engine.run_on
    async with asyncio.timeout(60), place.worker(stop_all=False) as stop:
        monkeypatch.setattr(stop, "leave", lambda: None)
        await place.platform.assign(fake_platform.an_assignment())
        await place.platform.until(lambda: place.platform.held == [HELD])
        await place.platform.until(lambda: bool(place.engine.made))
        place.platform.is_stopping = True
    (sandbox,) = place.engine.made
    assert (sandbox.kills, sandbox.removals, place.platform.finished) == (0, 0, {})


@pytest.mark.parametrize(
    ("number", "said"),
    [(errno.ENOSPC, "has no space left: free some"), (errno.EROFS, "Read-only file system")],
)
async def test_a_try_whose_folder_cannot_be_made_fails_with_the_reason(
    place: Place, monkeypatch: pytest.MonkeyPatch, *, number: int, said: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    async with place.worker():
        with monkeypatch.context() as patched:
            patched.setattr(try_folder.TryFolder, "_put", refuse)
            await place.platform.assign(fake_platform.an_assignment())
            await place.platform.until(lambda: JOB in place.platform.finished)
        other = "job-BBBBBBBBBBBBBBBBBBBBBBB2"
        await place.platform.assign(fake_platform.an_assignment(job=other))
        await place.platform.until(lambda: other in place.platform.finished)
    assert place.platform.finished[JOB].failure_reason == "JMInternalError"
    assert said in str(place.platform.finished[JOB].failure_message)
    assert place.platform.finished[other].failure_reason is None
    assert place.folders() == []


async def test_who_may_log_in_is_handed_to_the_try_and_named_at_the_next_sync(
    place: Place,
) -> None:
    place.engine.job = fake_engine.run_on
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFlm/N/eTR3HgyEQAFGRmyT3tOvRTjdIXCVuGI4bDoB3"
    async with place.worker():
        await place.platform.assign(fake_platform.an_assignment())
        await place.platform.until(lambda: HELD in place.platform.held)
        assert not place.platform.doors
        place.platform.ssh = [assignments.SshAccess(JOB, 0, key, ("127.0.0.1",))]
        await place.platform.until(lambda: JOB in place.platform.doors)
        await place.platform.until(lambda: place.platform.ssh_known == place.platform.ssh)
        port = place.platform.doors[JOB].ssh_port
        (await asyncio.open_connection("127.0.0.1", port))[1].close()
        place.platform.ssh = []
        await place.platform.until(lambda: place.platform.ssh_known == [])
