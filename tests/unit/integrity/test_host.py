"""I8: what is left of a try on the machine is found, and what is another's is not touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from plasmid.engines import cgroups
from plasmid.engines.cgroups import Hierarchy
from plasmid.engines.simulated import SimulatedEngine
from plasmid.integrity import checking, host
from plasmid.integrity.finding import Finding
from plasmid.metadata.inspection import JobFacts
from tests.unit.integrity.conftest import Damaged

JOB = "job-000000000000000000000000"
OTHER = "job-111111111111111111111111"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> host.Machine:
    """A machine with a work folder, and no cgroup, mount or loop device."""
    work = tmp_path / "work"
    (tmp_path / "cgroup" / "plasmid").mkdir(parents=True)
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "self" / "mountinfo").write_text("")
    (tmp_path / "block").mkdir()
    work.mkdir()
    hierarchy = Hierarchy(1, str(tmp_path / "cgroup"), ("memory",))
    monkeypatch.setattr(cgroups, "find_hierarchies", lambda: (hierarchy,))
    monkeypatch.setattr(host, "PROC", tmp_path / "proc")
    monkeypatch.setattr(host, "SYS_BLOCK", tmp_path / "block")
    return host.Machine(work_folder=work, engine=SimulatedEngine())


def known(state: str, attempt: int = 0) -> dict[str, JobFacts]:
    return {JOB: JobFacts(JOB, state, attempt, None, JOB, "container-x")}


async def found(machine: host.Machine, jobs: dict[str, JobFacts]) -> list[Finding]:
    return [finding async for finding in host.check(machine, jobs)]


async def test_the_folder_of_a_running_try_is_sound_and_of_any_other_is_not(
    machine: host.Machine,
) -> None:
    (machine.work_folder / f"{JOB}.1" / "sandbox").mkdir(parents=True)
    (machine.work_folder / "worker.lock").touch()
    for state in ("running", "terminating"):
        assert await found(machine, known(state, 1)) == []
    for jobs in (known("done", 1), known("running", 2), {}):
        [finding] = await found(machine, jobs)
        assert (finding.invariant, finding.subject) == ("I8", JOB)


async def test_what_is_left_of_an_ended_try_is_removed(
    machine: host.Machine, damaged: Damaged
) -> None:
    (machine.work_folder / f"{JOB}.0" / "sandbox" / "root").mkdir(parents=True)
    await checking.repair(await found(machine, known("failed")), damaged.world.workshop())
    assert list(machine.work_folder.iterdir()) == []


async def test_a_try_that_runs_by_now_is_not_touched(
    machine: host.Machine, damaged: Damaged
) -> None:
    world = damaged.world
    job = await world.a_job(await world.an_applet(await world.a_project()))
    (machine.work_folder / f"{job}.0").mkdir()
    left = await found(machine, {})
    await world.lease(job)
    await checking.repair(left, world.workshop())
    assert (machine.work_folder / f"{job}.0").is_dir()


async def test_with_a_worker_at_work_nothing_is_repaired(machine: host.Machine) -> None:
    (machine.work_folder / f"{JOB}.0").mkdir()
    machine = host.Machine(machine.work_folder, machine.engine, has_worker=True)
    assert [finding.repair for finding in await found(machine, known("done"))] == [None]


async def test_cgroups_mounts_loops_and_supervisors_of_an_ended_try_are_found(
    machine: host.Machine, tmp_path: Path
) -> None:
    folder = f"{machine.work_folder}/{JOB}.0/sandbox"
    (tmp_path / "cgroup" / "plasmid" / f"{JOB}.0").mkdir()
    mount = f"1 2 0:3 / {folder}/root rw - overlay overlay rw\n"
    (tmp_path / "proc" / "self" / "mountinfo").write_text(mount)
    (tmp_path / "block" / "loop7" / "loop").mkdir(parents=True)
    (tmp_path / "block" / "loop7" / "loop" / "backing_file").write_text(f"{folder}/disk.img\n")
    (tmp_path / "proc" / "4711").mkdir()
    arguments = f"/usr/bin/conmon\0--bundle\0{folder}/bundle\0"
    (tmp_path / "proc" / "4711" / "cmdline").write_text(arguments)
    details = [finding.detail for finding in await found(machine, known("done"))]
    for what in ("is mount", "is loop device loop7", "is cgroup", "is supervisor 4711"):
        assert sum(what in detail for detail in details) == 1, what


async def test_what_belongs_to_another_platform_is_not_looked_at(
    machine: host.Machine, tmp_path: Path
) -> None:
    (tmp_path / "cgroup" / "plasmid" / f"{OTHER}.0").mkdir()
    (tmp_path / "proc" / "self" / "mountinfo").write_text(
        f"1 2 0:3 / /elsewhere/{OTHER}.0/sandbox/root rw - overlay overlay rw\n"
    )
    assert await found(machine, known("done")) == []
