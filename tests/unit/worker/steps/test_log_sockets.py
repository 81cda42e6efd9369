"""The log sockets take what the real client sends."""

from __future__ import annotations

import asyncio
import importlib
import logging
import socket
import stat
from pathlib import Path
from typing import Any

import pytest

from plasmid.domain import assignments
from plasmid.worker.steps import log_sockets


class Kept:
    """What the sockets gave."""

    def __init__(self) -> None:
        self.lines: dict[str, list[assignments.LogEntry]] = {"priority": [], "bulk": []}

    def add(self, name: str, entries: list[assignments.LogEntry]) -> None:
        self.lines[name] += entries

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
    sockets = log_sockets.LogSockets(tmp_path, kept.add)
    sockets.open()
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
    sockets = log_sockets.LogSockets(tmp_path, kept.add)
    sockets.open()

    def flood() -> None:
        with sender(tmp_path, "bulk") as out:
            for number in range(2000):
                out.send(str(number).encode())

    await asyncio.to_thread(flood)
    sockets.drain()
    sockets.close()
    assert [line.msg for line in kept.lines["bulk"]] == [str(n) for n in range(2000)]


async def test_any_user_may_send(tmp_path: Path) -> None:
    sockets = log_sockets.LogSockets(tmp_path, Kept().add)
    sockets.open()
    for name in log_sockets.NAMES:
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o666
    sockets.close()


async def test_a_sender_goes_on_with_the_next_worker(tmp_path: Path) -> None:
    kept = Kept()
    first = log_sockets.LogSockets(tmp_path, kept.add)
    first.open()
    out = sender(tmp_path, "bulk")
    first.close()
    with pytest.raises(ConnectionRefusedError):
        out.send(b"lost")
    second = log_sockets.LogSockets(tmp_path, kept.add)
    second.open()
    out.connect(str(tmp_path / "bulk"))
    out.send(b"kept")
    second.drain()
    second.close()
    out.close()
    assert [line.msg for line in kept.lines["bulk"]] == ["kept"]


async def test_a_folder_with_a_long_path_will_do(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    sockets = log_sockets.LogSockets(folder, Kept().add)
    sockets.open()
    assert (folder / "bulk").is_socket()
    sockets.close()
