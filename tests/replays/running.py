"""Make a seeded failure on a server, and replay it as a user does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import Any, NamedTuple

from tests.e2e.driver import OPTIONS, ROOT, Dx, Said, Site
from tests.replays.seeded import TINY, Failing

REPLAY_SECONDS_MAX = 120.0
_MADE = re.compile(r"\bfile-\w{24}")
LINES = 20


class Replayed(NamedTuple):
    """A failed job and what its replay has said."""

    job: str
    described: dict[str, Any]
    said: Said


def replay(site: Site, *arguments: str, stdin: str = "", data: bool = True) -> Said:
    """Run `plasmid replay` on a site's machine."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("PLASMID_", "DX_"))}
    environ |= {"PLASMID_HOME": str(site.home), "PYTHONPATH": str(ROOT / "src"), **OPTIONS}
    where = ["--data", str(site.data)] if data else []
    ran = subprocess.run(
        [sys.executable, "-P", "-m", "plasmid", "replay", *arguments, *where],
        env=environ,
        input=stdin.encode(),
        capture_output=True,
        timeout=REPLAY_SECONDS_MAX,
        check=False,
    )
    return Said(ran.returncode, ran.stdout.decode(), ran.stderr.decode())


def start(dx: Dx, number: int, failing: Failing) -> str:
    """Start a job that fails, and return its id."""
    given = dict(failing.input)
    if failing.text is not None:
        given["reads"] = {"$dnanexus_link": dx.upload(f"reads {number}.tsv", failing.text)}
    specs = {"inputSpec": failing.input_spec, "outputSpec": failing.output_spec}
    applet = dx.applet(
        failing.code,
        interpreter=failing.interpreter,
        run=TINY,
        name=f"fails {failing.kind}",
        **{name: spec for name, spec in specs.items() if spec is not None},
    )
    return dx.run(applet, input=given, executionPolicy={"restartOn": {}}, folder="/out")


def replayed(dx: Dx, job: str, failing: Failing) -> Replayed:
    """Wait for a job's failure, replay it, and return both."""
    dx.site.state(job, "failed", "done", "terminated")
    if failing.replays_sub_job:
        found = dx.call("/system/findJobs", {"parentJob": job})["results"]
        job = found[0]["id"]
        dx.site.state(job, "failed")
    described = dx.site.describe(job)
    return Replayed(job, described, replay(dx.site, job))


def problems(site: Site, failing: Failing, ended: Replayed) -> list[str]:
    """Return what is not as it should be, by what the server knows and what the replay has shown.

    The replay's own verdict is not enough: its lines must be those of the original's log.
    """
    found = []
    described, err = ended.described, ended.said.err
    message = str(described.get("failureMessage"))
    reason = "AppInternalError" if failing.replays_sub_job else failing.reason
    if described.get("failureReason") != reason:
        found.append(f"the original failed with {described.get('failureReason')}: {message}")
    if ended.said.code != 1:
        found.append(f"exit code {ended.said.code}")
    if "as the original did, the replay failed with" not in err:
        found.append(err[-1500:])
    if reason == "JobTreeFailure":
        return found  # the message and the lines are those of another sub-job
    told = f"plasmid: {reason}: {message.rpartition('; replay it: ')[0]}"
    if _MADE.sub("file-", told) not in _MADE.sub("file-", err).splitlines():
        found.append(f"another message than {message}")
    for level in ("STDOUT", "STDERR"):
        lines = _last_lines(site, ended.job, level)
        shown = [line for line in err.splitlines() if line in lines]
        if shown[-len(lines) :] != lines:
            found.append(f"another end of {level}: {shown} and not {lines}")
    return found


def _last_lines(site: Site, job: str, level: str) -> list[str]:
    log = [entry for entry in site.log(job) if entry.level in ("STDOUT", "STDERR")]
    begun = [index for index, entry in enumerate(log) if f"(job ID {job})" in entry.msg]
    own = [entry.msg for entry in log[begun[-1] :] if entry.level == level]
    return own[-LINES:]
