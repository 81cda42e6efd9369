"""The log sockets take what the real client sends."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import logging
import socket
import stat
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from plasmid.domain import assignments
from plasmid.engines import engine
from plasmid.worker import masking, spool
from plasmid.worker.steps import log_sockets
from tests.unit.worker import fake_engine


class Kept:
    """What the sockets gave."""

    def __init__(self) -> None:
        self.lines: dict[str, list[assignments.LogEntry]] = {"priority": [], "bulk": []}
        self.last: dict[str, set[int]] = {"priority": set(), "bulk": set()}
        self.then: Callable[[], None] = lambda: None
        self.masker = masking.Masker()
        self.take: Callable[[], None] = lambda: None
        self.full: set[str] = set()

    def has_room(self, source: str) -> bool:
        return source not in self.full

    def listen(self, take: Callable[[], None]) -> None:
        self.take = take

    def register(self, value: str) -> None:
        self.masker.add(value)

    def add_messages(self, source: str, messages: Sequence[spool.Message]) -> None:
        self.lines[source] += [entry for message in messages for entry in message.entries]
        self.last[source] = {message.stamp for message in messages}
        self.then()

    def stamps(self, source: str) -> set[int]:
        return self.last[source]

    def shown(self, name: str) -> list[tuple[str, str, str]]:
        return [(e.source, e.level, e.msg) for e in self.lines[name]]


def sender(folder: Path, name: str) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    made.connect(str(folder / name))
    return made


def clients_handler(folder: Path) -> Any:
    dxlog = importlib.import_module("dxpy.dxlog")
    return dxlog.DXLogHandler(str(folder / "priority"), str(folder / "bulk"))


async def test_the_real_handlers_records_arrive_by_their_urgency(tmp_path: Path) -> None:
    kept = Kept()
    sockets = log_sockets.LogSockets(tmp_path, kept)
    await sockets.open()
    logger = logging.Logger("app")  # noqa: LOG001 - one that nobody else configures
    handler = clients_handler(tmp_path)
    logger.addHandler(handler)
    await asyncio.to_thread(logger.info, "hello")
    await asyncio.to_thread(logger.info, "CPU: 3%")
    await asyncio.to_thread(logger.critical, "bad")
    sockets.drain()
    handler.close()
    sockets.close()
    assert kept.shown("bulk") == [("DX_APP", "INFO", "hello")]
    assert kept.shown("priority") == [("DX_APP", "INFO", "CPU: 3%"), ("DX_APP", "CRITICAL", "bad")]


async def test_a_flood_waits_and_loses_nothing(tmp_path: Path) -> None:
    kept = Kept()
    sockets = log_sockets.LogSockets(tmp_path, kept)
    await sockets.open()

    def flood() -> None:
        with sender(tmp_path, "bulk") as out:
            for number in range(2000):
                out.send(str(number).encode())

    await asyncio.to_thread(flood)
    sockets.drain()
    sockets.close()
    assert [line.msg for line in kept.lines["bulk"]] == [str(n) for n in range(2000)]


async def test_the_rest_of_a_datagram_that_is_too_long_takes_no_other_one_along(
    tmp_path: Path,
) -> None:
    kept = Kept()
    sockets = log_sockets.LogSockets(tmp_path, kept)
    await sockets.open()
    for content in (b"x" * 100_000, b"y" * 100_000, b"last"):
        with sender(tmp_path, "bulk") as out:
            out.send(content)
    sockets.drain()
    sockets.close()
    said = "".join(line.msg for line in kept.lines["bulk"])
    assert (said.count("x"), said.count("y")) == (log_sockets.DATAGRAM_BYTES_MAX,) * 2
    assert said.endswith("ylast")


async def test_any_user_may_send(tmp_path: Path) -> None:
    sockets = log_sockets.LogSockets(tmp_path, Kept())
    await sockets.open()
    for name in log_sockets.NAMES:
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o666
    sockets.close()


async def test_without_an_engine_that_keeps_them_a_sender_has_to_connect_again(
    tmp_path: Path,
) -> None:
    kept = Kept()
    first = log_sockets.LogSockets(tmp_path, kept)
    await first.open()
    out = sender(tmp_path, "bulk")
    first.close()
    with pytest.raises(ConnectionRefusedError):
        out.send(b"lost")
    second = log_sockets.LogSockets(tmp_path, kept)
    await second.open()
    out.connect(str(tmp_path / "bulk"))
    out.send(b"kept")
    second.drain()
    second.close()
    out.close()
    assert [line.msg for line in kept.lines["bulk"]] == ["kept"]


class KilledError(Exception):
    """What a kill looks like from inside."""


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[fake_engine.FakeSandbox]:
    """A sandbox that keeps sockets."""
    given = engine.SandboxSpec(
        name="job-1.0",
        folder=tmp_path / "sandbox",
        base_image=tmp_path,
        hostname="job-1",
        command=(),
        environment={},
        working_directory="/",
        files={},
        memory_bytes=1,
        cpu_weight=1,
    )
    given.folder.mkdir()
    made = fake_engine.FakeSandbox(given, lambda _: None)
    yield made
    await made.remove()


@pytest.mark.parametrize("is_on_disk", [True, False])
async def test_a_worker_killed_between_disk_and_queue_loses_and_doubles_nothing(
    tmp_path: Path, sandbox: fake_engine.FakeSandbox, *, is_on_disk: bool
) -> None:
    kept = Kept()
    first = log_sockets.LogSockets(tmp_path, kept)
    await first.open(sandbox)
    out = sender(tmp_path, "bulk")
    for _ in range(5):
        out.send(b"the same")

    def killed() -> None:
        if not is_on_disk:
            kept.lines["bulk"].clear()
            kept.last["bulk"].clear()
        raise KilledError

    kept.then = killed
    with pytest.raises(KilledError):
        first.drain()
    kept.then = lambda: None
    first.close()
    out.send(b"meanwhile")
    second = log_sockets.LogSockets(tmp_path, kept)
    await second.open(sandbox)
    out.send(b"later")
    out.close()
    second.drain()
    second.close()
    assert [line.msg for line in kept.lines["bulk"]] == ["the same"] * 5 + ["meanwhile", "later"]


def registration(value: str) -> bytes:
    return json.dumps({"source": "PLASMID_MASK", "msg": value}).encode()


async def test_a_registered_secret_is_no_line_and_is_masked_in_all_that_is_sent_later(
    tmp_path: Path,
) -> None:
    kept = Kept()
    sockets = log_sockets.LogSockets(tmp_path, kept)
    await sockets.open()
    with sender(tmp_path, "priority") as urgent, sender(tmp_path, "bulk") as bulk:
        urgent.send(registration("hunter2hunter2"))
        bulk.send(b"password: hunter2hunter2.")
        bulk.send(json.dumps({"msg": "x" * 8190 + "hunter2hunter2", "level": "info"}).encode())
    sockets.drain()
    sockets.close()
    assert kept.lines["priority"] == []
    said = [line.msg for line in kept.lines["bulk"]]
    assert said[0] == "password: ***."
    assert "".join(said[1:]) == "x" * 8190 + "***"


async def test_a_registration_that_a_killed_worker_left_hides_no_line_that_is_kept(
    tmp_path: Path, sandbox: fake_engine.FakeSandbox
) -> None:
    kept = Kept()
    first = log_sockets.LogSockets(tmp_path, kept)
    await first.open(sandbox)
    out = sender(tmp_path, "bulk")
    for content in (b"one", registration("hunter2"), b"two"):
        out.send(content)

    def killed() -> None:
        raise KilledError

    kept.then = killed
    with pytest.raises(KilledError):
        first.drain()
    kept.then = lambda: None
    kept.masker = masking.Masker()
    first.close()
    second = log_sockets.LogSockets(tmp_path, kept)
    await second.open(sandbox)
    out.send(b"hunter2")
    out.close()
    second.drain()
    second.close()
    assert [line.msg for line in kept.lines["bulk"]] == ["one", "two", "***"]


async def test_while_too_much_waits_nothing_is_taken_and_the_sender_waits(tmp_path: Path) -> None:
    kept = Kept()
    sockets = log_sockets.LogSockets(tmp_path, kept)
    await sockets.open()
    kept.full.add("bulk")
    with sender(tmp_path, "bulk") as out:
        out.send(b"the first is taken before it is known")
        await arrived(lambda: len(kept.lines["bulk"]) == 1)
        out.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                out.send(b"y" * 1000)
        kept.take()
        assert len(kept.lines["bulk"]) == 1
        kept.full.clear()
        kept.take()
        assert len(kept.lines["bulk"]) > 1
        before = len(kept.lines["bulk"])
        out.send(b"again")
        await arrived(lambda: len(kept.lines["bulk"]) == before + 1)
    sockets.close()


async def arrived(condition: Callable[[], bool]) -> None:
    """Let the loop run until it has read."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.to_thread(bool)


