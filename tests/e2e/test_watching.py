"""`dx watch`: live, complete, ends by itself, tells by its code how the job ended (N.4, N.9)."""

from __future__ import annotations

import pytest
from websockets.exceptions import ConnectionClosed

from tests.e2e.driver import Dx, Site

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
        numbers = [entry.line for entry in dx.site.log(job)]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            (["--get-stdout"], ["out", "stream out"]),
            (["--get-streams", "-n", "1"], None),
            (["-l", "WARNING", "--no-job-info", "--no-timestamps"], ["{job} WARNING to warning"]),
            (["-l", "ERROR", "-f", "{level}: {msg}", "--no-job-info"], ["ERROR: to error"]),
        ],
    )
    def test_options_choose_what_is_shown(
        self, dx: Dx, job: str, *, options: list[str], expected: list[str] | None
    ) -> None:
        shown = dx("watch", "-q", job, *options).out.splitlines()
        wanted = [line.replace(job, "{job}") for line in shown if "(job ID" not in line]
        assert wanted == expected if expected is not None else len(shown) == 1

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
        assert watcher.wait(10) == 0

    def test_run_watches_until_the_end(self, dx: Dx) -> None:
        said = dx("run", dx.applet("echo hello", name="hi"), "-y", "--watch")
        assert "hi STDOUT hello" in said.out
        assert said.out.index("hi STDOUT hello") < said.out.rindex("* hi (done)")

    def test_a_failed_job_gives_code_three(self, dx: Dx) -> None:
        job = dx.run(dx.applet("echo before; exit 7", name="unlucky"))
        said = dx("watch", job, code=3)
        assert "unlucky STDOUT before" in said.out
        assert "AppInternalError" in said.out

    def test_the_tree_shows_the_lines_of_children(self, dx: Dx) -> None:
        code = "main() { dx-jobutil-new-job child > /dev/null; }\nchild() { echo from below; }"
        said = dx("watch", "--tree", dx.run(dx.applet(code, name="top")))
        assert "top:child STDOUT from below" in said.out


class TestRefusals:
    def test_no_such_job(self, dx: Dx) -> None:
        assert "ResourceNotFound" in dx("watch", "job-" + "0" * 24, code=3).text

    def test_a_bad_token(self, dx: Dx, job: str) -> None:
        bad = {"DX_SECURITY_CONTEXT": '{"auth_token": "expired", "auth_token_type": "Bearer"}'}
        assert "InvalidAuthentication" in dx("watch", job, code=3, environ=bad).text


def test_a_restart_tells_watchers_to_come_again_and_then_tells_all(
    own_site: Site, own_dx: Dx
) -> None:
    code = PATIENT
    job = own_dx.run(own_dx.applet(code))
    frames = own_site.frames(job)
    assert "first" in (frame["msg"] for frame in frames)
    own_site.stop()
    with pytest.raises(ConnectionClosed) as closed:
        list(frames)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1001, RECONNECT)
    own_site.start()
    own_dx.call(f"/{own_dx.project}/newFolder", {"folder": "/go"})
    assert own_site.ended(job).said() == ["first", "second"]
