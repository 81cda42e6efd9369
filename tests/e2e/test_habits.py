"""What apps of the wild do without saying so, and the environment must put up with.

Each habit was seen in published apps. Most take one job each; they are all started at once.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from plasmid.cli import leftovers
from tests.archives import formats
from tests.e2e.driver import Dx, Ended, Site, field, opened, user

# Every module that appends to the job's output at once; each call reads and writes one file.
OUTPUTS = 40

SCRIPTS = {
    # At top level and under -e: without such a process the app ends here.
    "statistics": r"""
set -e -o pipefail
kill $(ps aux | grep pcp-dstat | head -n1 | awk '{print $2}')
/usr/bin/dx-dstat 15
main() { pgrep -fc '^/bin/sh /usr/bin/dx-dstat 15'; echo "still here"; }
""",
    "upload of nothing": """
set -exo pipefail
main() { dx-upload-all-outputs --parallel; dx-upload-all-outputs; echo quiet; }
""",
    "odd files to upload": """
main() {
  mkdir -p out/o/sub/.hidden
  echo x > out/o/sub/x.txt
  echo x > out/o/.hidden; echo x > out/o/sub/.hidden/x; ln -s /etc/hostname out/o/link
  dx-upload-all-outputs
}
""",
    "outputs by parallel": f"""
set -e -o pipefail
main() {{
  add() {{ dx-jobutil-add-output ns "$1" --class=int --array; }}
  export -f add
  seq {OUTPUTS} | parallel -j 8 add {{}}
}}
""",
    "stale error": """
main() {
  echo '{"error": {"type": "AppError", "message": "a section was marked"}}' > job_error.json
  exit 0
}
""",
    "sizes": """
set -e -o pipefail
main() {
  cores=$(nproc)
  [ "$cores" = "$(grep -c ^processor /proc/cpuinfo)" ]
  [ "$cores" = "$(sed 's/.*_x//' <<< "$(jq -r .instanceType dnanexus-job.json)")" ]
  head -n1 /proc/meminfo | awk '{print int($2*0.8/1024)}' > .mem_in_mb.txt
  echo "$cores cores, $(<.mem_in_mb.txt) MB of $(free -m | awk '/^Mem/ {print $2}')"
  df -BG --output=avail / /tmp "$HOME" | sort -u | grep -c G
}
""",
    "environment": r"""
set -e
main() {
  env -i bash -c 'source ~/environment 2> /dev/null || source /home/dnanexus/environment
    dx describe "$DX_JOB_ID" --json | jq -r .id; echo "$HOME"; dx whoami --id'
  (source ~/environment; echo "$DX_WORKSPACE_ID")
}
""",
    "into the project": """
set -e
main() {
  workspace=$DX_WORKSPACE_ID
  unset DX_WORKSPACE_ID
  dx cd "$DX_PROJECT_CONTEXT_ID:" 2> /dev/null || true
  echo into > straight.txt
  made=$(dx upload straight.txt --path "$DX_PROJECT_CONTEXT_ID:/straight.txt" --brief)
  dx describe "$made" --json | jq -r .project
  dx mkdir -p "$DX_PROJECT_CONTEXT_ID:/made/here"
  dx tag "$DX_JOB_ID" tagged
}
""",
    "own token": """
set -e
main() {
  token=$(jq -r .auth_token <<< "$DX_SECURITY_CONTEXT")
  dx --auth-token "$token" whoami --id
  api=$DX_APISERVER_PROTOCOL://$DX_APISERVER_HOST:$DX_APISERVER_PORT
  env -i curl -sS -H "Authorization: Bearer $token" -H 'Content-Type: application/json' -d '{}' \
    "$api/system/whoami" | jq -r .id
}
""",
    "undeclared tools": """
main() {
  for tool in python3 jq parallel unzip zip git make bc wget pigz sudo curl xz file rsync; do
    command -v "$tool" > /dev/null || echo "no $tool"
  done
  python3 -c 'import numpy, dateutil, requests' && perl -e 'print "all\\n"'
}
""",
    "links of every form": r"""
