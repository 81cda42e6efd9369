"""The oci engine's own decisions; what its sandboxes do is in tests/contract."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from plasmid.engines import cgroups, engine, oci

A_SPEC = engine.SandboxSpec(
    name="job-1.1",
    folder=Path("/none"),
    base_image=Path("/none"),
    hostname="h",
    command=("/bin/true",),
    environment={},
    working_directory="/",
    files={},
    memory_bytes=1,
    cpu_weight=1,
)


async def test_what_is_missing_is_named_with_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oci, "_search_path", lambda: str(tmp_path))
    monkeypatch.setattr("plasmid.engines.conmon.find", lambda: None)
    problems = await oci.OciEngine("crun").check()
    assert "no crun: apt-get install crun" in problems
    assert "no conmon: apt-get install conmon" in problems


async def test_a_name_that_is_no_name_is_refused(tmp_path: Path) -> None:
    spec = msgspec.structs.replace(A_SPEC, name="../escape", folder=tmp_path)
    with pytest.raises(engine.EngineError, match=r"'\.\./escape'"):
        await oci.OciEngine().create(spec)
    assert list(tmp_path.iterdir()) == []


async def test_without_a_cpuset_cores_are_named_as_not_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = msgspec.structs.replace(A_SPEC, folder=tmp_path, cores=2)
    without = (cgroups.Hierarchy(2, "/sys/fs/cgroup", ("memory", "cpu", "pids")),)
    monkeypatch.setattr(cgroups, "find_hierarchies", lambda: without)
    (reason,) = await oci.OciEngine().unenforced(spec)
    assert reason.startswith("cores: 2 is a limit on processor time only")
    with_it = (cgroups.Hierarchy(2, "/sys/fs/cgroup", ("memory", "cpu", "pids", "cpuset")),)
    monkeypatch.setattr(cgroups, "find_hierarchies", lambda: with_it)
    assert await oci.OciEngine().unenforced(spec) == []


def test_groups_that_only_the_runtime_needs_are_there_before_it_runs(tmp_path: Path) -> None:
    """While it made them, another sandbox's end could take the shared parent away."""
    (tmp_path / "devices").mkdir()
    group = cgroups.Group(1, str(tmp_path / "devices" / "plasmid" / "job.0"), ())
    oci._limit(A_SPEC, (group,))
    assert Path(group.path).is_dir()
