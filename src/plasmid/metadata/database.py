"""Open the database; every quirk of a dialect lives here.

Statements are SQLAlchemy Core, compiled once and executed on the driver itself (an async layer
costs 1 ms a call: decision 0003). SQLite is called inline: a read takes microseconds, a commit one
fsync. All writes go through `Database.transaction`, one at a time, and are on disk when it returns.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import dialect as sqlite_dialect
from sqlalchemy.dialects.sqlite.base import SQLiteCompiler
from sqlalchemy.sql.compiler import Compiled
from sqlalchemy.sql.elements import ClauseElement

from plasmid.domain import errors
from plasmid.metadata import migrate, rows, schema

T = TypeVar("T", bound=msgspec.Struct)
_Row = tuple[Any, ...]
_Statement: TypeAlias = "Prepared | ClauseElement"
_Values: TypeAlias = Mapping[str, Any] | None


class _Compiler(SQLiteCompiler):
    """Writes the hints of `with_hint`, which SQLAlchemy leaves out for SQLite."""

    def get_from_hint_text(self, table: Any, text: str | None) -> str | None:
        """Return a hint such as INDEXED BY, to stand behind the table's name."""
        return text


_DIALECT = sqlite_dialect(paramstyle="named")
_DIALECT.statement_compiler = _Compiler
_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA busy_timeout=10000",
    "PRAGMA cache_size=-16000",
    "PRAGMA journal_size_limit=67108864",
)


# What takes less than a hundredth of this is asked anew each time.
QUICK_SECONDS: Final = 2.0
LATE_ROWS_MAX: Final = 1000

_FULL = ("disk is full", "disk I/O")


class DatabaseUnusableError(Exception):
    """The database cannot be opened; the message says what to do."""


def param(name: str) -> sa.BindParameter[Any]:
    """Return a place in a prepared statement for a value given at each call."""
    return sa.bindparam(name, required=False)


def listed(name: str) -> sa.Select[Any]:
    """Return the values of a parameter that is a JSON array, for `column.in_(...)`: any number."""
    return sa.select(sa.func.json_each(param(name)).table_valued("value").c.value)


class Prepared:
    """A statement that is compiled once, when it is first used; keep it in a module's constant."""

    def __init__(self, statement: ClauseElement) -> None:
        self._statement = statement

    @cached_property
    def _compiled(self) -> Compiled:
        return self._statement.compile(
            dialect=_DIALECT, compile_kwargs={"render_postcompile": True}
        )

    @cached_property
    def text(self) -> str:
        """The statement as the driver takes it."""
        return str(self._compiled)

    @cached_property
    def defaults(self) -> dict[str, Any]:
        """The values that stand in the statement itself."""
        return dict(self._compiled.params)


