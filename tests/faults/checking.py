"""Holds what the clients' journal says against the platform, after the faults of a batch."""

from __future__ import annotations

import asyncio
import collections
import hashlib
import json
import subprocess
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from plasmid.cli import leftovers
from plasmid.logs import folder as log_folder
from tests.faults import ground, journal, plan, processes, running, workload

LOST: Final = "lost"
DOUBLED: Final = "doubled"
LEFTOVER: Final = "leftover"
WRONG: Final = "wrong"
KINDS: Final = (LOST, DOUBLED, LEFTOVER, WRONG)
CLEAR_SECONDS_MAX: Final = 120.0
FSCK_SECONDS_MAX: Final = 300.0
# What a job without tries left fails with when one of its own processes was killed.
REASONS: Final = {
    plan.USER: ("AppInternalError",),
    plan.SUPERVISOR: ("UnresponsiveWorker", "JMInternalError"),
}
FIELDS: Final = (
    *("id", "name", "state", "try", "stateTransitions", "failureReason", "failureMessage"),
    *("output", "parentJob", "created"),
)


class Violation(msgspec.Struct, frozen=True):
    """A promise that was broken; run -1 if it cannot be told by which one's fault."""

    kind: str
    run: int
    subject: str
    detail: str


class Checker:
    """Checks batches, and at the end everything again."""

    def __init__(self, place: ground.Ground, kept: journal.Journal, runner: running.Runner) -> None:
        self._place = place
        self._kept = kept
        self._runner = runner
        self._ended: dict[str, tuple[Any, ...]] = {}
        self._found: list[Violation] = []

    def batch(
        self, project: workload.Project, outcomes: Sequence[running.Outcome]
    ) -> list[Violation]:
        """Return what is wrong after a batch whose jobs are all over."""
        self._found = []
        for outcome in outcomes:
            for trouble in outcome.troubles:
                self._say(
                    LOST if "not within" in trouble else WRONG, outcome.fault.run, "", trouble
                )
        for said in self._place.ended_unasked:
            self._say(WRONG, -1, "server", said)
        self._place.ended_unasked.clear()
        started = {job.id: (job, outcome) for outcome in outcomes for job in outcome.jobs}
        executions = self._executions(project.id)
        effects = self._effects(project.id)
        for job_id, (job, outcome) in started.items():
            if job_id not in executions:
                self._say(LOST, job.run, job_id, "was acknowledged and does not exist")
            else:
                self._check_end(job, outcome, executions[job_id])
        for job_id, describe in executions.items():
            if describe.get("parentJob") is None and job_id not in started:
                self._say(DOUBLED, -1, job_id, "was made by no acknowledged call")
            if describe["state"] not in workload.TERMINAL:
                self._say(LOST, -1, job_id, f"is still {describe['state']}")
            else:
                self._check_tries(describe, effects.get(job_id, []))
        self._check_uploads(
            fact for fact in self._kept.find("upload") if fact["project"] == project.id
        )
        self._check_tokens(effects)
        self._check_cleared(set(executions))
        self._check_fsck()
        return self._found

    def everything(self) -> list[Violation]:
        """Return what of the whole journal is no longer as it was acknowledged."""
        self._found = []
        for job_id, before in self._ended.items():
            try:
                found = self._place.call(f"/{job_id}/describe", _fields(FIELDS))
            except ground.RefusedError as error:
                self._say(LOST, -1, job_id, f"was over and is gone: {error}")
                continue
            if _end_of(found) != before:
                self._say(WRONG, -1, job_id, f"was over as {before}, now is {_end_of(found)}")
        for fact in self._kept.find("job"):
            if fact["id"] not in self._ended:
                self._say(LOST, fact["run"], fact["id"], "was acknowledged and never seen over")
        self._check_uploads(self._kept.find("upload"))
        return self._found

    def _say(self, kind: str, run: int, subject: str, detail: str) -> None:
        self._found.append(Violation(kind, run, subject, detail))

    def _executions(self, project: str) -> dict[str, dict[str, Any]]:
        body: dict[str, Any] = {"project": project, "limit": 1000, "describe": _fields(FIELDS)}
        found: dict[str, dict[str, Any]] = {}
        while True:
            page = self._place.call("/system/findExecutions", body)
            found |= {entry["id"]: entry["describe"] for entry in page["results"]}
            if not page.get("next"):
                return found
            body["starting"] = page["next"]

    def _effects(self, project: str) -> dict[str, list[dict[str, Any]]]:
        """Return the marks that jobs have left through the API, by job."""
        body: dict[str, Any] = {
            "class": "record",
            "name": "effect",
            "scope": {"project": project, "folder": "/", "recurse": True},
            "describe": _fields(("properties", "created", "details")),
            "limit": 1000,
        }
        found: dict[str, list[dict[str, Any]]] = collections.defaultdict(list)
        while True:
            page = self._place.call("/system/findDataObjects", body)
            for entry in page["results"]:
                found[entry["describe"]["properties"]["job"]].append(entry["describe"])
            if not page.get("next"):
                return found
            body["starting"] = page["next"]

    def _check_end(
        self, job: workload.Started, outcome: running.Outcome, found: dict[str, Any]
    ) -> None:
        """A job ends as it was to, in one try unless its fault has cost one."""
        if found["state"] not in workload.TERMINAL:
            return
        self._ended[job.id] = _end_of(found)
        is_own = outcome.fault.actor in (plan.USER, plan.SUPERVISOR)
        may_fail = is_own and job.restarts == 0
        why = f"{found.get('failureReason')}: {found.get('failureMessage')}"
        if found["state"] != job.is_to_be and not (may_fail and found["state"] == "failed"):
            self._say(LOST, job.run, job.id, f"{job.kind} ended {found['state']} ({why})")
        elif found["state"] == "failed" and may_fail and not self._was_charged(found):
            fitting = REASONS[outcome.fault.actor]
            if found["failureReason"] not in fitting:
                self._say(WRONG, job.run, job.id, f"failed, not with {fitting[0]}, but {why}")
        costs = 1 if job.kind == "fails" else 0
        if found["try"] > costs and not is_own and not self._was_charged(found):
            self._say(
                WRONG, job.run, job.id, f"try {found['try']} was charged ({self._reasons(found)})"
            )
        if found["state"] == "done":
            self._check_output(job, found)

    def _reasons(self, found: dict[str, Any]) -> str:
        said = []
        for number in range(found["try"]):
            ended = self._describe_try(found["id"], number)
            said.append(f"{ended.get('failureReason')}: {ended.get('failureMessage')}")
        return "; ".join(said)

    def _was_charged(self, found: dict[str, Any]) -> bool:
        """Say whether the job lived while something happened that may cost tries."""
        begun_ms, ended_ms = found["created"], found["stateTransitions"][-1]["setAt"]
        return any(begun_ms <= until and since <= ended_ms for since, until in self._runner.charges)

    def _check_output(self, job: workload.Started, found: dict[str, Any]) -> None:
        wanted = 10 if job.kind == "tree" else job.lines
        output = found.get("output") or {}
        if output.get("said") != wanted:
            self._say(LOST, job.run, job.id, f"has output {output}, not said = {wanted}")
            return
        made = output["made"]["$dnanexus_link"]
        try:
            state = self._place.call(f"/{made}/describe")["state"]
        except ground.RefusedError as error:
            state = str(error)
        if state != "closed":
            self._say(LOST, job.run, job.id, f"its output {made} is {state}")

    def _describe_try(self, job: str, number: int) -> dict[str, Any]:
        return dict(self._place.call(f"/{job}/describe", {**_fields(FIELDS), "try": number}))

    def _check_tries(self, found: dict[str, Any], effects: list[dict[str, Any]]) -> None:
        """Each try acts once and only while it lives; each of its lines is kept once."""
        job, last = found["id"], found["try"]
        seen = collections.Counter(
            (int(each["properties"]["try"]), each["properties"]["at"]) for each in effects
        )
        for (number, at), count in seen.items():
            if count > 1:
                self._say(DOUBLED, -1, job, f"try {number} has had the effect `{at}` {count} times")
        for number in range(last + 1):
            ended = found if number == last else self._describe_try(job, number)
            end_ms = ended["stateTransitions"][-1]["setAt"]
            for each in effects:
                if int(each["properties"]["try"]) == number and each["created"] > end_ms:
                    late_ms = each["created"] - end_ms
                    self._say(DOUBLED, -1, job, f"try {number} acted {late_ms} ms after its end")
            is_whole = number == last and found["state"] == "done"
            if is_whole and (seen[number, "begin"], seen[number, "end"]) != (1, 1):
                self._say(LOST, -1, job, f"try {number} is done, its effects are {dict(seen)}")
            self._check_log(job, number, is_whole=is_whole)

    def _check_log(self, job: str, number: int, *, is_whole: bool) -> None:
        numbers = [int(line.split()[1]) for line in self._lines(job, number)]
        if numbers != list(range(1, len(numbers) + 1)):
            kind = DOUBLED if len(set(numbers)) < len(numbers) else LOST
            self._say(kind, -1, job, f"log of try {number}: lines {numbers}")
        facts = [fact for fact in self._kept.find("job") if fact["id"] == job]
        if is_whole and facts and len(numbers) != facts[0]["lines"]:
            self._say(LOST, -1, job, f"log: {len(numbers)} lines of {facts[0]['lines']}")

    def _lines(self, job: str, number: int) -> list[str]:
        async def read() -> list[str]:
            logs = log_folder.FolderLogs(self._place.data / "logs")
            found: list[str] = []
            offset = 0
            while True:
                piece = await logs.read(job, number, offset=offset, first_line=0)
                found += [entry.msg for entry in piece.entries if entry.level == "STDOUT"]
                if piece.next_offset == offset:
                    return [line for line in found if line.startswith("line ")]
                offset = piece.next_offset

        return asyncio.run(read())

    def _check_uploads(self, facts: Iterable[dict[str, Any]]) -> None:
        for fact in facts:
            try:
                url = self._place.call(f"/{fact['id']}/download", {})["url"]
                sha = hashlib.sha256(self._place.get(url)).hexdigest()
            except ground.RefusedError as error:
                self._say(LOST, fact["run"], fact["id"], f"an acknowledged upload: {error}")
                continue
            if sha != fact["sha256"]:
                self._say(LOST, fact["run"], fact["id"], "an upload's bytes have changed")

    def _check_tokens(self, effects: dict[str, list[dict[str, Any]]]) -> None:
        tokens = {each["details"]["token"]: job for job, all_ in effects.items() for each in all_}
        for token, job in tokens.items():
            try:
                self._place.call("/system/whoami", token=token)
            except ground.RefusedError:
                continue
            self._say(WRONG, -1, job, "the token of a try that is over is still taken")

    def _check_cleared(self, jobs: set[str]) -> None:
        """Nothing of the jobs is left on the machine, within seconds."""
        found: list[str] = []

        def clear() -> bool:
            found[:] = self._left(jobs)
            return not found

        try:
            processes.until(clear, CLEAR_SECONDS_MAX, "nothing is left", every=0.1)
        except processes.TooLateError:
            for left in found:
                self._say(LEFTOVER, -1, left, "is left although its job is over")

    def _left(self, jobs: set[str]) -> list[str]:
        place = self._place
        own = {place.server_pid(), place.worker_pid()}
        found = [
            f"process {pid}: {processes.command_of(pid)[:150]}"
            for pid in processes.naming(place.home)
            if pid not in own and f" worker --data {place.data}" not in processes.command_of(pid)
        ]
        found += [f"mount {mounted}" for mounted in place.disk.mounts_below()]
        disk = str(place.disk.image)
        found += [loop for loop in leftovers.find_loops(place.home) if not loop.endswith(disk)]
        found += [group for group in leftovers.find_groups("job-") if _job_in(group) in jobs]
        found += [f"folder {folder}" for folder in place.data.glob("work/*job-*")]
        return found

    def _check_fsck(self) -> None:
        done = subprocess.run(
            self._place.command("fsck", "--json"),
            env=self._place.environ(),
            capture_output=True,
            text=True,
            timeout=FSCK_SECONDS_MAX,
            check=False,
        )
        findings = [line for line in done.stdout.splitlines() if line.startswith("{")]
        for line in findings:
            finding = json.loads(line)
            said = f"{finding.get('invariant')} {finding.get('detail')}"
            self._say(WRONG, -1, str(finding.get("subject")), f"fsck: {said}")
        if done.returncode != 0 and not findings:
            self._say(WRONG, -1, "fsck", f"ended with {done.returncode}: {done.stderr[-500:]}")


def _fields(names: Iterable[str]) -> dict[str, Any]:
    return {"fields": dict.fromkeys(names, True)}


def _job_in(group: str) -> str:
    return group.rpartition("/")[2].split(".")[0]


def _end_of(found: dict[str, Any]) -> tuple[Any, ...]:
    return (
        found["state"],
        found["try"],
        found.get("failureReason"),
        json.dumps(found.get("output")),
    )
