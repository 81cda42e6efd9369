"""podman's arguments, as data."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from plasmid.engines import choice, cpus, engine, oci, podman, podman_options, simulated

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
    return podman_options.create_options(
        SPEC, as_root=as_root, oom_score=500, limits={"nofile": (10, 20)}
    )


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


def test_cores_and_devices_are_asked_for_where_podman_can_give_them() -> None:
    spec = msgspec.structs.replace(SPEC, cores=1, devices=("x.org/gpu=0",))
    limits = {"nofile": (10, 20)}
    held = ("memory", "cpu", "cpuset", "pids")
    made = podman_options.create_options(
        spec, as_root=True, oom_score=500, limits=limits, held=held
    )
    assert {"--cpus=1", "--device=x.org/gpu=0"} < set(made)
    assert any(option.startswith("--cpuset-cpus=") for option in made)
    less = podman_options.create_options(spec, as_root=False, oom_score=500, limits=limits)
    assert not any(option.startswith("--cpu") and "shares" not in option for option in less)


def test_limits_without_their_controller_are_named() -> None:
    spec = msgspec.structs.replace(SPEC, cores=2, disk_bytes=50 * 10**9)
    assert [reason.partition(":")[0] for reason in podman_options.unenforced(spec, ())] == [
        "memory",
        "cores",
        "processes",
        "disk",
    ]
    found = podman_options.unenforced(spec, ("memory", "pids", "cpu"))
    assert found[0].startswith("cores: 2 is a limit on processor time only")
    assert "50 GB is no limit with engine podman" in found[1]
    everything = ("memory", "pids", "cpu", "cpuset")
    assert podman_options.unenforced(SPEC, everything) == []


def test_processors_are_as_many_as_cores_and_never_more_than_there_are() -> None:
    held = ("cpuset",)
    assert podman_options.own_cpus(SPEC, held) == []
    one = podman_options.own_cpus(msgspec.structs.replace(SPEC, cores=1), held)
    assert len(one) == 1
    many = podman_options.own_cpus(msgspec.structs.replace(SPEC, cores=4096), held)
    assert many == cpus.here()
    assert podman_options.own_cpus(msgspec.structs.replace(SPEC, cores=1), ()) == []
