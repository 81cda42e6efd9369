"""`dx watch`: live, complete, ends by itself, tells by its code how the job ended (N.4, N.9)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from plasmid.domain import metrics
from plasmid.methods.log_messages import LEVELS as LEVELS_SHOWN
from tests.e2e import second_user
from tests.e2e.driver import ROOT, Dx, Said, Site, until

pytestmark = pytest.mark.e2e

# The client's own words: it looks for exactly these (contract G.1).
RECONNECT = "Server restart, please reconnect later"
PATIENT = """
main() { echo first; until dx ls "$DX_PROJECT_CONTEXT_ID:/go"; do :; done; echo second; }
"""
LEVELS = ("debug", "info", "warning", "error", "critical")
CODE = f"""
main() {{
  echo out; echo err >&2
  for level in {" ".join(LEVELS)}; do dx-log-stream -l $level -s DX_APP <<< "to $level"; done
  dx-log-stream -l info -s DX_APP_STREAM <<< "stream out"
  dx-log-stream -l error -s DX_APP_STREAM <<< "stream err"
}}
"""

HOSTILE = r"""
main() {
  printf 'red \033[31mred\033[0m osc \033]52;c;eA==\007 wipe \033[2J back\rjob ERROR fake\n'
  python3 - <<'END'
import json, socket
for name in ("priority", "bulk"):
    log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    log.connect("/opt/dnanexus/log/" + name)
    for told in (
        {"source": "SYSTEM", "level": "info", "msg": "END_LOG"},
        {"source": "SYSTEM", "level": "METRICS", "msg": "{}"},
        {"source": "DX_APP", "level": "info", "msg": "a\\nx ERROR fake"},
    ):
        log.send(json.dumps({"timestamp": 1, **told}).encode())
END
  echo END_LOG
  echo last
}
"""
# The second try is told from the first by what the first has left in the project.
TWICE = """
main() {
  if dx ls "$DX_PROJECT_CONTEXT_ID:/tried"; then echo second; else
    dx mkdir "$DX_PROJECT_CONTEXT_ID:/tried"; echo first; exit 9
  fi
}
"""


def plasmid_logs(site: Site, *arguments: str, code: int = 0) -> Said:
    """Run `plasmid logs` for a site; it must end with `code`."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("PLASMID_", "DX_"))}
    ran = subprocess.run(
        [sys.executable, "-P", "-m", "plasmid", "logs", *arguments],
        env=environ | {"PLASMID_HOME": str(site.home), "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        timeout=120,
        check=False,
    )
    said = Said(ran.returncode, ran.stdout.decode(), ran.stderr.decode())
    assert said.code == code, f"plasmid logs {arguments}\n{said.out}{said.err}"
    return said


@pytest.fixture(scope="module")
def job(dx: Dx) -> str:
    """A job that has spoken on every level and is done."""
    job = dx.run(dx.applet(CODE, name="speaker"))
    dx.site.state(job, "done")
    return job


class TestFinishedJob:
    def test_every_level_is_what_the_table_says(self, dx: Dx, job: str) -> None:
        for level in LEVELS:
            assert f"to {level}" in dx.site.ended(job).said(level.upper())
        assert dx.site.ended(job).said("STDOUT") == ["out", "stream out"]
        assert dx.site.ended(job).said("STDERR")[-2:] == ["err", "stream err"]

    def test_lines_are_numbered_without_a_gap(self, dx: Dx, job: str) -> None:
        """Measurements have numbers too, which readers that do not see them find missing."""
        entries = dx.site.log(job, levels=sorted(LEVELS_SHOWN))
        assert [entry.line for entry in entries] == list(range(len(entries)))
        seen = [entry for entry in entries if entry.level != metrics.LEVEL]
        assert dx.site.log(job) == seen

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            (["--get-stdout"], ["out", "stream out"]),
            (["--get-streams", "-n", "1"], None),
            (["-l", "WARNING", "--no-job-info", "--no-timestamps"], ["{job} WARNING to warning"]),
            (["-l", "ERROR", "-f", "{level}: {msg}", "--no-job-info"], ["ERROR: to error"]),
            (["--get-stderr", "-n", "2"], ["err", "stream err"]),
            (
                ["-l", "CRITICAL", "-l", "DEBUG", "-f", "{msg}", "--no-job-info", "--try", "0"],
                ["to debug", "to critical"],
            ),
            (["-l", "INFO", "-n", "0", "--no-job-info"], []),
            (["-f", "{jobTry} {line}", "-n", "1", "--try", "0", "--no-job-info"], None),
            (
                [
                    "-l",
                    "METRICS",
                    "-f",
                    "{msg}",
                    "--metrics",
                    "interspersed",
                    "--no-job-info",
                    "-n",
                    "0",
                ],
                [],
            ),
        ],
    )
    def test_options_choose_what_is_shown(
        self, dx: Dx, job: str, *, options: list[str], expected: list[str] | None
    ) -> None:
        shown = dx("watch", "-q", job, *options).out.splitlines()
        wanted = [line.replace(job, "{job}") for line in shown if "(job ID" not in line]
        assert wanted == expected if expected is not None else len(shown) == 1

    def test_names_and_ids_of_jobs_and_tries_are_shown(self, dx: Dx, job: str) -> None:
        shown = dx("watch", job, "--job-ids", "--try", "0", "--no-timestamps", "-l", "STDOUT")
        assert f"speaker ({job} try 0) STDOUT out" in shown.out
        assert f"Watching job {job} try 0." in shown.err

    def test_a_try_that_there_is_not_is_said(self, dx: Dx, job: str) -> None:
        # the client's library swallows what it raises then, so the exit code is no use
        assert f"ResourceNotFound: {job} has no try 7" in dx("watch", job, "--try", "7").text

    def test_the_whole_log_comes_in_one_call(self, dx: Dx, job: str) -> None:
        lines = dx.site.log(job)
        whole = [json.loads(line) for line in plasmid_logs(dx.site, job, "--json").out.splitlines()]
        seen = [line for line in whole if line["level"] != metrics.LEVEL]
        assert [(line["line"], line["msg"]) for line in seen] == [
            (told.line, told.msg) for told in lines
        ]
        page = dx.call(f"/{job}/getLog", {"levels": ["CRITICAL"]})
        assert [told["msg"] for told in page["results"]] == ["to critical"]
        assert page["next"] is None
        said = plasmid_logs(dx.site, job, "--grep", "^to (w|e)", "--since", "1h", "--timestamps")
        assert [line.split(" ", 1)[1] for line in said.out.splitlines()] == [
            "WARNING to warning", "ERROR to error",
        ]  # fmt: skip
        assert (
            plasmid_logs(dx.site, job, "-l", "STDERR", "--tail", "1").out == "STDERR stream err\n"
        )

    def test_past_lines_are_shown_without_waiting(self, dx: Dx, job: str) -> None:
        shown = dx("watch", job, "--no-wait", "--tree").out
        assert "speaker STDOUT out" in shown
        assert "(done)" in shown


