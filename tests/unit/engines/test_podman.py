"""podman's arguments, as data."""

from __future__ import annotations

from pathlib import Path

import pytest

from plasmid.engines import choice, engine, oci, podman, simulated

SPEC = engine.SandboxSpec(
    name="job-1.1",
    folder=Path("/work/job-1"),
    base_image=Path("/images/x/root"),
    hostname="job-1",
    command=("/bin/sh", "/start"),
    environment={"A": "b c"},
    working_directory="/home/dnanexus",
    files={},
    memory_bytes=1 << 30,
    cpu_weight=200,
    processes_max=50,
    mounts=(engine.Mount("/host/a", "/inside/a"),),
)


def options(*, as_root: bool) -> list[str]:
    return podman.create_options(SPEC, as_root=as_root, oom_score=500, limits={"nofile": (10, 20)})


def test_a_container_is_named_limited_and_cut_off() -> None:
    made = options(as_root=True)
    assert {
        "--name=job-1.1",
        "--hostname=job-1",
        "--network=none",
        "--memory=1073741824",
        "--cpu-shares=2048",
        "--pids-limit=50",
        "--ulimit=nofile=10:20",
        "--env=A=b c",
        "--volume=/host/a:/inside/a:ro",
        "--log-opt=path=/work/job-1/log",
    } <= set(made)
    assert made[-2:] == ["--rootfs", "/work/job-1/root"]


def test_root_outside_maps_ids_as_images_are_stored() -> None:
    assert "--uidmap=0:300000:65536" in options(as_root=True)
    assert not any(option.startswith("--uidmap") for option in options(as_root=False))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("oci", oci.OciEngine),
        ("crun", oci.OciEngine),
        ("runc", oci.OciEngine),
        ("podman", podman.PodmanEngine),
        ("simulated", simulated.SimulatedEngine),
    ],
)
def test_an_engine_is_chosen_by_its_name(name: str, kind: type) -> None:
    assert isinstance(choice.named(name), kind)


def test_root_gets_the_quick_engine_and_others_podman(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert choice.named("auto").name == "oci"
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert choice.named("auto").name == "podman"


def test_an_unknown_engine_is_an_error_that_names_those_there_are() -> None:
    with pytest.raises(engine.EngineError, match=r"'docker'.*podman"):
        choice.named("docker")
