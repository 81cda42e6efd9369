"""Jobs that failed, run again from the same start (`plasmid replay`); `just replays` has fifty."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from plasmid.cli import leftovers
from plasmid.domain import job_states
from tests.e2e.driver import OPTIONS, ROOT, Dx, field, file, until
from tests.replays import running, seeded
from tests.replays.running import replay

pytestmark = pytest.mark.e2e

KINDS = (seeded.by_its_file, seeded.in_a_sub_job, seeded.a_bad_output)
READS = [field("reads", "file")]
OUTPUTS = [field("report", "file"), field("lines", "int")]
CODE = """
main() {
  echo "reading $reads_name as $DX_JOB_ID"
  dx-download-all-inputs
  sort "$reads_path" > report.txt
  dx-jobutil-add-output report "$(dx upload report.txt --brief --wait)" --class file
  dx-jobutil-add-output lines "$(wc -l < report.txt)" --class int
}
"""


@pytest.fixture(scope="module")
def jobs(dx: Dx) -> dict[str, tuple[str, seeded.Failing]]:
    """A failing job of a few kinds, started at once."""
    cases = [case for case in seeded.failures(7, len(seeded.KINDS)) if case.kind in _kinds()]
    return {case.kind: (running.start(dx, n, case), case) for n, case in enumerate(cases)}


def _kinds() -> set[str]:
    names = {make.__name__ for make in KINDS}
    first = seeded.failures(7, len(seeded.KINDS))
    return {
        case.kind for case, make in zip(first, seeded.KINDS, strict=True) if make.__name__ in names
    }


def everything(dx: Dx) -> dict[str, Any]:
    """All that is to be seen of the project, and how many jobs there are."""
    scope = {"project": dx.project, "folder": "/", "recurse": True}
    asked = {"scope": scope, "visibility": "either", "describe": True}
    return {
        "project": dx.call(
            f"/{dx.project}/describe", {"fields": {"modified": True, "version": True}}
        ),
        "listing": dx.call(f"/{dx.project}/listFolder", {"folder": "/", "describe": True}),
        "objects": dx.call("/system/findDataObjects", asked)["results"],
        "jobs": dx.call("/system/findJobs", {"project": dx.project, "describe": True})["results"],
    }


def going_on(dx: Dx) -> list[str]:
    """The jobs of the project that are not over."""
    asked = {"project": dx.project, "describe": {"fields": {"state": True}}}
    found = dx.call("/system/findJobs", asked)["results"]
    return [job["id"] for job in found if not job_states.is_terminal(job["describe"]["state"])]


@pytest.mark.parametrize("kind", sorted(_kinds()))
def test_a_replay_fails_as_the_original_did_and_touches_nothing(
    dx: Dx, jobs: dict[str, tuple[str, seeded.Failing]], kind: str
) -> None:
    for job, _ in jobs.values():
        dx.site.state(job, "failed")
    until(lambda: not going_on(dx))  # also those that a failed job has started
    before = everything(dx)
    job, case = jobs[kind]
    ended = running.replayed(dx, job, case)
    assert running.problems(dx.site, case, ended) == []
    assert everything(dx) == before
    assert not leftovers.find_processes(ended.job)


def test_changed_source_is_shown_beside_the_original_from_a_bundle(dx: Dx, tmp_path: Path) -> None:
    applet = dx.applet(CODE, inputSpec=READS, outputSpec=OUTPUTS, run=seeded.TINY)
    reads = dx.upload("reads.txt", "b\na\n")
    job = dx.run(applet, input={"reads": file(reads)}, folder="/results")
    assert dx.site.ended(job).state == "done"
    bundle = tmp_path / "job.tar.gz"
    said = replay(dx.site, job, "--export", str(bundle))
    assert (said.code, bundle.exists()) == (0, True), said.err
    assert not any(secret in _unpacked(bundle) for secret in _secrets(dx))
    changed = CODE.replace("sort", "sort -r").replace("reading", "now reading")
    source = dx.write_applet(
        "changed", {"src/code.sh": changed}, inputSpec=READS, outputSpec=OUTPUTS,
        runSpec=seeded.TINY,
    )  # fmt: skip
    said = replay(dx.site, "--bundle", str(bundle), "--against", str(source), data=False)
    assert said.code == 0, said.err
    told = [line.strip() for line in said.out.splitlines()]
    assert "-reading reads.txt as job-ID" in told
    assert "+now reading reads.txt as job-ID" in told
    assert {"line 1 then: a", "line 1 now:  b"} <= set(told)
    assert any(re.fullmatch(r"output report \(report.txt\): 4 bytes, .*", line) for line in told)
    assert not any(line.startswith("output lines") for line in told)
    assert re.fullmatch(r"time: [\d.]+ s then, [\d.]+ s now; peak memory: \d+ MiB .*", told[-1])


def _unpacked(bundle: Path) -> bytes:
    return subprocess.run(["gzip", "-dc", bundle], capture_output=True, check=True).stdout


def _secrets(dx: Dx) -> list[bytes]:
    return [value.encode() for name, value in dx.site.keys.items() if "token" in name]


def test_a_shell_is_in_the_sandbox_just_before_the_code(
    dx: Dx, jobs: dict[str, tuple[str, seeded.Failing]]
) -> None:
    job, _ = jobs["bad output"]
    dx.site.state(job, "failed")
    run = f"bash ~/{job}; cat job_output.json; dx describe $DX_JOB_ID --json"
    typed = f"echo before; ls; {run}\nexit 9\n"
    said = replay(dx.site, job, "--shell", stdin=typed)
    assert said.code == 9, said.err
    before, _, after = said.out.partition("dnanexus-job.json")
    assert before.startswith("before\n")
    assert "job_output.json" not in before
    described = json.loads(after[after.index('{\n    "id"') :])
    assert (described["id"], described["project"]) == (job, dx.project)
    assert '": "' in after[: after.index('{\n    "id"')]


def test_a_shell_has_a_real_terminal(dx: Dx, jobs: dict[str, tuple[str, seeded.Failing]]) -> None:
    job, _ = jobs["bad output"]
    dx.site.state(job, "failed")
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("PLASMID_", "DX_"))}
    environ |= {"PLASMID_HOME": str(dx.site.home), "PYTHONPATH": str(ROOT / "src"), **OPTIONS}
    ours, its = pty.openpty()
    command = [sys.executable, "-P", "-m", "plasmid", "replay", job, "--shell"]
    shell = subprocess.Popen(
        [*command, "--data", str(dx.site.data)],
        env=environ, stdin=its, stdout=its, stderr=its, start_new_session=True,
    )  # fmt: skip
    os.close(its)
    try:
        _read_until(ours, b"Leave: exit")
        os.write(ours, b"[ -t 0 ] && (echo is-a-$((41+1))-terminal; sleep 1000)\n")
        _read_until(ours, b"is-a-42-terminal")
        os.write(ours, b"\x03")
        _read_until(ours, b"# ")
        os.write(ours, b"exit 5\n")
        _read_until(ours, None)
        assert shell.wait(timeout=60) == 5
    finally:
        os.close(ours)
        if shell.poll() is None:
            shell.send_signal(signal.SIGTERM)
            shell.wait(timeout=60)


def _read_until(terminal: int, wanted: bytes | None, seconds: float = 60.0) -> None:
    """Read what a terminal shows until there are some bytes, or (None) until it is closed."""
    shown, deadline = b"", time.monotonic() + seconds
    while wanted is None or wanted not in shown:
        assert time.monotonic() < deadline, shown.decode(errors="replace")
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                shown += os.read(terminal, 65536)
            except OSError:
                assert wanted is None, shown.decode(errors="replace")
                return
