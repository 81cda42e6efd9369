"""`docker` in a job: as apps call it (candidate-apps F44, real-apps.md 2 and 5)."""

from __future__ import annotations

import gzip
import lzma

import pytest

from plasmid.environments import containers
from tests import small_image
from tests.e2e.driver import Dx, Ended, field, file, lines_of, until

pytestmark = pytest.mark.e2e

IMAGE = small_image.NAME
NO_TOOLS = containers.Tools.problems()

# The shape of most apps that use docker, and of samtools_count_docker.
COUNT = f"""
set -eux
dx download "$image"
dx download "$text"
docker load < "/home/dnanexus/$image_name"
docker images
docker run -v /home/dnanexus:/home/dnanexus {IMAGE} \\
  wc -l "/home/dnanexus/$text_name" > "/home/dnanexus/count.txt"
dx-jobutil-add-output count "$(cat count.txt)" --class=string
"""

CALLS = """
dx download "$image"
docker load --input "$image_name"
ID=$(docker images --format '{{.Repository}} {{.ID}}' \\
  | grep '^quay.io/biocontainers/small' | cut -d' ' -f2)
echo "by format=$ID"
echo "by awk=$(docker images | grep small | awk '{print $3}')"
echo words | docker run -i --rm $ID cat
docker run --rm $ID sh -c 'echo to stderr >&2; exit 7' || echo "code=$?"
docker run --rm $ID nosuch || echo "unknown command=$?"
docker run --rm nosuch:1 true || echo "unknown image=$?"
docker run --rm --entrypoint echo $ID from the entry point
docker run --rm -e A=1 --env=B=2 -eC=3 $ID sh -c 'echo "variables=$A $B $C $INSIDE"'
docker run --rm -v $PWD/made/here:/data -w /data -u 0:0 $ID sh -c 'echo written > file'
echo "volume=$(cat made/here/file) of $(stat -c %U made/here/file)"
docker run --rm -u 1000:1000 $ID id -u
docker run --rm --cpus 2 -m 1g --memory-swap=2g --ulimit nofile=99999999 --ulimit stack=-1 \\
  --gpus all -p 80:80 --shm-size 1g --network bridge --cap-add NET_ADMIN $ID echo options taken
docker run --rm --network none $ID sh -c 'echo "apart=$(ls /sys/class/net)"'
docker run --rm $ID sh -c 'rm -r /lower; mkdir /lower; echo "emptied=$(ls /lower | wc -l)"'
docker run --rm $ID cat /lower/file
docker tag $ID mine:2
echo "short=$(docker images --format '{{.Repository}}:{{.Tag}}' | grep mine)"
echo "label=$(docker inspect -f '{{.Config.Labels.version}}' mine:2)"
name=$(docker run -d --name kept mine:2 sh -c 'echo begun; sleep 1000')
docker exec kept sh -c 'echo "among its processes=$(ls /proc | grep -c ^1$)"; exit 3' \\
  || echo "exec=$?"
echo "logs=$(docker logs kept)"
docker cp kept:/lower/file copied; cat copied
docker kill kept > /dev/null; echo "waited=$(docker wait kept)"
echo "all=$(docker ps -a --format '{{.Names}}')"
docker rm kept > /dev/null
printf 'FROM mine:2\\nRUN echo built > /new\\nCOPY copied /copied\\n' > Dockerfile
docker build -t built . > build.log 2>&1 || cat build.log; docker run --rm built cat /new /copied
docker save built -o built.tar; docker rmi built > /dev/null; docker load -q -i built.tar
docker --version
docker load -i nosuch.tar || echo "no archive=$?"
"""


@pytest.fixture(scope="module", autouse=True)
def has_tools() -> None:
    if NO_TOOLS:
        pytest.fail(f"jobs cannot run containers here: {NO_TOOLS[0]}")


@pytest.fixture(scope="module")
def image(dx: Dx) -> str:
    return dx.upload("small.tar.gz", gzip.compress(small_image.docker_archive(), 1))


