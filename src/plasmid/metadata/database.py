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
from concurrent.futures import Executor
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
from plasmid.metadata import migrate, rows, schema, statements
from plasmid.metadata.statements import in_thread

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

    async def late_row(self, statement: Prepared, values: Mapping[str, Any]) -> _Row | None:
        """Return the first row of a query; it may be older than the last commit if that is slow."""
        return await self.row(statement, values)

    async def structs(
        self, struct: type[T], statement: _Statement, values: _Values = None
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
        self, struct: type[T], statement: _Statement, values: _Values = None
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
            raise statements.understood(error) from error
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

    async def late_row(self, statement: Prepared, values: Mapping[str, Any]) -> _Row | None:
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

    def __init__(self, connection: sqlite3.Connection, thread: Executor | None) -> None:
        super().__init__(connection)
        self._thread = thread
        self.after_commit: list[str] = []
        self.following: list[Callable[[], Awaitable[None]]] = []
        self._first_change = connection.total_changes
        self._size_bytes = 0

    @property
    def size(self) -> tuple[int, int]:
        """How many rows were changed so far, and how many bytes of text were given for them."""
        return self._connection.total_changes - self._first_change, self._size_bytes

    @property
    def aside(self) -> Transaction:
        """The same transaction, for what takes long: others have their turn meanwhile."""
        return self if self._thread is None else _Patient(self)

    def _run(self, statement: _Statement, values: _Values) -> sqlite3.Cursor:
        given = (values or {}).values()
        self._size_bytes += sum(len(value) for value in given if isinstance(value, str))
        return super()._run(statement, values)

    async def execute(self, statement: _Statement, values: _Values = None) -> int:
        """Run a statement that writes; return how many rows it touched."""
        return self._run(statement, values).rowcount

    async def execute_many(self, statement: Prepared, several: Sequence[Mapping[str, Any]]) -> None:
        """Run a statement that writes once with each of several sets of values."""
        self._run_many(statement, several)

    def _run_many(self, statement: Prepared, several: Sequence[Mapping[str, Any]]) -> None:
        try:
            self._connection.executemany(statement.text, several)
        except sqlite3.OperationalError as error:
            raise statements.understood(error) from error

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


class _Patient(Transaction):
    """Runs the statements of a transaction in a thread, one at a time."""

    def __init__(self, whole: Transaction) -> None:
        self.__dict__ = whole.__dict__

    async def rows(self, statement: _Statement, values: _Values = None) -> Sequence[_Row]:
        """Return all rows of a query."""
        return await in_thread(self._thread, lambda: self._run(statement, values).fetchall())

    async def execute(self, statement: _Statement, values: _Values = None) -> int:
        """Run a statement that writes; return how many rows it touched."""
        return await in_thread(self._thread, lambda: self._run(statement, values).rowcount)

    async def execute_many(self, statement: Prepared, several: Sequence[Mapping[str, Any]]) -> None:
        """Run a statement that writes once with each of several sets of values."""
        await in_thread(self._thread, lambda: self._run_many(statement, several))


class AlreadyThereError(Exception):
    """A row with this key exists."""


class Database:
    """A SQLite file, or memory if no path is given."""

    def __init__(self, path: Path | None) -> None:
        """Open it, and bring it up to date; raises DatabaseUnusableError."""
        self._writer = _connect(path, any_thread=path is not None)
        try:
            migrate.bring_up_to_date(self._writer)
            reading = _connect(path) if path else self._writer
        except sqlite3.DatabaseError as error:
            self._writer.close()
            raise _unusable(path, error) from error
        self.reader = Reader(reading)
        self._committer = statements.Committer(self._writer, reading if path else None)
        self._closing = [self._committer.close, self._writer.close]
        if path:
            aside = Aside(_connect(path, any_thread=True))
            self.reader = Main(reading, aside)
            self._closing = [aside.close, self._committer.close, reading.close, self._writer.close]
        self._lock = asyncio.Lock()
        self.listeners: list[Callable[[str], None]] = []

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Give a transaction; what it wrote is on disk when the block has ended without error."""
        async with self._lock:
            transaction = Transaction(self._writer, self._committer.thread)
            statements.run(self._writer, "BEGIN IMMEDIATE")
            try:
                yield transaction
                cancelled = await self._committer.commit(*transaction.size)
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise
        for work in transaction.following:
            await work()
        for topic in transaction.after_commit:
            for listener in self.listeners:
                listener(topic)
        if cancelled is not None:
            raise cancelled

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
    is_told = isinstance(error, migrate.MigrationError)
    text = f"{path}: {error}" if is_told else statements.why_unusable(path, error)
    return DatabaseUnusableError(text)


@cache
def _update_of(table: sa.Table, where: tuple[str, ...], names: tuple[str, ...]) -> Prepared:
    conditions = (table.c[name] == param(f"where_{name}") for name in where)
    return Prepared(
        sa.update(table).where(*conditions).values({name: param(name) for name in names})
    )


_TABLES: dict[type[msgspec.Struct], sa.Table] = {
    rows.UserRow: schema.users,
    rows.OrgRow: schema.orgs,
    rows.OrgMemberRow: schema.org_members,
    rows.TokenRow: schema.tokens,
    rows.ContainerRow: schema.containers,
    rows.ObjectRow: schema.objects,
    rows.PlacementRow: schema.placements,
    rows.PartRow: schema.parts,
    rows.JobRow: schema.jobs,
    rows.AnalysisRow: schema.analyses,
    rows.NonceRow: schema.nonces,
    rows.AppNameRow: schema.app_names,
    rows.AppRow: schema.apps,
    rows.AppAliasRow: schema.app_aliases,
    rows.AppInstallRow: schema.app_installs,
}
_INSERTS = {struct: Prepared(sa.insert(table)) for struct, table in _TABLES.items()}