set -e -o pipefail
main() {
  dx download "$f" -o 1
  dx download "$(jq -r '.["$dnanexus_link"]' <<< "$f")" -o 2
  dx download "$(awk -F'"' '{print $4}' <<< "$f")" -o 3
  dx download "$(grep -Po 'file-\w+' <<< "$f")" -o 4
  cat 1 2 3 4
}
""",
}
SPECS: dict[str, dict[str, Any]] = {
    "odd files to upload": {"outputSpec": [field("o", "array:file")]},
    "outputs by parallel": {"outputSpec": [field("ns", "array:int")]},
    "into the project": {"access": {"project": "CONTRIBUTE"}},
    "links of every form": {"inputSpec": [field("f", "file")]},
    "upload of nothing": {"outputSpec": [field("o", "array:file", optional=True)]},
}


@pytest.fixture(scope="module")
def jobs(dx: Dx) -> dict[str, str]:
    given = {"f": {"$dnanexus_link": dx.upload("given.txt", "given\n")}}
    return {
        name: dx.run(dx.applet(code, **SPECS.get(name, {})), input=given if "links" in name else {})
        for name, code in SCRIPTS.items()
    }


def done(dx: Dx, jobs: dict[str, str], name: str) -> Ended:
    ended = dx.site.ended(jobs[name])
    assert ended.state == "done", "\n".join([ended.why, *ended.said("STDOUT", "STDERR")])
    return ended


def test_the_statistics_process_is_there_to_be_replaced(dx: Dx, jobs: dict[str, str]) -> None:
    assert done(dx, jobs, "statistics").said()[-2:] == ["1", "still here"]


def test_uploading_all_outputs_is_quiet_without_any(dx: Dx, jobs: dict[str, str]) -> None:
    ended = done(dx, jobs, "upload of nothing")
    assert (ended.said()[-1], ended.output) == ("quiet", {})


def test_hidden_files_and_links_are_no_outputs(dx: Dx, jobs: dict[str, str]) -> None:
    (link,) = done(dx, jobs, "odd files to upload").output["o"]
    found = dx.json("describe", link["$dnanexus_link"])
    assert (found["folder"], found["name"]) == ("/sub", "x.txt")


def test_outputs_added_side_by_side_are_all_there(dx: Dx, jobs: dict[str, str]) -> None:
    ended = done(dx, jobs, "outputs by parallel")
    assert sorted(ended.output["ns"]) == list(range(1, OUTPUTS + 1))


def test_an_error_file_that_a_good_job_leaves_means_nothing(dx: Dx, jobs: dict[str, str]) -> None:
    assert done(dx, jobs, "stale error").output == {}


def test_the_job_sees_the_cores_memory_and_disk_of_its_type(dx: Dx, jobs: dict[str, str]) -> None:
    ended = done(dx, jobs, "sizes")
    cores, _, used, _, _, total = ended.said()[0].replace(",", "").split()
    assert int(cores) >= 1
    assert abs(int(used) - int(total) * 0.8) <= 2
    assert ended.said()[1] == "1"  # one and the same disk for /, /tmp and home


def test_the_environment_can_be_sourced_by_another_shell(dx: Dx, jobs: dict[str, str]) -> None:
    ended = done(dx, jobs, "environment")
    wanted = [ended.describe["id"], "/home/dnanexus", dx.user, ended.describe["workspace"]]
    assert ended.said() == wanted


def test_a_job_without_its_workspace_writes_into_the_project(dx: Dx, jobs: dict[str, str]) -> None:
    ended = done(dx, jobs, "into the project")
    assert ended.said()[-1] == dx.project
    assert dx("cat", "/straight.txt").out == "into\n"
    assert dx("ls", "/made").out == "here/\n"
    assert ended.describe["tags"] == ["tagged"]


def test_a_job_passes_its_own_token_on(dx: Dx, jobs: dict[str, str]) -> None:
    assert done(dx, jobs, "own token").said() == [dx.user] * 2


def test_tools_that_no_app_declares_are_there(dx: Dx, jobs: dict[str, str]) -> None:
    assert done(dx, jobs, "undeclared tools").said() == ["all"]


def test_every_way_to_read_a_link_works(dx: Dx, jobs: dict[str, str]) -> None:
    assert done(dx, jobs, "links of every form").said() == ["given"] * 4


def a_wheel() -> bytes:
    """A package `bundledwheel`, made by nobody's tool."""
    files = {
        "bundledwheel.py": b"ANSWER = 42\n",
        "bundledwheel-1.0.dist-info/METADATA": (
            b"Metadata-Version: 2.1\nName: bundledwheel\nVersion: 1.0\n"
        ),
        "bundledwheel-1.0.dist-info/WHEEL": (
            b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        ),
    }
    record = "".join(
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode()},"
        f"{len(content)}\n"
        for name, content in files.items()
    )
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        archive.writestr("bundledwheel-1.0.dist-info/RECORD", record)
    return out.getvalue()


