"""Which jobs get the rights to run containers and to mount."""

from __future__ import annotations

import pytest

from plasmid.domain import containers


def need(
    code: str = "", packages: tuple[str, ...] = (), job_input: dict[str, object] | None = None
) -> containers.Need:
    named = [{"name": name} for name in packages]
    return containers.of_job(code=code, exec_depends=named, job_input=job_input or {})


@pytest.mark.parametrize(
    "code",
    [
        "docker load -i image.tar.gz",
        'subprocess.check_call(["docker", "run", image])',
        "dx-docker run quay.io/x",
        "sudo podman images",
        "import docker",
        "DOCKER=$(which docker)",
        "singularity exec image.sif true",
    ],
)
def test_code_that_names_a_container_program_gets_it(code: str) -> None:
    found = need(code)
    assert found.runs_containers
    assert found.mounts
    assert found.why.startswith("its code names ")


@pytest.mark.parametrize(
    "code", ["dx-mount-all-inputs --except ref", "dxfuse m p", "dxpy.mount_all_inputs()"]
)
def test_code_that_mounts_gets_the_rights_without_the_tools(code: str) -> None:
    assert need(code) == containers.Need(mounts=True, why=need(code).why)
    assert need(code).mounts


@pytest.mark.parametrize(
    "code", ["", "samtools view -c in.bam", "dx download x\nmount", "echo unshared; amount=3"]
)
def test_other_code_gets_nothing(code: str) -> None:
    assert need(code) == containers.NOTHING


def test_packages_and_input_count_as_code_does() -> None:
    assert need(packages=("samtools", "docker.io")).why == "execDepends names docker"
    fuse = need(packages=("libfuse2",))
    assert fuse == containers.Need(mounts=True, why="execDepends names fuse")
    deep = {"steps": [{"cmd": "docker run x"}], "n": 1, "none": None}
    assert need(job_input=deep).why == "its input names docker"
    assert need(job_input={"docker_file": {"$dnanexus_link": "file-1"}}) == containers.NOTHING


def test_the_greatest_need_counts_and_the_first_of_equal_ones() -> None:
    found = need("dx-mount-all-inputs", ("docker.io",))
    assert found.why == "execDepends names docker"
    found = need("docker run", ("docker.io",))
    assert found.why == "its code names docker"
