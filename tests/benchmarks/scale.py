"""What many jobs cost: in one tree, in the queue, and in the database beside few."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from plasmid.domain.placement import Machine
from plasmid.metadata.database import Database
from tests.benchmarks import beside, many_jobs, platform, trees
from tests.worlds import ALICE, World

FEW, QUEUE, MANY = 1_000, 100_000, 1_000_000
PAGE: Final = 100
RUNNING: Final = 50
WARM_UP: Final = 10
# what lets 50 jobs run here at once, which do nothing
ROOM: Final = {
    "PLASMID_JOBS_MEMORY_BYTES": str(1 << 42),
    "PLASMID_JOBS_CORES_OVERCOMMIT": "0",
    "PLASMID_JOBS_DISK_OVERCOMMIT": "0",
}
FIND: Final = "/system/findExecutions"
# What the other jobs of the database are in, while one after the other gets its turn.
DONE: Final = "'done'"
MIXES: Final = {
    "done": DONE,
    "queued": many_jobs.QUEUED,
    "queued, waiting and done": many_jobs.MIXED,
}
Measured = tuple[float, float]


def fan_out(scratch: Path, images: Path, count: int = 500) -> Measured:
    """Return jobs/s of one parent that starts and gathers `count` no-ops, and podman's at once."""
    podman = beside.podman_many_seconds(count // 2)  # half before and half after
    with platform.served(scratch, images, jobs_max=2) as served:
        project = served.project()
        applet = trees.applet(served, project)
        trees.run(served, applet, project, "wide", 4)
        ours = trees.run(served, applet, project, "wide", count)
    podman += beside.podman_many_seconds(count - count // 2)
    return count / ours, count / podman


def succession(scratch: Path, images: Path, rounds: int) -> Measured:
    """Return ms from a source's done to its waiter's running, and from a run call to running."""
    after, fresh = [], []
    with platform.served(scratch, images, jobs_max=2) as served:
        project = served.project()
        applet = served.applet(project, "bash")
        for _ in range(rounds + 1):
            source = served.start(applet, project)
            body = {"input": {}, "project": project, "dependsOn": [source]}
            waiter = served.call(f"/{applet}/run", body)["id"]
            served.wait(waiter)
            first, second = (served.call(f"/{job}/describe", {}) for job in (source, waiter))
            after.append(moved(second, "running") - moved(first, "done"))
            fresh.append(moved(first, "running") - first["created"])
    return statistics.median(after[1:]), statistics.median(fresh[1:])


def moved(described: dict[str, Any], state: str) -> int:
    """Return when a job came to a state, in milliseconds."""
    return next(
        int(move["setAt"]) for move in described["stateTransitions"] if move["newState"] == state
    )


def restart(scratch: Path, images: Path, count: int = QUEUE) -> Measured:
    """Return seconds until the server answers: with `count` jobs, 50 of them running, and new."""
    with platform.served(scratch, images, jobs_max=RUNNING, settings=ROOM) as served:
        project = served.project()
        applet = trees.applet(served, project)
        body = {"project": project, "input": {"how": "sleep", "count": 900}}
        jobs = [served.call(f"/{applet}/run", body)["id"] for _ in range(RUNNING)]
        try:
            trees.wait_for_states(served, jobs, "running")
            served.stop_server()
            database = served.data / "plasmid.sqlite"
            many_jobs.add(database, jobs[0], count - RUNNING, states=many_jobs.USUAL)
            took = served.start_server()
            described = [served.call(f"/{job}/describe", {}) for job in jobs]
        finally:
            for job in jobs:
                served.call(f"/{job}/terminate", {})
            trees.wait_for_states(served, jobs, "terminated")
    if {(job["state"], job["try"]) for job in described} != {("running", 0)}:
        raise RuntimeError("jobs that ran did not go on")
    return took, served.first_start_seconds


# ------------------------------------------------- in one process, through the real HTTP door


@contextlib.asynccontextmanager
async def full_world(
    count: int, *, states: str, one_project: bool = False
) -> AsyncIterator[tuple[World, str]]:
    """Give a platform whose database has `count` jobs more than the one that is given with it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "plasmid.sqlite"
        database = Database(path)
        world = World(database=database)
        await world.set_up()
        applet = await world.an_applet(await world.a_project())
        job = await world.a_job(applet)
        await world.finish(job, {})
        many_jobs.add(path, job, count, states=states, one_project=one_project)
        try:
            yield world, job
        finally:
            await world.http.aclose()
            database.close()


async def timed(call: Callable[[], Awaitable[Any]]) -> float:
    """Return how many milliseconds something takes."""
    started = time.perf_counter()
    await call()
    return (time.perf_counter() - started) * 1000


async def dispatch_ms(states: str, rounds: int) -> Measured:
    """Return what a job costs from its turn to its end, p50: among 100,000 others and 1,000.

    The two databases take turns, each on a machine that runs one job at a time.
    """
    async with (
        full_world(QUEUE, states=states, one_project=True) as (many, job_of_many),
        full_world(FEW, states=states, one_project=True) as (few, job_of_few),
    ):
        sides = [(many, job_of_many), (few, job_of_few)]
        costs: tuple[list[float], list[float]] = ([], [])
        for world, _ in sides:
            world.dispatcher.machine = Machine(64 << 30, 1)
        for _ in range(rounds + WARM_UP):
            for (world, job), kept in zip(sides, costs, strict=True):
                if states == DONE:
                    await world.a_job((await world.job_row(job)).executable)
                kept.append(await timed(partial(_dispatched, world)))
        ours, other = (statistics.median(side[WARM_UP:]) for side in costs)
        return ours, other


async def _dispatched(world: World) -> None:
    """Give the next job its turn, and end it."""
    await world.place()
    (assignment,) = (await world.sync())["start"]
    world.clock.advance(1)
    await world.report(assignment["job"], output={})


def dispatch(states: str, rounds: int = 200) -> Measured:
    """Return a job's dispatch cost in milliseconds: with 100,000 jobs and with 1,000."""
    return asyncio.run(dispatch_ms(states, rounds))


def questions(project: str) -> dict[str, dict[str, Any]]:
    """Return what `dx find jobs` sends, by its options; without a project with --all-projects."""
    here = {"project": project, "class": "job", "includeSubjobs": True, "limit": PAGE}
    described = {"defaultFields": True, "fields": dict.fromkeys(
        ("runInput", "originalInput", "input", "output"), False
    )}  # fmt: skip
    root = f"job-{1_000_000:024d}"
    asked: dict[str, dict[str, Any]] = {
        "default": {},
        "--all-projects": {"project": None},
        "--state failed": {"state": "failed"},
        "--state done": {"state": "done"},
        "--user": {"launchedBy": "user-bob"},
        "--user self": {"launchedBy": "self"},
        "--origin-jobs": {"parentJob": None},
        "--created-after": {"created": {"after": 1}},
        "--name exact": {"name": {"glob": "qc"}},
        "--name glob": {"name": {"glob": "mapping_1*"}},
        "--include-restarted": {"includeRestarted": True},
        "--state restarted": {"state": "restarted", "includeRestarted": True},
        "tree (--origin)": {"originJob": root},
        "tree (rootExecution)": {"rootExecution": [root]},
        # a page that the small database can fill: it has few master jobs
        "--no-subjobs": {"includeSubjobs": False, "limit": 10},
        "-n 10": {"limit": 10},
    }
    return {
        name: {
            key: value
            for key, value in {**here, "describe": described, **more}.items()
            if value is not None
        }
        for name, more in asked.items()
    }


async def find_ms(rounds: int) -> dict[str, Measured]:
    """Return p95 of a page of each question, in milliseconds: among many jobs and among few.

    Half of the pages are deep in the results; the two databases are asked in turn.
    """
    async with (
        full_world(MANY, states=many_jobs.USUAL) as (many, job_of_many),
        full_world(FEW, states=many_jobs.USUAL) as (few, job_of_few),
    ):
        sides = [
            (many, (await many.job_row(job_of_many)).project, MANY),
            (few, (await few.job_row(job_of_few)).project, FEW),
        ]
        starts = [await deep_jobs(*side) for side in sides]
        found = {}
        for name in questions(""):
            costs: tuple[list[float], list[float]] = ([], [])
            for number in range(rounds + WARM_UP):
                for (world, project, _), deep, kept in zip(sides, starts, costs, strict=True):
                    body = questions(project)[name]
                    if number % 2:
                        body["starting"] = deep[number % len(deep)]
                    kept.append(await timed(partial(world.call, FIND, body, as_=ALICE)))
            ours, other = (statistics.quantiles(side[WARM_UP:], n=20)[-1] for side in costs)
            found[name] = ours, other
        return found


async def deep_jobs(world: World, project: str, count: int) -> list[str]:
    """Return some jobs of a project from all over its time."""
    rows = await world.rows(
        f"SELECT id FROM jobs WHERE project = '{project}' AND rowid % {count // 40} = 3"
    )
    return [row[0] for row in rows]


def find(rounds: int = 60) -> dict[str, Measured]:
    """Return p95 in milliseconds of each question: in 1,000,000 jobs and in 1,000."""
    return asyncio.run(find_ms(rounds))