def a_debian_package() -> bytes:
    """A package `bundled-deb` with one program."""

    def packed(**files: tuple[str, int]) -> bytes:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w:gz") as archive:
            for name, (text, mode) in files.items():
                info = tarfile.TarInfo("./" + name.replace("__", "/"))
                info.size, info.mode = len(text), mode
                archive.addfile(info, io.BytesIO(text.encode()))
        return out.getvalue()

    control = "Package: bundled-deb\nVersion: 1\nArchitecture: all\nMaintainer: x <x@x.x>\n"
    control += "Description: x\n"
    members = {
        "debian-binary": b"2.0\n",
        "control.tar.gz": packed(control=(control, 0o644)),
        "data.tar.gz": packed(usr__bin__bundled=("#!/bin/sh\necho from a package\n", 0o755)),
    }
    out = b"!<arch>\n"
    for name, content in members.items():
        out += formats.ar_header(name.encode(), b"%d" % len(content)) + content
        out += b"\n" * (len(content) % 2)
    return out


@pytest.fixture(scope="module")
def resources(dx: Dx) -> Ended:
    """An app that brings along whatever apps bring along, wherever they put it."""
    code = """
set -e -o pipefail
main() {
  for path in /usr/bin/r1 /usr/local/bin/r2 /home/dnanexus/r3 /Tool/r4 /opt/r5 /lib/r6 \\
      /usr/share/r7 /tmp/r8 /home/ubuntu/r9 /home/dnanexus/linked; do
    cat "$path"
  done
  r2 | sed 's/.*/a program/'
  stat -c '%N %a' /lib /tmp
  sudo -H python3 -m pip install --quiet --no-index --no-deps packages/*.whl
  python3 -c 'import bundledwheel; print(bundledwheel.ANSWER)'
  sudo dpkg -i package.deb > /dev/null
  bundled
}
"""
    places = ["usr/bin", "usr/local/bin", "home/dnanexus", "Tool", "opt", "lib"]
    places += ["usr/share", "tmp", "home/ubuntu"]
    files = {f"resources/{place}/r{n}": f"r{n}\n" for n, place in enumerate(places, 1)}
    files["resources/usr/local/bin/r2"] = "#!/bin/sh\necho r2\n"
    folder = dx.write_applet("resourceful", {"src/code.sh": code, **files})
    home = folder / "resources/home/dnanexus"
    (folder / "resources/usr/local/bin/r2").chmod(0o755)
    (home / "packages").mkdir()
    (home / "packages/bundledwheel-1.0-py3-none-any.whl").write_bytes(a_wheel())
    (home / "package.deb").write_bytes(a_debian_package())
    outside = folder / "outside.txt"
    outside.write_text("from outside\n")
    (home / "linked").symlink_to(Path("../../../outside.txt"))
    return dx.site.ended(dx.run(dx.build(folder)))


def test_resources_arrive_wherever_apps_put_them(resources: Ended) -> None:
    assert resources.state == "done", "\n".join([resources.why, *resources.said("STDERR")])
    platform = ("#!/bin/sh", "echo r2", ">>>")
    said = [line for line in resources.said() if not line.startswith(platform)]
    wanted = ["r1", *(f"r{n}" for n in range(3, 10)), "from outside", "a program"]
    assert said[: len(wanted)] == wanted


def test_folders_that_resources_have_do_not_replace_the_systems(resources: Ended) -> None:
    found = [line.replace("'", "") for line in resources.said() if line.lstrip("'")[:1] == "/"]
    assert found == ["/lib -> usr/lib 777", "/tmp 1777"]


def test_bundled_wheels_and_packages_are_installed_by_sudo(resources: Ended) -> None:
    assert resources.said()[-2:] == ["42", "from a package"]


def test_a_pipe_whose_writer_has_died_ends_by_the_timeout_with_all_its_processes(
    images_folder: Path, tmp_path: Path
) -> None:
    code = """
main() {
  mkfifo pipe
  (exit 1) &
  (setsid sh -c 'trap "" TERM; exec sleep 1111' &)
  echo waiting
  cat pipe | sort
}
"""
    with opened(images_folder, PLASMID_JOBS_TIMEOUT_MS_MAX="3000") as site:
        own = user(site, tmp_path, "hanging")
        job = own.run(own.applet(code), executionPolicy={"restartOn": {}})
        ended = site.ended(job)
        assert ended.why.startswith("JobTimeoutExceeded"), ended.why
        assert "waiting" in ended.said()
        none_is_left(site, job)


def none_is_left(site: Site, job: str) -> None:
    assert [line for line in leftovers.find_processes(job, site.data) if job in line] == []
    assert json.dumps(site.describe(job)["state"]) == '"failed"'
