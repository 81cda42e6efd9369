"""Transactions: all or nothing, on disk when they end, one at a time."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from plasmid.domain import errors
from plasmid.metadata import schema, settings, statements
from plasmid.metadata.database import (
    Database,
    DatabaseUnusableError,
    Prepared,
    Reader,
    Transaction,
    param,
)
from tests import turns
from tests.small_disk import small_disk


class OnPurposeError(Exception):
    """Raised on purpose."""


async def keys(database: Database) -> set[str]:
    return {row[0] for row in await database.reader.rows(sa.select(schema.settings.c.key))}


async def add(database: Database, key: str, value: str = "") -> None:
    async with database.transaction() as tx:
        await settings.add_setting(tx, key, value)


@pytest.fixture(params=["file", "memory"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "db" if request.param == "file" else None)
    yield opened
    opened.close()


async def test_what_a_transaction_wrote_is_there_for_the_next_process(tmp_path: Path) -> None:
    database = Database(tmp_path / "db")
    await add(database, "a", "1")
    other = Database(tmp_path / "db")
    assert await settings.find_setting(other.reader, "a") == "1"
    assert await settings.find_setting(other.reader, "b") is None
    other.close()
    database.close()


@pytest.mark.parametrize("trouble", [OnPurposeError, asyncio.CancelledError, KeyboardInterrupt])
async def test_a_transaction_that_breaks_leaves_nothing(
    database: Database, trouble: type[BaseException]
) -> None:
    await add(database, "before")
    told: list[str] = []
    database.listeners.append(told.append)

    async def break_off() -> None:
        async with database.transaction() as tx:
            await settings.add_setting(tx, "half", "")
            tx.notify("topic")
            raise trouble

    with pytest.raises(trouble):
        await break_off()
    assert await keys(database) == {"before"}
    assert told == []
    await add(database, "after")
    assert await keys(database) == {"before", "after"}


async def test_listeners_hear_of_a_change_once_it_is_to_be_seen(database: Database) -> None:
    heard: list[tuple[str, bool]] = []

    def listen(topic: str) -> None:
        found = database.reader._run(sa.select(schema.settings), None).fetchall()
        heard.append((topic, bool(found) and not database._writer.in_transaction))

    database.listeners.append(listen)
    async with database.transaction() as tx:
        tx.notify("one")
        await settings.add_setting(tx, "a", "")
        tx.notify("two")
        assert heard == []
    assert heard == [("one", True), ("two", True)]


async def test_transactions_wait_for_each_other(database: Database) -> None:
    inside = 0
    order: list[int] = []

    async def one(number: int) -> None:
        nonlocal inside
        async with database.transaction() as tx:
            inside += 1
            assert inside == 1
            await asyncio.to_thread(order.append, number)
            await settings.add_setting(tx, f"{number}", "")
            inside -= 1

    async with asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(one(number))
    assert order == list(range(20))
    assert len(await keys(database)) == 20


async def test_readers_see_nothing_of_a_transaction_before_its_end(tmp_path: Path) -> None:
    database = Database(tmp_path / "db")
    async with database.transaction() as tx:
        await settings.add_setting(tx, "a", "")
        assert await keys(database) == set()
        assert len(await tx.rows(sa.select(schema.settings))) == 1
    assert await keys(database) == {"a"}
    database.close()


async def test_a_commit_is_synced(tmp_path: Path) -> None:
    database = Database(tmp_path / "db")
    pragmas = {
        name: database._writer.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous", "foreign_keys")
    }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
    database.close()


async def test_updates_say_how_many_rows_they_touched(database: Database) -> None:
    async with database.transaction() as tx:
        await settings.add_setting(tx, "a", "1")
        assert await tx.update(schema.settings, {"key": "a"}, {"value": "2"}) == 1
        assert await tx.update(schema.settings, {"key": "b"}, {"value": "2"}) == 0
    assert await settings.find_setting(database.reader, "a") == "2"


async def test_a_statement_is_compiled_once_and_keeps_its_own_values(database: Database) -> None:
    await add(database, "a", "1")
    statement = Prepared(
        sa.select(schema.settings.c.key).where(
            schema.settings.c.value == "1", schema.settings.c.key == param("k")
        )
    )
    assert await database.reader.row(statement, {"k": "a"}) == ("a",)
    assert await database.reader.row(statement, {"k": "b"}) is None
    assert statement.text is statement.text


async def test_a_number_that_no_column_holds_is_the_callers_fault(database: Database) -> None:
    with pytest.raises(errors.InvalidInput, match="out of range"):
        await database.reader.rows(sa.select(schema.jobs).where(schema.jobs.c.rank == 2**70))


# ------------------------------------------------------------------------------------- trouble


async def test_a_lock_held_by_another_program_is_said_and_nothing_is_lost(tmp_path: Path) -> None:
    database = Database(tmp_path / "db")
    database._writer.execute("PRAGMA busy_timeout=1")
    with contextlib.closing(sqlite3.connect(tmp_path / "db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(errors.ServiceUnavailable, match="locked by another program"):
            await add(database, "a")
        assert await keys(database) == set()
        other.execute("ROLLBACK")
    await add(database, "a")
    assert await keys(database) == {"a"}
    database.close()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", size_bytes=2 << 20) as mounted:
        yield mounted


async def test_a_full_disk_is_said_and_nothing_acknowledged_is_lost(disk: Path) -> None:
    database = Database(disk / "db")
    await add(database, "first")
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"x" * 4096):
            pass
    acknowledged = {"first"}
    refusals: set[str] = set()
    for number in range(50):
        try:
            await add(database, f"{number}", "y" * 3000)
        except errors.ServiceUnavailable as error:
            refusals.add(error.message)
        else:
            acknowledged.add(f"{number}")
    assert len(refusals) == 1
    assert "disk that holds the database is full" in refusals.pop()
    assert await keys(database) == acknowledged
    filler.unlink()
    await add(database, "later", "y" * 3000)
    database.close()
    reopened = Database(disk / "db")
    assert await keys(reopened) == acknowledged | {"later"}
    reopened.close()


async def test_a_disk_that_is_full_at_the_start_is_said_in_one_line(disk: Path) -> None:
    with (disk / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"x" * 4096):
            pass
    with pytest.raises(DatabaseUnusableError) as caught:
        Database(disk / "db")
    message = str(caught.value)
    assert str(disk / "db") in message
    assert "full" in message
    assert "free space" in message
    assert "backup" not in message
    assert "\n" not in message


def damaged(path: Path, how: str) -> None:
    Database(path).close()
    content = path.read_bytes()
    damage = {
        "not a database": b"this is no database at all, whatever its name says\n" * 200,
        "header lost": b"\0" * 100 + content[100:],
        "cut in half": content[: len(content) // 2],
        "first page lost": b"\0" * 4096 + content[4096:],
        "schema scrambled": content[:100]
        + bytes(byte ^ 0x55 for byte in content[100:4096])
        + content[4096:],
    }
    path.write_bytes(damage[how])


@pytest.mark.parametrize(
    "how",
    ["not a database", "header lost", "cut in half", "first page lost", "schema scrambled"],
)
def test_a_corrupt_file_is_refused_in_one_line(tmp_path: Path, how: str) -> None:
    path = tmp_path / "plasmid.sqlite"
    damaged(path, how)
    before = path.read_bytes()
    with pytest.raises(DatabaseUnusableError) as caught:
        Database(path)
    message = str(caught.value)
    assert str(path) in message
    assert "backup" in message
    assert "\n" not in message
    assert path.read_bytes() == before


def test_a_folder_in_its_place_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnusableError, match="cannot be opened"):
        Database(tmp_path)


def test_a_database_of_somebody_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "db"
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE users (name TEXT)")
    with pytest.raises(DatabaseUnusableError, match="users"):
        Database(path)
    with contextlib.closing(sqlite3.connect(path)) as other:
        tables = other.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    assert tables == [("users",)]


async def test_who_reads_aside_sees_what_was_just_written(tmp_path: Path) -> None:
    database = Database(tmp_path / "db")
    try:
        for count in range(50):
            await add(database, f"key-{count}")
            found = await database.reader.aside.rows(sa.select(schema.settings.c.key))
            assert (f"key-{count}",) in found
    finally:
        database.close()


async def test_a_query_in_its_thread_ends_when_the_database_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(tmp_path / "db")
    endless = sa.text(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    )
    started = threading.Event()
    aside = database.reader.aside
    run = aside._run

    def told(*args: Any) -> sqlite3.Cursor:
        started.set()
        return run(*args)

    monkeypatch.setattr(aside, "_run", told)
    async with asyncio.TaskGroup() as group:
        query = group.create_task(_interrupted(aside, endless))
        assert await asyncio.to_thread(started.wait, 10)
        database.close()
        await query


async def _interrupted(reader: Reader, statement: sa.TextClause) -> None:
    with pytest.raises((sqlite3.OperationalError, sqlite3.ProgrammingError)):
        await reader.rows(statement)


async def wrote_much(tx: Transaction) -> None:
    """Write more than is committed on the loop."""
    numbers = range(statements.ROWS_MAX + 1)
    await tx.execute_many(
        Prepared(sa.insert(schema.settings)), [{"key": f"{n}", "value": ""} for n in numbers]
    )


def hold_commits(
    monkeypatch: pytest.MonkeyPatch, *, once_done: bool = False
) -> tuple[threading.Event, threading.Event]:
    """Hold commits before they begin, or once they are done; return "held" and "may go on"."""
    is_held, may_go_on = threading.Event(), threading.Event()
    commit = statements.Committer._commit

    def held(self: statements.Committer) -> None:
        if once_done:
            commit(self)
        is_held.set()
        assert may_go_on.wait(60)
        if not once_done:
            commit(self)

    monkeypatch.setattr(statements.Committer, "_commit", held)
    return is_held, may_go_on


async def test_a_large_commit_lets_others_read_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(tmp_path / "db")
    began, may_end = hold_commits(monkeypatch)

    async def write() -> None:
        async with database.transaction() as tx:
            await wrote_much(tx)

    async with asyncio.TaskGroup() as group:
        group.create_task(write())
        assert await asyncio.to_thread(began.wait, 60)
        assert await keys(database) == set()
        may_end.set()
    assert len(await keys(database)) == statements.ROWS_MAX + 1
    database.close()


async def test_who_is_cancelled_in_a_large_commit_has_committed_and_others_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(tmp_path / "db")
    began, may_end = hold_commits(monkeypatch)
    heard: list[str] = []
    database.listeners.append(heard.append)

    async def write() -> None:
        async with database.transaction() as tx:
            await wrote_much(tx)
            tx.notify("written")

    async with asyncio.TaskGroup() as group:
        writing = group.create_task(write())
        assert await asyncio.to_thread(began.wait, 60)
        writing.cancel()
        may_end.set()
    assert writing.cancelled()
    assert heard == ["written"]
    assert len(await keys(database)) == statements.ROWS_MAX + 1
    async with database.transaction() as tx:
        await settings.add_setting(tx, "later", "")
    database.close()


async def test_a_long_statement_of_a_transaction_lets_others_read_and_is_rolled_back_with_it(
    tmp_path: Path,
) -> None:
    database = Database(tmp_path / "db")
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000)"

    async def write_and_break() -> None:
        async with database.transaction() as tx:
            await tx.aside.execute(
                sa.text(f"INSERT INTO settings {numbers} SELECT 'k' || i, '' FROM n")
            )
            assert len(await tx.rows(sa.select(schema.settings))) == 300_000
            raise OnPurposeError

    with turns.counted() as beside, pytest.raises(OnPurposeError):
        await write_and_break()
    assert beside.count > 1
    assert await keys(database) == set()
    database.close()


async def test_what_is_committed_in_a_thread_is_seen_at_the_end_of_the_transaction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who reads twice without giving way must see one state of things."""
    database = Database(tmp_path / "db")
    committed, may_end = hold_commits(monkeypatch, once_done=True)

    async def write() -> None:
        async with database.transaction() as tx:
            await wrote_much(tx)

    async with asyncio.TaskGroup() as group:
        group.create_task(write())
        assert await asyncio.to_thread(committed.wait, 60)
        seen = await keys(database)
        may_end.set()
    assert seen == set()
    assert len(await keys(database)) == statements.ROWS_MAX + 1
    async with database.transaction() as tx:
        await settings.add_setting(tx, "later", "")
    assert "later" in await keys(database)
    database.close()


async def test_no_transaction_waits_for_threads_that_others_have_taken(tmp_path: Path) -> None:
    database = Database(tmp_path / "db")
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(1))
    may_end = threading.Event()
    taken = loop.run_in_executor(None, may_end.wait, 60)
    async with database.transaction() as tx:
        await wrote_much(tx.aside)
    was_taken = not taken.done()
    may_end.set()
    await taken
    assert was_taken
    assert len(await keys(database)) == statements.ROWS_MAX + 1
    database.close()