def ran(dx: Dx, code: str, image: str, **options: object) -> Ended:
    spec = [field("image", "file")]
    return dx.ran(code, inputSpec=spec, outputSpec=[], input={"image": file(image)}, **options)


def test_an_app_loads_an_image_and_runs_it_over_its_files(dx: Dx, image: str) -> None:
    text = dx.upload("three.txt", "1\n2\n3\n")
    ended = dx.ran(
        COUNT,
        inputSpec=[field("image", "file"), field("text", "file")],
        outputSpec=[field("count", "string")],
        input={"image": file(image), "text": file(text)},
    )
    assert ended.state == "done", ended.why
    assert ended.output == {"count": "3 /home/dnanexus/three.txt"}
    assert f"Loaded image: {IMAGE}" in ended.said()
    assert "This job may run containers and mount, as its code names docker" in ended.said("INFO")


class TestCalls:
    @pytest.fixture(scope="class")
    @classmethod
    def job(cls, dx: Dx, image: str) -> Ended:
        return ran(dx, CALLS, image)

    def test_the_job_ends_well(self, job: Ended) -> None:
        assert job.state == "done", "\n".join(line.msg for line in job.log[-12:])

    def test_an_image_is_found_in_the_list(self, job: Ended) -> None:
        (by_format,) = lines_of(job.said(), "by format=")
        assert len(by_format) == 12
        assert lines_of(job.said(), "by awk=") == [by_format]
        assert "short=mine:2" in job.said()

    def test_streams_and_exit_codes_are_the_container_s(self, job: Ended) -> None:
        assert "words" in job.said()
        assert "to stderr" in job.said("STDERR")
        codes = ("code=7", "unknown command=127", "unknown image=125", "exec=3", "no archive=1")
        assert [code for code in codes if code not in job.said()] == []

    def test_options_reach_the_container(self, job: Ended) -> None:
        wanted = ("from the entry point", "variables=1 2 3 yes", "1000", "label=1.0")
        assert [text for text in wanted if text not in job.said()] == []

    def test_a_volume_s_folder_is_made_and_what_is_written_there_belongs_to_root(
        self, job: Ended
    ) -> None:
        assert "volume=written of root" in job.said()

    def test_options_that_a_sandbox_cannot_grant_are_taken(self, job: Ended) -> None:
        assert "options taken" in job.said()

    def test_a_container_without_network_has_none(self, job: Ended) -> None:
        assert "apart=lo" in job.said()

    def test_what_a_container_changes_is_not_in_the_image(self, job: Ended) -> None:
        assert "emptied=0" in job.said()
        assert "from the image" in job.said()

    def test_a_container_in_the_background_is_entered_read_and_ended(self, job: Ended) -> None:
        wanted = ("among its processes=1", "logs=begun", "waited=137", "all=kept")
        assert [text for text in wanted if text not in job.said()] == []

    def test_an_image_is_built_saved_and_loaded_again(self, job: Ended) -> None:
        assert "built" in job.said()
        assert "Loaded image: built:latest" in job.said()

    def test_nobody_hears_of_podman_but_by_the_version(self, job: Ended) -> None:
        said = [text for text in job.said() if "podman" in text.lower()]
        assert len(said) == 1
        assert said[0].startswith("Docker version 24.0.0, build podman-")