async def test_a_folder_with_a_long_path_will_do(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    sockets = log_sockets.LogSockets(folder, Kept())
    await sockets.open()
    assert (folder / "bulk").is_socket()
    sockets.close()


async def test_a_priority_socket_that_is_paused_gives_only_what_is_registered_first(
    tmp_path: Path,
) -> None:
    kept = Kept()
    sockets = log_sockets.LogSockets(tmp_path, kept)
    await sockets.open()
    kept.full = {"priority"}
    with sender(tmp_path, "priority") as urgent, sender(tmp_path, "bulk") as bulk:
        urgent.send(b"one")
        kept.take()
        urgent.send(registration("hunter2hunter2"))
        urgent.send(b"two")
        urgent.send(registration("behind a line"))
        bulk.send(b"hunter2hunter2, behind a line")
        kept.take()
        bulk.send(b"more")
        kept.take()
    assert [line.msg for line in kept.lines["priority"]] == ["one"]
    assert [line.msg for line in kept.lines["bulk"]] == ["***, behind a line", "more"]
    kept.full.clear()
    kept.take()
    assert [line.msg for line in kept.lines["priority"]] == ["one", "two"]
    sockets.close()


async def test_empty_datagrams_are_no_lines_and_double_none(
    tmp_path: Path, sandbox: fake_engine.FakeSandbox
) -> None:
    kept = Kept()
    first = log_sockets.LogSockets(tmp_path, kept)
    await first.open(sandbox)
    out = sender(tmp_path, "bulk")
    for content in (b"", b"a", b"", b"", b"b", b""):
        out.send(content)

    def killed() -> None:
        raise KilledError

    kept.then = killed
    with pytest.raises(KilledError):
        first.drain()
    kept.then = lambda: None
    first.close()
    out.send(b"c")
    second = log_sockets.LogSockets(tmp_path, kept)
    await second.open(sandbox)
    out.send(b"")
    second.drain()
    second.close()
    out.close()
    assert [line.msg for line in kept.lines["bulk"]] == ["a", "b", "c"]
