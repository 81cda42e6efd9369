"""Fill a database with jobs, as many as years of work leave behind, in seconds.

The jobs are copies of one that was made through the API, spread over projects, users, states and
trees, written by one statement through the real tables and their indexes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from plasmid.metadata import rows, schema
from plasmid.metadata.rows import JobRow

TREE: Final = 50
OTHER_PROJECTS: Final = 19
# One project holds half of what there is; a tree is in one project.
_PROJECT: Final = (
    f"CASE WHEN n / {TREE} % 2 = 0 THEN t.project"
    f" ELSE printf('project-%024d', n / {TREE} % {OTHER_PROJECTS}) END"
)
_IS_ROOT: Final = f"n % {TREE} = 0"
_ROOT: Final = f"printf('job-%024d', n - n % {TREE})"
# All are over. A quarter each has failed, is somebody else's, bears a rare name, was tried twice:
# so that the small database has a full page of them, too.
USUAL: Final = "CASE WHEN n % 4 = 3 THEN 'failed' WHEN n % 50 = 6 THEN 'terminated' ELSE 'done' END"
QUEUED: Final = "'runnable'"
# A third of each, the waiting ones for jobs that are queued.
MIXED: Final = "CASE n % 3 WHEN 0 THEN 'runnable' WHEN 1 THEN 'waiting_on_input' ELSE 'done' END"
COLUMNS: Final[Mapping[str, str]] = {
    "id": "printf('job-%024d', n)",
    "name": "CASE WHEN n % 4 = 2 THEN 'qc' ELSE printf('mapping_%d', n % 40) END",
    "function": f"CASE WHEN {_IS_ROOT} THEN 'main' ELSE 'work' END",
    "project": _PROJECT,
    "launched_by": "CASE WHEN n % 4 = 1 THEN 'user-bob' ELSE t.launched_by END",
    "parent_job": f"CASE WHEN {_IS_ROOT} THEN NULL ELSE {_ROOT} END",
    "origin_job": _ROOT,
    "root_execution": _ROOT,
    "created_ms": "t.created_ms - :count * 10 + n * 10",
    "attempt": "CASE WHEN n % 4 = 0 THEN 1 ELSE 0 END",
}
_NUMBERS: Final = (
    "WITH RECURSIVE numbers(n) AS"
    " (SELECT 1000000 UNION ALL SELECT n + 1 FROM numbers WHERE n < 999999 + :count)"
)


def add(path: Path, like: str, count: int, *, states: str, one_project: bool = False) -> None:
    """Add `count` copies of a job to a database; `states` is an expression of SQL over `n`.

    With `one_project` all are in that of the job, and each is a tree of its own.
    """
    columns = dict(COLUMNS)
    if one_project:
        own = columns["id"]
        columns |= {"project": "t.project", "parent_job": "NULL", "origin_job": own,
                    "root_execution": own, "launched_by": "t.launched_by"}  # fmt: skip
    columns["state"] = states
    has_failed = f"({states}) = 'failed'"
    columns["failure_reason"] = f"CASE WHEN {has_failed} THEN 'AppError' END"
    names = [column.name for column in schema.jobs.columns]
    chosen = ", ".join(columns.get(name, f"t.{name}") for name in names)
    with sqlite3.connect(path) as connection:
        found = connection.execute("SELECT * FROM jobs WHERE id = ?", (like,)).fetchone()
        earlier = msgspec.json.encode(rows.read(JobRow, found)).decode()
        connection.execute("PRAGMA cache_size=-400000")
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute(
            f"INSERT INTO jobs ({', '.join(names)}) {_NUMBERS}"
            f" SELECT {chosen} FROM numbers, jobs AS t WHERE t.id = :like",
            {"count": count, "like": like},
        )
        connection.execute(
            "INSERT INTO waits (job, target) SELECT id, printf('job-%024d', 1000000)"
            " FROM jobs WHERE state = 'waiting_on_input'"
        )
        connection.execute(
            "INSERT INTO tries (job, attempt, row) SELECT id, 0, :row FROM jobs WHERE attempt = 1"
            " AND id LIKE 'job-0000%'",
            {"row": earlier},
        )
        connection.executemany(
            "INSERT INTO members SELECT ?, member, level FROM members WHERE container ="
            " (SELECT project FROM jobs WHERE id = ?)",
            [(f"project-{number:024d}", like) for number in range(OTHER_PROJECTS)],
        )
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # else all is read from the log
    connection.close()