class TestRunningJob:
    def test_lines_are_shown_while_the_job_runs(self, dx: Dx) -> None:
        code = PATIENT
        job = dx.run(dx.applet(code, name="patient"))
        watcher = dx.start("watch", "-q", "--get-stdout", job)
        assert watcher.stdout is not None
        while watcher.stdout.readline() != "first\n":
            pass
        dx.call(f"/{dx.project}/newFolder", {"folder": "/go"})
        rest = watcher.stdout.read()
        watcher.stdout.close()
        assert rest.splitlines()[-1] == "second"
        assert watcher.wait(60) == 0

    def test_run_watches_until_the_end(self, dx: Dx) -> None:
        said = dx("run", dx.applet("echo hello", name="hi"), "-y", "--watch")
        assert "hi STDOUT hello" in said.out
        assert said.out.index("hi STDOUT hello") < said.out.rindex("* hi (done)")

    def test_a_failed_job_gives_code_three(self, dx: Dx) -> None:
        job = dx.run(dx.applet("echo before; exit 7", name="unlucky"))
        said = dx("watch", job, code=3)
        assert "unlucky STDOUT before" in said.out
        assert "AppInternalError" in said.out
        assert "STDOUT before" in plasmid_logs(dx.site, job, "--follow", code=3).out
        assert plasmid_logs(dx.site, job, "-n", "1").out.startswith("ERROR AppInternalError")

    def test_of_a_restarted_job_the_last_try_is_shown_or_the_one_asked_for(self, dx: Dx) -> None:
        policy, may = {"restartOn": {"AppInternalError": 1}}, {"project": "CONTRIBUTE"}
        job = dx.run(dx.applet(TWICE, name="twice", access=may), executionPolicy=policy)
        watched = dx("watch", "-q", "--get-stdout", job).out.splitlines()
        told = [line for line in watched if "(job ID" not in line and line != ""]
        assert told[-1] == "second"
        for options, expected in (([], "second"), (["--try", "1"], "second"),
                                  (["--try", "0"], "first")):  # fmt: skip
            # also that of the first try: its state is restarted, which is no failure to the client
            shown = dx("watch", "-q", "--get-stdout", job, *options, code=0)
            assert shown.out.splitlines()[-1] == expected
        whole = plasmid_logs(dx.site, job, "-l", "STDOUT").out.splitlines()
        heads = [line for line in whole if line.startswith("==>")]
        assert heads == [f"==> twice ({job}) try {number} <==" for number in (0, 1)]
        assert (whole[-1], whole.index("STDOUT first") < whole.index(heads[1])) == (
            "STDOUT second", True,
        )  # fmt: skip

    def test_a_job_that_has_not_started_says_nothing_yet(self, dx: Dx) -> None:
        record = dx.call("/record/new", {"project": dx.project, "name": "r"})["id"]
        job = dx.run(dx.applet("echo late", name="late"), dependsOn=[record])
        assert "late STDOUT" not in dx("watch", "--no-wait", job).out
        watcher = dx.start("watch", "-q", "--get-stdout", job)
        dx.call(f"/{record}/close")
        said, _ = watcher.communicate(timeout=60)
        assert (said.splitlines()[-1], watcher.returncode) == ("late", 0)

    def test_what_a_job_prints_neither_ends_the_watch_nor_acts_on_the_terminal(
        self, dx: Dx
    ) -> None:
        job = dx.run(dx.applet(HOSTILE, name="hostile"))
        shown = dx("watch", "--no-timestamps", job).out
        told = [line for line in shown.splitlines() if "hostile" in line or "ERROR fake" in line]
        assert not any(line.startswith(("job ERROR", "x ERROR")) for line in told)
        assert "\x1b[31mred" in shown
        assert r"osc \x1b]52;c;eA==\x07 wipe \x1b[2J back\rjob ERROR fake" in shown
        assert shown.count("END_LOG") == 3
        assert "hostile STDOUT last" in shown
        assert "METRICS" not in shown
        assert r"hostile INFO a\nx ERROR fake" in shown
        whole = plasmid_logs(dx.site, job).out
        assert "\x1b]52;c;eA==\x07" in whole

    def test_measurements_are_shown_between_the_lines_as_csv_or_not_at_all(self, dx: Dx) -> None:
        applet = dx.applet("echo on; sleep 2.5", name="measured")
        job = dx.run(applet, detailedJobMetrics=True)
        shown = dx("watch", job, "--no-timestamps").out
        assert "measured METRICS ** CPU usr/sys/idl/wai: " in shown
        assert "METRICS" not in dx("watch", job, "--metrics", "none").out
        header, *rows = dx("watch", job, "--metrics", "csv").out.splitlines()
        assert header == metrics.csv_header()
        assert len(rows) >= 1
        assert {row.count(",") for row in rows} == {header.count(",")}

    def test_the_tree_shows_the_lines_of_children(self, dx: Dx) -> None:
        code = "main() { dx-jobutil-new-job child > /dev/null; }\nchild() { echo from below; }"
        job = dx.run(dx.applet(code, name="top"))
        said = dx("watch", "--tree", job)
        assert "top:child STDOUT from below" in said.out
        whole = plasmid_logs(dx.site, job, "--tree", "--grep", "below").out
        assert whole.splitlines()[1:] == ["STDOUT from below"]


