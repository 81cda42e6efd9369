"""The docker command says in podman's way what docker's users say in theirs."""

from __future__ import annotations

import gzip
import lzma
from pathlib import Path

import pytest

from tests.unit.runtime import inside_out

# Writes its arguments, one a line, and what it is given to read.
PODMAN = """#!/bin/sh
if [ "$1" = --version ]; then echo podman version 4.3.1; exit; fi
if [ "$1" = images ]; then
  printf 'docker.io/library/a:1\\nquay.io/b/c:2\\nlocalhost/d:3\\n'; exit 3
fi
if [ "$1" = load ]; then echo "Loaded image: docker.io/$(cat)"; exit; fi
printf '%s\\n' "$@"
"""


@pytest.fixture
def docker(tmp_path: Path) -> Path:
    podman = tmp_path / "podman"
    podman.write_text(PODMAN)
    podman.chmod(0o755)
    text = (inside_out.RUNTIME / "containers/docker").read_text()
    script = tmp_path / "docker"
    script.write_text(text.replace("/usr/bin/podman", str(podman)))
    script.chmod(0o755)
    return script


def said(docker: Path, *words: str) -> list[str]:
    done = inside_out.run(docker, *words, cwd=docker.parent)
    assert done.stderr == ""
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("run i cmd -v x --rm", "run i cmd -v x --rm"),
        ("run --rm -it i", "run --rm -it i"),
        ("run -itv /:/d i", "run -it -v /:/d i"),
        ("run -eA=1 -e B --env=C=3 i", "run -e A=1 -e B --env C=3 i"),
        ("run -w/data -w=/x i -w y", "run -w /data -w /x i -w y"),
        ("run --cpus 2 --cpus=2 -m 1g -m1g --memory-swap -1 -c 5 i", "run i"),
        ("run --gpus all --runtime=nvidia -p 80:80 -P --ip 1.2.3.4 i x", "run i x"),
        ("run --network host --net=bridge i", "run i"),
        ("run --cap-add SYS_ADMIN --cap-add=NET_ADMIN i", "run --cap-add SYS_ADMIN i"),
        ("run --entrypoint sh --name n -h host -u 0:0 i -c x", None),
        ("container run --rm i", "run --rm i"),
        ("-H unix:///x --debug run i", "run i"),
        ("create --name n i", "create --name n i"),
        ("image rm i", "image rm i"),
        ("image inspect i", "image inspect i"),
        ("container ls -a", "ps -a"),
        ("exec -it c sh", "exec -it c sh"),
        ("buildx build --load --progress plain -t x .", "build --network=host -t x ."),
        ("build --network none -m 1g .", "build --network=host ."),
        ("", ""),
    ],
)
def test_options_are_translated_and_the_container_s_words_are_not(
    docker: Path, words: str, expected: str | None
) -> None:
    found = said(docker, *words.split())
    assert [word for word in found if word] == (words if expected is None else expected).split()


def test_words_stay_words(docker: Path) -> None:
    given = ["run", "-e", "A=two words", "i", "sh", "-c", 'echo "$1" *', "", "x\ty"]
    assert said(docker, *given) == given


def test_a_volume_s_folder_is_made_but_never_for_a_name(docker: Path) -> None:
    new = docker.parent / "new" / "folder"
    said(docker, "run", "-v", f"{new}:/data:ro", "-v", "named:/x", "i")
    assert new.is_dir()
    assert not (docker.parent / "named").exists()


def test_limits_beyond_our_own_are_cut_down(docker: Path) -> None:
    (option, value, *_) = said(docker, "run", "--ulimit", "nofile=99999999:99999999", "i")[2:]
    assert option == "--ulimit"
    soft, hard = value.removeprefix("nofile=").split(":")
    assert soft == hard
    assert int(hard) < 99999999


@pytest.mark.parametrize("how", ["-i", "--input", "--input=", "stdin"])
@pytest.mark.parametrize("packed", [bytes, gzip.compress, lzma.compress])
def test_every_packing_is_unpacked(docker: Path, how: str, packed: object) -> None:
    archive = docker.parent / "image"
    archive.write_bytes(packed(b"library/x:1"))  # type: ignore[operator]
    words = f'"{docker}" load {how}{"" if how.endswith("=") else " "}"{archive}"'
    if how == "stdin":
        words = f'"{docker}" load < "{archive}"'
    done = inside_out.run("sh", "-c", words)
    assert (done.stdout, done.stderr, done.returncode) == ("Loaded image: x:1\n", "", 0)


def test_names_are_written_as_docker_writes_them_and_the_code_is_podman_s(docker: Path) -> None:
    done = inside_out.run(docker, "images")
    assert (done.stdout, done.returncode) == ("a:1\nquay.io/b/c:2\nd:3\n", 3)
    assert inside_out.run(docker, "image", "ls").stdout == done.stdout


def test_the_version_is_docker_s(docker: Path) -> None:
    assert said(docker, "--version") == ["Docker version 24.0.0, build podman-4.3.1"]