class Reader:
    """Runs statements on one connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def rows(self, statement: _Statement, values: _Values = None) -> Sequence[_Row]:
        """Return all rows of a query."""
        return self._run(statement, values).fetchall()

    async def row(self, statement: _Statement, values: _Values = None) -> _Row | None:
        """Return the first row of a query, or None."""
        found: tuple[Any, ...] | None = self._run(statement, values).fetchone()
        return found

    @property
    def aside(self) -> Reader:
        """Who reads what may take long."""
        return self

    async def late_row(
        self, statement: Prepared, values: Mapping[str, Any]
    ) -> tuple[Any, ...] | None:
        """Return the first row of a query; it may be older than the last commit if that is slow."""
        return await self.row(statement, values)

    async def structs(
        self,
        struct: type[T],
        statement: Prepared | ClauseElement,
        values: Mapping[str, Any] | None = None,
    ) -> list[T]:
        """Return the rows of a query that selects a whole table, as its Structs."""
        return [rows.read(struct, row) for row in self._run(statement, values)]

    @contextlib.contextmanager
    def stepping(
        self, struct: type[T], statement: Prepared, values: Mapping[str, Any]
    ) -> Iterator[Iterator[T]]:
        """Give the rows of a query one by one, as they are asked for; do not await meanwhile."""
        with contextlib.closing(self._run(statement, values)) as cursor:
            yield (rows.read(struct, row) for row in cursor)

    async def struct(
        self,
        struct: type[T],
        statement: Prepared | ClauseElement,
        values: Mapping[str, Any] | None = None,
    ) -> T | None:
        """Return the first row of a query that selects a whole table, or None."""
        found = self._run(statement, values).fetchone()
        return None if found is None else rows.read(struct, found)

    def _run(self, statement: _Statement, values: _Values) -> sqlite3.Cursor:
        prepared = statement if isinstance(statement, Prepared) else Prepared(statement)
        merged = {**prepared.defaults, **values} if values else prepared.defaults
        try:
            return self._connection.execute(prepared.text, merged)
        except sqlite3.OperationalError as error:
            raise _understood(error) from error
        except OverflowError as error:
            raise errors.InvalidInput("A number of the input is out of range") from error


class Aside(Reader):
    """Runs queries that may take long on a connection of its own, in a thread: none is held up."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection)
        self._turn = asyncio.Lock()
        self._use = threading.Lock()
        self._late: dict[tuple[str, ...], tuple[float, tuple[Any, ...] | None]] = {}

    async def rows(self, statement: _Statement, values: _Values = None) -> Sequence[_Row]:
        """Return all rows of a query."""
        async with self._turn:
            return await asyncio.to_thread(self._fetched, statement, values)

    async def row(self, statement: _Statement, values: _Values = None) -> _Row | None:
        """Return the first row of a query, or None."""
        return next(iter(await self.rows(statement, values)), None)

    async def late_row(
        self, statement: Prepared, values: Mapping[str, Any]
    ) -> tuple[Any, ...] | None:
        """Return the first row of a query: what takes long is kept for a hundred times as long."""
        key = (statement.text, *map(str, values.values()))
        clock = asyncio.get_running_loop().time
        async with self._turn:
            good_until, row = self._late.pop(key, (0.0, None))
            started = clock()
            if good_until <= started:
                row = next(iter(await asyncio.to_thread(self._fetched, statement, values)), None)
                good_until = clock() + 100 * (clock() - started)
            if good_until > clock() + QUICK_SECONDS:
                self._late[key] = (good_until, row)
            while len(self._late) > LATE_ROWS_MAX:
                self._late.pop(next(iter(self._late)))
        return row

    def _fetched(self, statement: _Statement, values: _Values) -> Sequence[_Row]:
        with self._use:  # a call that was cancelled has left its thread at work
            return self._run(statement, values).fetchall()

    def close(self) -> None:
        """Close the connection; a query that is still at work in its thread ends first, at once."""
        while not self._use.acquire(timeout=0.01):
            self._connection.interrupt()
        self._connection.close()
        self._use.release()


class Main(Reader):
    """Reads on the connection of the event loop, for queries that take microseconds."""

    def __init__(self, connection: sqlite3.Connection, aside: Aside) -> None:
        super().__init__(connection)
        self._aside = aside

    @property
    def aside(self) -> Reader:
        """Who reads what may take long."""
        return self._aside