def test_every_archive_that_docker_writes_or_reads_can_be_loaded(dx: Dx) -> None:
    archives = {
        "plain.tar": small_image.docker_archive("plain:1"),
        "packed.tar.gz": gzip.compress(small_image.docker_archive("docker.io/library/gz:1"), 1),
        "packed.tar.xz": lzma.compress(small_image.docker_archive("xz:1"), preset=0),
        "oci.tar": small_image.oci_archive("localhost/oci:1"),
    }
    for name, content in archives.items():
        dx.upload(name, content)
    ended = dx.ran(
        "for name in plain.tar packed.tar.gz packed.tar.xz oci.tar; do\n"
        "dx download $DX_PROJECT_CONTEXT_ID:/$name; docker load -i $name; done\n"
        "docker rmi -f $(docker images -q) > /dev/null; cat packed.tar.xz | docker load\n"
        'head -c 100000 packed.tar.gz | docker load || echo "cut off=$?"\n'
        "docker run --rm xz:1 cat /lower/file\n",
        access={"network": [], "project": "VIEW"},
    )
    assert ended.state == "done", ended.why
    loaded = [f"Loaded image: {name}:1" for name in ("plain", "gz", "xz", "oci", "xz")]
    assert [text for text in ended.said() if text.startswith("Loaded")] == loaded
    assert lines_of(ended.said(), "cut off=") not in ([], ["0"])
    assert "from the image" in ended.said()


def test_an_app_that_speaks_of_docker_in_its_input_may_run_it(dx: Dx, image: str) -> None:
    code = 'dx download "$image"; eval "$cmd"'
    ended = dx.ran(
        code,
        inputSpec=[field("image", "file"), field("cmd", "string")],
        outputSpec=[],
        input={
            "image": file(image),
            "cmd": f"docker load -i small.tar.gz && docker run {IMAGE} echo by command",
        },
    )
    assert ended.state == "done", ended.why
    assert "by command" in ended.said()


def test_a_script_among_the_resources_may_run_docker(dx: Dx, image: str) -> None:
    script = '#!/bin/sh\nexec docker load -i "$1"\n'
    files = {
        "src/code.sh": 'main() { dx download "$image"; count small.tar.gz; }',
        "resources/usr/bin/count": script,
    }
    folder = dx.write_applet("by_script", files, inputSpec=[field("image", "file")])
    applet = dx.build(folder)
    ended = dx.site.ended(dx.run(applet, input={"image": file(image)}))
    assert ended.state == "done", ended.why
    assert f"Loaded image: {IMAGE}" in ended.said()
    reason = "This job may run containers and mount, as /usr/bin/count names docker"
    assert reason in ended.said("INFO")


def test_a_job_without_the_rights_is_told_how_to_get_them(dx: Dx) -> None:
    # The word is made when the code runs.
    ended = dx.ran('name=dock; "${name}er" images; echo "code=$?"', name="secretive")
    assert ended.state == "failed"
    (said,) = lines_of(ended.said("STDERR"), "docker: ")
    assert "set [containers] allow = always in plasmid.toml" in said


def test_containers_end_with_their_job_and_leave_nothing(dx: Dx, image: str) -> None:
    code = (
        f'dx download "$image"; docker load -i "$image_name"; docker run {IMAGE} sleep 5000 &\n'
        f"docker run -d --name far {IMAGE} sleep 5000\n"
        "until [ $(docker ps -q | wc -l) = 2 ]; do sleep 0.1; done; echo both run; exit 4\n"
    )
    ended = ran(dx, code, image)
    assert ended.state == "failed"
    assert "both run" in ended.said()
    # What is left is looked for by the site's end; here, that the try's folder can be deleted.
    work = dx.site.data / "work"
    until(lambda: not list(work.glob(f"{ended.describe['id']}.*")))


def test_a_killed_job_takes_its_containers_with_it(dx: Dx, image: str) -> None:
    code = (
        f'dx download "$image"; docker load -i "$image_name"\n'
        f"docker run -d {IMAGE} sleep 5000; docker run {IMAGE} sleep 5000\n"
    )
    applet = dx.applet(code, inputSpec=[field("image", "file")], outputSpec=[])
    job = dx.run(applet, input={"image": file(image)})
    until(lambda: any(line.msg.startswith("Loaded image") for line in dx.site.log(job, tail=False)))
    dx.call(f"/{job}/terminate")
    assert dx.site.state(job, "terminated") == "terminated"
    work = dx.site.data / "work"
    until(lambda: not list(work.glob(f"{job}.*")))
