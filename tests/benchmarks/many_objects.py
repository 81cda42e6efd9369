"""What finding costs among a million data objects and 100,000 jobs, beside a thousand of each."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import statistics
import tempfile
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any, Final

from plasmid.metadata import schema
from plasmid.metadata.database import Database
from tests.benchmarks import many_jobs, scale
from tests.worlds import World

FEW: Final = (1_000, 1_000)
MANY: Final = (1_000_000, 100_000)
IN_FOLDER: Final = 10_000
PAGE: Final = 100
RARE: Final = 150
WARM_UP: Final = 5
FIELDS: Final = dict.fromkeys(
    ("id", "class", "name", "folder", "length", "size", "state", "modified", "project"), True
)
# A tenth is called x...; the first hundred and fifty alone are called rare..., and are tagged.
COLUMNS: Final = {
    "container": ":project",
    "object": "printf('file-%024d', n)",
    "folder": f"CASE WHEN n < {IN_FOLDER} THEN '/ten_thousand' ELSE printf('/%d', n % 100) END",
    "name": f"CASE WHEN n < {RARE} THEN printf('rare_%d', n) WHEN n % 10 = 0 THEN"
    " printf('x_%d.bam', n) ELSE printf('reads_%d.fq.gz', n) END",
    "tags": f"CASE WHEN n < {RARE} THEN '[\"qc\"]' ELSE '[]' END",
    "modified_ms": "1700000000000 + (n * 7919) % 1000003",
    "id": "printf('file-%024d', n)",
    "created_ms": "1600000000000 + n",
    "size_bytes": "n",
}
_NUMBERS: Final = (
    "WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < :n)"
)


def add(path: Path, file: str, project: str, count: int) -> None:
    """Add `count` copies of a file to its project, which has the folders."""
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA cache_size=-400000")
        connection.execute("PRAGMA synchronous=OFF")
        for table, key in ((schema.objects, "id"), (schema.placements, "object")):
            names = [column.name for column in table.columns]
            chosen = ", ".join(COLUMNS.get(name, f"t.{name}") for name in names)
            connection.execute(
                f"INSERT INTO {table.name} ({', '.join(names)}) {_NUMBERS}"
                f" SELECT {chosen} FROM numbers, {table.name} AS t WHERE t.{key} = :like",
                {"n": count, "like": file, "project": project},
            )
        connection.executemany(
            "INSERT INTO folders (container, path) VALUES (?, ?)",
            [(project, f"/{name}") for name in ("ten_thousand", *range(100))],
        )
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


@contextlib.asynccontextmanager
async def full_world(counts: tuple[int, int]) -> AsyncIterator[tuple[World, str, str]]:
    """Give a platform with so many objects and jobs, its project, and one of its jobs."""
    objects, jobs = counts
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "plasmid.sqlite"
        database = Database(path)
        world = World(database=database)
        await world.set_up()
        project = await world.a_project()
        file = await world.a_closed_file(project)
        job = await world.a_job(await world.an_applet(project))
        await world.finish(job, {})
        add(path, file, project, IN_FOLDER + objects)
        many_jobs.add(path, job, jobs, states=many_jobs.USUAL)
        try:
            yield world, project, job
        finally:
            await world.http.aclose()
            database.close()


def questions(project: str, job: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return what commands of `dx` send, by the command."""
    here = {"project": project, "folder": "/", "recurse": True}
    find = {"scope": here, "limit": PAGE, "describe": {"fields": FIELDS}}
    listed = {"folder": "/ten_thousand", "describe": {"fields": {"id": True, "class": True,
              "name": True}}, "only": "all", "includeHidden": False}  # fmt: skip
    executions = {"class": "job", "project": project, "limit": PAGE, "describe": True}
    file = f"file-{IN_FOLDER + 500:024d}"
    in_folder = {**here, "folder": "/ten_thousand", "recurse": False}

    def data(**more: Any) -> tuple[str, dict[str, Any]]:
        return "/system/findDataObjects", {**find, **more}

    return {
        "find data": data(),
        "find data --name 'x*', a tenth": data(name={"glob": "x*"}),
        f"find data --name 'rare*', {RARE}": data(name={"glob": "rare*"}),
        "find data --name 'none*', none": data(name={"glob": "none*"}),
        "find data --all-projects --name 'x*'": data(name={"glob": "x*"}, scope=None),
        "find data --tag qc": data(tags="qc"),
        "find data --class applet": data(**{"class": "applet"}),
        "find data --state open, none": data(state="open"),
        "find data --visibility hidden, none": data(visibility="hidden"),
        "find data --name '*rare_1*', 61": data(name={"glob": "*rare_1*"}),
        "find data --name '*none*', none": data(name={"glob": "*none*"}),
        "find data, a regular expression, none": data(name={"regexp": "no+ne$"}),
        "find data in a folder of 10,000": data(scope=in_folder),
        "ls of a folder of 10,000": (f"/{project}/listFolder", listed),
        "describe FILE": (f"/{file}/describe", {"project": project, "details": True}),
        "describe PROJECT": (f"/{project}/describe", {}),
        "describe JOB": (f"/{job}/describe", {}),
        "a path": (
            "/system/resolveDataObjects",
            {"objects": [{"name": "reads_9.fq.gz", "folder": "/ten_thousand"}], "project": project},
        ),
        "find jobs": ("/system/findExecutions", executions),
        "find jobs --no-subjobs": (
            "/system/findExecutions", {**executions, "includeSubjobs": False, "limit": 10}
        ),
    }  # fmt: skip


async def measured_ms(
    rounds: int, counts: tuple[int, int] = MANY
) -> dict[str, tuple[float, float]]:
    """Return p95 of each question in milliseconds: among many and among few, asked in turn."""
    async with full_world(counts) as many, full_world(FEW) as few:
        found = {}
        for name in questions("", ""):
            costs: tuple[list[float], list[float]] = ([], [])
            for _ in range(rounds + WARM_UP):
                for (world, project, job), kept in zip((many, few), costs, strict=True):
                    route, body = questions(project, job)[name]
                    kept.append(await scale.timed(partial(world.call, route, body)))
            found[name] = tuple(statistics.quantiles(side[WARM_UP:], n=20)[-1] for side in costs)
        return {name: (each[0], each[1]) for name, each in found.items()}


def find(rounds: int = 40) -> dict[str, tuple[float, float]]:
    """Return p95 of each question in milliseconds: among many and among few."""
    return asyncio.run(measured_ms(rounds))