class Transaction(Reader):
    """Reads and writes that happen together or not at all.

    `after_commit` collects what to tell others once the writes are on disk, `following` what to do
    before that.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection)
        self.after_commit: list[str] = []
        self.following: list[Callable[[], Awaitable[None]]] = []

    async def execute(
        self, statement: Prepared | ClauseElement, values: Mapping[str, Any] | None = None
    ) -> int:
        """Run a statement that writes; return how many rows it touched."""
        return self._run(statement, values).rowcount

    async def execute_many(self, statement: Prepared, several: Sequence[Mapping[str, Any]]) -> None:
        """Run a statement that writes once with each of several sets of values."""
        try:
            self._connection.executemany(statement.text, several)
        except sqlite3.OperationalError as error:
            raise _understood(error) from error

    async def add(self, row: msgspec.Struct) -> None:
        """Insert a Struct into its table; raises `AlreadyThere` if its key is taken."""
        try:
            self._run(_INSERTS[type(row)], rows.columns(row))
        except sqlite3.IntegrityError as error:
            raise AlreadyThereError(str(error)) from error

    async def update(
        self, table: sa.Table, where: Mapping[str, Any], values: Mapping[str, Any]
    ) -> int:
        """Set columns of the rows whose columns have these values; return how many there were."""
        statement = _update_of(table, tuple(where), tuple(values))
        given = {f"where_{name}": value for name, value in where.items()}
        return await self.execute(statement, {**given, **values})

    def notify(self, topic: str) -> None:
        """Wake those who wait for a topic, once this is committed."""
        self.after_commit.append(topic)


class AlreadyThereError(Exception):
    """A row with this key exists."""


class Database:
    """A SQLite file, or memory if no path is given."""

    def __init__(self, path: Path | None) -> None:
        """Open it, and bring it up to date; raises DatabaseUnusableError."""
        self._writer = _connect(path)
        try:
            migrate.bring_up_to_date(self._writer)
            reading = _connect(path) if path else self._writer
        except sqlite3.DatabaseError as error:
            self._writer.close()
            raise _unusable(path, error) from error
        self.reader = Reader(reading)
        self._closing = [self._writer.close]
        if path:
            aside = Aside(_connect(path, any_thread=True))
            self.reader = Main(reading, aside)
            self._closing = [aside.close, reading.close, self._writer.close]
        self._lock = asyncio.Lock()
        self.listeners: list[Callable[[str], None]] = []

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Give a transaction; what it wrote is on disk when the block has ended without error."""
        async with self._lock:
            transaction = Transaction(self._writer)
            _statement(self._writer, "BEGIN IMMEDIATE")
            try:
                yield transaction
                _statement(self._writer, "COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise
        for work in transaction.following:
            await work()
        for topic in transaction.after_commit:
            for listener in self.listeners:
                listener(topic)

    def close(self) -> None:
        """Close the file."""
        for close in self._closing:
            close()


def _connect(path: Path | None, *, any_thread: bool = False) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(
            path or ":memory:",
            isolation_level=None,
            cached_statements=512,
            check_same_thread=not any_thread,
        )
    except sqlite3.DatabaseError as error:
        raise _unusable(path, error) from error
    try:
        for pragma in _PRAGMAS:
            connection.execute(pragma)
    except sqlite3.DatabaseError as error:
        connection.close()
        raise _unusable(path, error) from error
    return connection


def _unusable(path: Path | None, error: sqlite3.DatabaseError) -> DatabaseUnusableError:
    """Return one line that says what to do about a database that cannot be opened."""
    if isinstance(error, migrate.MigrationError):
        return DatabaseUnusableError(f"{path}: {error}")
    remedy = "check its folder, restore it from a backup, or move it away"
    if any(sign in str(error) for sign in _FULL):
        remedy = "free space on its disk and start again"
    elif "locked" in str(error):
        remedy = "stop the other program that uses it"
    return DatabaseUnusableError(f"{path}: cannot be opened as a database ({error}); {remedy}")


def _statement(connection: sqlite3.Connection, text: str) -> None:
    try:
        connection.execute(text)
    except sqlite3.OperationalError as error:
        raise _understood(error) from error


def _understood(error: sqlite3.OperationalError) -> Exception:
    """Return the answer for troubles that pass (no space, lock held); bugs stay as they are."""
    text = str(error)
    if any(sign in text for sign in _FULL):
        return errors.ServiceUnavailable(
            "The disk that holds the database is full; nothing was changed. "
            "Free space in the data folder and try again"
        )
    if "locked" in text:
        return errors.ServiceUnavailable("The database is locked by another program; try again")
    return error


@cache
def _update_of(table: sa.Table, where: tuple[str, ...], names: tuple[str, ...]) -> Prepared:
    conditions = (table.c[name] == param(f"where_{name}") for name in where)
    return Prepared(
        sa.update(table).where(*conditions).values({name: param(name) for name in names})
    )


def _insert_of(table: sa.Table) -> Prepared:
    return Prepared(sa.insert(table))


_INSERTS: dict[type[msgspec.Struct], Prepared] = {
    rows.UserRow: _insert_of(schema.users),
    rows.OrgRow: _insert_of(schema.orgs),
    rows.OrgMemberRow: _insert_of(schema.org_members),
    rows.TokenRow: _insert_of(schema.tokens),
    rows.ContainerRow: _insert_of(schema.containers),
    rows.ObjectRow: _insert_of(schema.objects),
    rows.PlacementRow: _insert_of(schema.placements),
    rows.PartRow: _insert_of(schema.parts),
    rows.JobRow: _insert_of(schema.jobs),
    rows.AnalysisRow: _insert_of(schema.analyses),
    rows.NonceRow: _insert_of(schema.nonces),
    rows.AppNameRow: _insert_of(schema.app_names),
    rows.AppRow: _insert_of(schema.apps),
    rows.AppAliasRow: _insert_of(schema.app_aliases),
    rows.AppInstallRow: _insert_of(schema.app_installs),
}
