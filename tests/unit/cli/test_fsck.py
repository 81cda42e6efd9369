"""`plasmid fsck` on folders: what it prints, what it changes, how it exits."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import pytest

from plasmid import bootstrap, config
from plasmid.cli import fsck, processes, server
from plasmid.cli.trouble import CommandError
from plasmid.integrity import checking

SETTINGS = config.load({"PLASMID_ENGINE": "simulated"})


def request_for(data: Path, **how: Any) -> fsck.Request:
    return fsck.Request(data=data, work=data / "work", **how)


@pytest.fixture
async def data(tmp_path: Path) -> Path:
    """The folder of a platform that was stopped."""
    platform, _ = await bootstrap.open_platform(SETTINGS, tmp_path / "data")
    platform.database.close()
    return tmp_path / "data"


def change(data: Path, statement: str) -> None:
    connection = sqlite3.connect(data / "plasmid.sqlite")
    connection.execute(statement)
    connection.commit()
    connection.close()


async def test_a_new_platform_is_sound(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert await fsck.fsck(SETTINGS, request_for(data)) == 0
    assert capsys.readouterr().out == f"{data} is sound\n"


async def test_a_finding_is_printed_with_what_to_do_and_nothing_is_changed(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "blobs" / "xy").mkdir()
    (data / "blobs" / "xy" / "blob-xy").touch()
    assert await fsck.fsck(SETTINGS, request_for(data)) == 1
    first, last = capsys.readouterr().out.splitlines()
    assert first == "I5  blob-xy  are bytes of no file; repair removes them"
    assert last == "1 findings; 1 of them go with: plasmid fsck --repair"
    assert (data / "blobs" / "xy" / "blob-xy").exists()


async def test_repairs_are_done_and_reported_as_json(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(data, "INSERT INTO links VALUES ('record-x', 'record-y')")
    change(data, "UPDATE users SET id = id")
    assert await fsck.fsck(SETTINGS, request_for(data, repairs=True, as_json=True)) == 0
    [line] = capsys.readouterr().out.splitlines()
    said = json.loads(line)
    assert said["invariant"] == "places"
    assert said["subject"] == "record-x"
    assert said["repaired"] is True
    assert await fsck.fsck(SETTINGS, request_for(data)) == 0


async def test_what_cannot_be_repaired_is_left_and_said(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(data, "UPDATE alembic_version SET version_num = '9999'")
    assert await fsck.fsck(SETTINGS, request_for(data, repairs=True)) == 1
    assert "1 findings are left, 0 repaired" in capsys.readouterr().out


async def test_a_folder_without_platform_cannot_be_checked(tmp_path: Path) -> None:
    with pytest.raises(CommandError) as raised:
        await fsck.fsck(SETTINGS, request_for(tmp_path))
    assert raised.value.exit_code == 2


async def test_a_damaged_file_cannot_be_checked(data: Path) -> None:
    (data / "plasmid.sqlite").write_bytes(b"nothing of the kind" * 500)
    with pytest.raises(CommandError) as raised:
        await fsck.fsck(SETTINGS, request_for(data))
    assert raised.value.exit_code == 2


async def test_a_folder_is_live_as_long_as_its_server_holds_it(data: Path) -> None:
    assert processes.holder_of(data / "lock") is None
    with server.locked(data):
        assert processes.holder_of(data / "lock") == os.getpid()
    assert processes.holder_of(data / "lock") is None


async def test_bytes_that_a_live_server_may_just_have_taken_are_no_finding(data: Path) -> None:
    (data / "blobs" / "incoming" / "blob-xy").touch()
    with server.locked(data):
        assert await fsck.fsck(SETTINGS, request_for(data)) == 0
    assert await fsck.fsck(SETTINGS, request_for(data, repairs=True)) == 0
    assert list((data / "blobs" / "incoming").iterdir()) == []


async def test_repairs_of_a_stopped_platform_keep_servers_away(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    repair = checking.repair

    async def watched(*arguments: Any) -> Any:
        seen.append(processes.holder_of(data / "lock") == os.getpid())
        return await repair(*arguments)

    monkeypatch.setattr(checking, "repair", watched)
    change(data, "INSERT INTO links VALUES ('record-x', 'record-y')")
    assert await fsck.fsck(SETTINGS, request_for(data, repairs=True)) == 0
    assert seen
    assert all(seen)
    assert msgspec.json.encode(fsck.Line("I1", "job-x", "why", True))