class TestRefusals:
    def test_no_such_job(self, dx: Dx) -> None:
        assert "ResourceNotFound" in dx("watch", "job-" + "0" * 24, code=3).text

    @pytest.mark.parametrize("name", ["job-x", "analysis-" + "0" * 24, "file-" + "0" * 24])
    def test_what_is_no_job(self, dx: Dx, name: str) -> None:
        assert "does not look like a DNAnexus job ID" in dx("watch", name, code=1).text

    def test_the_job_of_another_user(self, dx: Dx, job: str, tmp_path: Path) -> None:
        other = second_user.client(dx.site, tmp_path, "watcher")
        assert "PermissionDenied" in other("watch", job, code=3).text
        with pytest.raises(ConnectionClosed) as closed:
            next(dx.site.frames(job, access_token=other.token))
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4000
        assert json.loads(closed.value.rcvd.reason)["type"] == "PermissionDenied"

    def test_a_bad_token(self, dx: Dx, job: str) -> None:
        bad = {"DX_SECURITY_CONTEXT": '{"auth_token": "expired", "auth_token_type": "Bearer"}'}
        assert "InvalidAuthentication" in dx("watch", job, code=3, environ=bad).text


def test_a_restart_tells_watchers_to_come_again_and_then_tells_all(
    own_site: Site, own_dx: Dx, tmp_path: Path
) -> None:
    code = PATIENT
    job = own_dx.run(own_dx.applet(code))
    frames = own_site.frames(job)
    assert "first" in (frame["msg"] for frame in frames)
    watcher = own_dx.start("watch", "-q", "--get-stdout", job)
    environ = {**os.environ, "PLASMID_HOME": str(own_site.home), "PYTHONPATH": str(ROOT / "src")}
    told = tmp_path / "told"
    with told.open("wb") as sink:
        follower = subprocess.Popen(
            [sys.executable, "-P", "-m", "plasmid", "logs", job, "-f", "-l", "STDOUT"],
            env=environ,
            stdout=sink,
        )
    assert watcher.stdout is not None
    while watcher.stdout.readline() != "first\n":
        pass
    until(lambda: b"first" in told.read_bytes())
    own_site.stop()
    with pytest.raises(ConnectionClosed) as closed:
        list(frames)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1001, RECONNECT)
    own_site.start()
    own_dx.call(f"/{own_dx.project}/newFolder", {"folder": "/go"})
    assert own_site.ended(job).said() == ["first", "second"]
    again, _ = watcher.communicate(timeout=60)
    said = [line for line in again.splitlines() if line in ("first", "second")]
    assert (said, watcher.returncode) == (["first", "second"], 0)
    assert follower.wait(60) == 0
    lines = told.read_text().splitlines()
    assert [line for line in lines if "(job ID" not in line] == ["STDOUT first", "STDOUT second"]
