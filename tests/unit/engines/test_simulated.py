"""The engine that runs nothing keeps the promises of engines all the same."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from plasmid.engines import engine, simulated


def spec(folder: Path, name: str = "job-1", **files: bytes) -> engine.SandboxSpec:
    folder.mkdir(exist_ok=True)
    return engine.SandboxSpec(
        name=name,
        folder=folder,
        base_image=Path("/none"),
        hostname=name,
        command=("/start",),
        environment={},
        working_directory="/",
        files={f"/{path}": content for path, content in files.items()},
        memory_bytes=1,
        cpu_weight=100,
    )


async def run(made: simulated.SimulatedEngine, wanted: engine.SandboxSpec) -> engine.Exit:
    sandbox = await made.create(wanted)
    await sandbox.start()
    return await sandbox.wait()


async def test_by_default_a_sandbox_ends_well(tmp_path: Path) -> None:
    made = simulated.SimulatedEngine()
    wanted = spec(tmp_path / "a", start=b"#!x")
    assert await made.check() == []
    assert await run(made, wanted) == engine.Exit(0, out_of_memory=False, peak_memory_bytes=None)
    assert (tmp_path / "a/root/start").read_bytes() == b"#!x"
    assert made.created == [wanted]


async def test_it_does_what_it_was_told(tmp_path: Path) -> None:
    behavior = simulated.Behavior(
        exit_code=3,
        log=(("stdout", "hello"), ("stderr", "oh no")),
        files={"/home/x/out.json": b"{}"},
        out_of_memory=True,
        peak_memory_bytes=7,
    )
    made = simulated.SimulatedEngine(behavior)
    assert await run(made, spec(tmp_path / "a")) == engine.Exit(3, True, 7)
    lines = (tmp_path / "a/log").read_text().splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == ["stdout F hello", "stderr F oh no"]
    assert (tmp_path / "a/root/home/x/out.json").read_bytes() == b"{}"


async def test_each_sandbox_may_behave_otherwise(tmp_path: Path) -> None:
    made = simulated.SimulatedEngine(lambda s: simulated.Behavior(exit_code=int(s.name[-1])))
    assert (await run(made, spec(tmp_path / "a", "job-1"))).exit_code == 1
    assert (await run(made, spec(tmp_path / "b", "job-2"))).exit_code == 2


async def test_one_that_hangs_ends_when_it_is_killed(tmp_path: Path) -> None:
    sandbox = await simulated.SimulatedEngine(simulated.Behavior(hangs=True)).create(
        spec(tmp_path / "a")
    )
    await sandbox.start()
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        waiting = group.create_task(sandbox.wait())
        await sandbox.kill()
    assert waiting.result().exit_code == 137


@pytest.mark.parametrize(
    "behavior",
    [
        simulated.Behavior(fails_create="no space"),
        simulated.Behavior(fails_start="no space"),
        simulated.Behavior(loses_supervisor=True),
    ],
)
async def test_it_fails_when_told_to(tmp_path: Path, behavior: simulated.Behavior) -> None:
    with pytest.raises(engine.EngineError):
        await run(simulated.SimulatedEngine(behavior), spec(tmp_path / "a"))


async def test_another_instance_adopts_what_was_made(tmp_path: Path) -> None:
    behavior = simulated.Behavior(exit_code=4, log=(("stdout", "once"),))
    sandbox = await simulated.SimulatedEngine(behavior).create(spec(tmp_path / "a"))
    await sandbox.start()
    adopted = await simulated.SimulatedEngine().adopt(tmp_path / "a")
    assert adopted is not None
    await adopted.start()
    assert (adopted.name, (await adopted.wait()).exit_code) == ("job-1", 4)
    assert adopted.log_path.read_text().count("once") == 1


async def test_nothing_is_adopted_from_an_empty_or_damaged_folder(tmp_path: Path) -> None:
    assert await simulated.SimulatedEngine().adopt(tmp_path) is None
    (tmp_path / "simulated.json").write_text("{")
    assert await simulated.SimulatedEngine().adopt(tmp_path) is None


async def test_removing_twice_is_fine(tmp_path: Path) -> None:
    sandbox = await simulated.SimulatedEngine().create(spec(tmp_path / "a"))
    await sandbox.remove()
    await sandbox.remove()
    assert not (tmp_path / "a").exists()
