"""Dependencies are installed once and then lie ready, whatever happens to them in between."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.driver import ROOT, Dx, Ended, Site, file, opened, until, user

pytestmark = pytest.mark.e2e

TREE = [{"name": "tree"}]
MADE = "apt packages tree: from the layer made "
# Nothing listens there: whoever is sent to it reaches nothing.
DEAD_PROXY = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def layered(images_folder: Path) -> Iterator[Site]:
    """A server whose layers belong to these tests."""
    with opened(images_folder, PLASMID_JOBS_RUNNING_MAX="8") as site:
        yield site


@pytest.fixture(scope="module")
def dx(layered: Site, tmp_path_factory: pytest.TempPathFactory) -> Dx:
    return user(layered, tmp_path_factory.mktemp("layers"), "layers")


def layers(site: Site) -> list[Path]:
    """The layers that are there, and whatever else lies in their folder."""
    return sorted(path for path in (site.home / "layers").iterdir() if path.name != ".lock")


def layer_with(site: Site, path: str) -> Path:
    """The one layer that holds a path."""
    (found,) = [layer for layer in layers(site) if (layer / "tree" / path).exists()]
    return found


def plasmid(site: Site, *arguments: str, code: int = 0) -> str:
    """Run a command of plasmid on the site's home; return what it prints."""
    ran = subprocess.run(
        [sys.executable, "-P", "-m", "plasmid", *arguments],
        env=os.environ | {"PLASMID_HOME": str(site.home), "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ran.returncode == code, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


def a_job(dx: Dx, depends: list[dict[str, str]], code: str = "true") -> str:
    applet = dx.applet(code, run={"execDepends": depends})
    return dx.run(applet, executionPolicy={"restartOn": {}})


def building(site: Site) -> bool:
    """Say whether packages are just being installed."""
    return any(
        path.name == "dpkg"
        for path in (site.home / "layers").glob(".build-*/sandbox/upper/var/lib/*")
    )


def installed(ended: Ended) -> int:
    return sum(text.startswith("Installing ") for text in ended.said("INFO"))


def test_eight_equal_jobs_install_once(dx: Dx) -> None:
    applet = dx.applet("tree --version | cut -c1-4", run={"execDepends": TREE})
    jobs = [dx.run(applet) for _ in range(8)]
    ended = [dx.site.ended(job) for job in jobs]
    assert [(each.state, each.said()) for each in ended] == [("done", ["tree"])] * 8
    assert sum(installed(each) for each in ended) == 1
    assert all(any(MADE in text for text in each.said("INFO")) for each in ended)
    assert not list((dx.site.home / "layers").glob(".[bo]*"))


def test_what_apps_see_of_an_installation_is_there(dx: Dx) -> None:
    code = (
        "test -s /tmp/dx_apt_install_0.log && echo log\n"
        "dpkg -s tree | grep ^Status\nls /opt/plasmid\n"
        "apt-cache policy tree | grep -c Candidate\n"
    )
    ended = dx.site.ended(a_job(dx, TREE, code))
    said = ended.said()
    assert (said[:2], said[-1]) == (["log", "Status: install ok installed"], "1"), ended.why
    assert not {"dependencies.json", "install-dependencies", "resolved.json"} & set(said)


def test_a_later_job_needs_no_network(dx: Dx) -> None:
    dx.site.ended(a_job(dx, TREE))
    site = dx.site
    site.stop()
    options = dict(site._options)
    site._options |= dict.fromkeys(("http_proxy", "https_proxy"), DEAD_PROXY)
    try:
        site.start()
        ended = site.ended(a_job(dx, TREE, "tree --version | cut -c1-4"))
        assert (ended.said(), installed(ended)) == (["tree"], 0)
        other = site.ended(a_job(dx, [{"name": "sl"}]))
        assert other.why.startswith("ExecutionError: DXExecDependencyError"), other.why
    finally:
        site._options = options
        site.stop()
        site.start()


def test_a_flipped_byte_is_told_and_the_layer_made_anew(dx: Dx) -> None:
    dx.site.ended(a_job(dx, TREE))
    program = layer_with(dx.site, "usr/bin/tree") / "tree/usr/bin/tree"
    before = program.stat()
    with program.open("r+b") as opened_program:
        opened_program.seek(100)
        byte = opened_program.read(1)
        opened_program.seek(100)
        opened_program.write(bytes([byte[0] ^ 1]))
    os.utime(program, ns=(before.st_atime_ns, before.st_mtime_ns))
    ended = dx.site.ended(a_job(dx, TREE, "tree --version | cut -c1-4"))
    assert (ended.state, ended.said(), installed(ended)) == ("done", ["tree"], 1)
    (warning,) = ended.said("WARNING")
    assert "made anew, as /usr/bin/tree is not as it was made" in warning


def test_a_layer_in_use_is_not_deleted(dx: Dx) -> None:
    job = a_job(dx, TREE, "while ! test -e /stop; do sleep 0.1; done; tree --version")
    until(lambda: any("running (job ID" in line.msg for line in dx.site.log(job, tail=False)))
    key = layer_with(dx.site, "usr/bin/tree").name
    assert f"in use by {job}" in plasmid(dx.site, "layer", "rm", key[:10], code=1)
    # Nor by a worker that has taken the job over.
    (pid,) = dx.site.worker_pids()
    os.kill(pid, signal.SIGKILL)
    until(lambda: dx.site.worker_pids() not in ([], [pid]))
    assert f"in use by {job}" in plasmid(dx.site, "layer", "rm", key[:10], code=1)
    dx.call(f"/{job}/terminate")
    dx.site.state(job, "terminated")
    until(lambda: "in use" not in plasmid(dx.site, "layer", "list"))
    assert "deleted" in plasmid(dx.site, "layer", "rm", key[:10])


def test_a_killed_builder_leaves_nothing_and_the_job_is_done(dx: Dx) -> None:
    job = a_job(dx, [{"name": "samtools"}], "samtools --version | head -1")
    until(lambda: building(dx.site))
    (pid,) = dx.site.worker_pids()
    os.kill(pid, signal.SIGKILL)
    ended = dx.site.ended(job)
    assert ended.state == "done", ended.why
    assert not list((dx.site.home / "layers").glob(".build-*"))


def test_a_terminated_job_stops_its_build(dx: Dx) -> None:
    job = a_job(dx, [{"name": "bedtools"}])
    until(lambda: building(dx.site))
    dx.call(f"/{job}/terminate")
    dx.site.state(job, "terminated")
    until(lambda: not list((dx.site.home / "layers").glob(".build-*")))
    assert not any((layer / "tree/usr/bin/bedtools").exists() for layer in layers(dx.site))


def test_an_archive_is_a_layer_by_its_content(dx: Dx) -> None:
    folder = dx.home / "archive"
    (folder / "odd").mkdir(parents=True)
    (folder / "odd/file").write_text("content\n")
    subprocess.run(["tar", "-czf", "a.tar.gz", "-C", "archive", "odd"], cwd=dx.home, check=True)
    content = (dx.home / "a.tar.gz").read_bytes()
    ends = []
    for number in (1, 2):
        bundle = dx.upload(f"{number}/a.tar.gz", content)
        run = {"bundledDepends": [{"name": "a.tar.gz", "id": file(bundle)}]}
        ends.append(dx.ran("cat /odd/file", run=run))
    assert [(each.said("STDOUT")[-1], each.state) for each in ends] == [("content", "done")] * 2
    assert [">>> Unpacking a.tar.gz to /" in each.said() for each in ends] == [True, False]


def test_forty_steps_are_no_matter(dx: Dx) -> None:
    bundles = []
    for number in range(40):
        path = dx.home / f"many/f{number}"
        path.parent.mkdir(exist_ok=True)
        path.write_text(str(number))
        subprocess.run(["tar", "-cf", f"f{number}.tar", f"f{number}"], cwd=path.parent, check=True)
        uploaded = dx.upload(f"many/f{number}.tar", (path.parent / f"f{number}.tar").read_bytes())
        bundles.append({"name": f"f{number}.tar", "id": file(uploaded)})
    ended = dx.ran("cat /f0 /f39; echo; ls -d /f* | wc -l", run={"bundledDepends": bundles})
    assert (ended.state, ended.said()[-2:]) == ("done", ["039", "40"]), ended.why


def test_a_lock_is_installed_exactly_or_the_job_fails_with_the_difference(dx: Dx) -> None:
    folder = dx.write_applet(
        "locked",
        {"src/code.sh": "main() { tree --version | cut -c1-4; }"},
        runSpec={"execDepends": TREE},
    )
    told = plasmid(dx.site, "lock", str(folder), "--into-dxapp")
    assert "1 packages" in told
    assert "fits" in plasmid(dx.site, "lock", str(folder), "--check")
    ended = dx.site.ended(dx.run(dx.build(folder)))
    assert (ended.state, ended.said()) == ("done", ["tree"]), ended.why
    document = json.loads((folder / "dxapp.json").read_text())
    (group,) = document["details"]["plasmidLock"]["groups"]
    group["resolved"]["apt"][0]["version"] = "0.0-1"
    (folder / "dxapp.json").write_text(json.dumps(document))
    wrong = dx.site.ended(dx.run(dx.build(folder, "-f"), executionPolicy={"restartOn": {}}))
    assert wrong.why.startswith("ExecutionError: DXExecDependencyError")
    assert "0.0-1" in wrong.why
    document["runSpec"]["execDepends"] = [{"name": "tree"}, {"name": "bc"}]
    (folder / "dxapp.json").write_text(json.dumps(document))
    other = dx.site.ended(dx.run(dx.build(folder, "-f"), executionPolicy={"restartOn": {}}))
    assert "apt packages tree, bc are not in it" in other.why
