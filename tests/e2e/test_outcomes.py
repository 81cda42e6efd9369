"""How jobs end, and with what reason and message (contract I.3, F.7, N.3)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest

from plasmid.cli import leftovers
from tests.e2e.driver import Dx, Ended, field, opened, until, user

pytestmark = pytest.mark.e2e

INT = [field("o", "int")]
FILE = [field("o", "file")]
NOWHERE = "file-" + "0" * 24


class Case(NamedTuple):
    """A program, what it is to put out, and how it ends."""

    code: str
    outcome: str
    message: str = ""
    spec: list[dict[str, Any]] | None = None
    interpreter: str = "bash"


def python(body: str) -> str:
    return f'@dxpy.entry_point("main")\ndef main():\n    {body}\n'


THREADS = """
import _thread
_thread.stack_size(65536)
held = _thread.allocate_lock()
held.acquire()
@dxpy.entry_point("main")
def main():
    while True:
        _thread.start_new_thread(held.acquire, ())
"""
# Has made a pipe that nobody writes to, ignores what it can, and has a child out of its session.
STUCK = """
trap '' TERM INT HUP
mkfifo pipe
setsid bash -c "trap '' TERM; sleep 1000" &
(trap '' TERM; sleep 1000) &
echo on
cat < pipe
"""
TINY = {"systemRequirements": {"*": {"instanceType": "mem1_hdd2_x1"}}}

CASES = {
    "exit": Case("exit 5", "AppInternalError", "non-zero exit status 5"),
    "last command": Case("main() { true; false; true; }", "AppInternalError", "exit status 1"),
    "killed": Case("kill -9 $$", "AppInternalError", "signal 9"),
    "report": Case('dx-jobutil-report-error "bad luck"', "AppError", "bad luck"),
    "own type": Case(
        'dx-jobutil-report-error "inside" AppInternalError', "AppInternalError", "inside"
    ),
    "odd type": Case(
        """echo '{"error": {"type": "Odd", "message": "m"}}' > job_error.json; exit 1""",
        "AppInternalError",
        "m",
    ),
    "unreadable error": Case("echo { > job_error.json; exit 4", "AppInternalError", "status 4"),
    "stale error": Case(
        """echo '{"error": {"type": "AppError", "message": "m"}}' > job_error.json""", "done"
    ),
    "AppError": Case(python('raise dxpy.AppError("no")'), "AppError", "no", None, "python3"),
    "exception": Case(
        python('raise ValueError("v")'), "AppInternalError", "ValueError: v", None, "python3"
    ),
    "no output": Case("true", "done"),
    "empty output": Case("echo {} > job_output.json", "done"),
    "broken output": Case("echo { > job_output.json", "OutputError", "not valid JSON"),
    "list output": Case("echo [] > job_output.json", "OutputError", "not a JSON object"),
    "missing": Case("true", "OutputError", 'property "o"', INT),
    "unknown": Case("dx-jobutil-add-output p 1", "OutputError", 'key "p" of output', INT),
    "wrong class": Case("dx-jobutil-add-output o s", "OutputError", 'key "o" of output', INT),
    "optional": Case("exit 0", "done", "", [field("o", "int", optional=True)]),
    "no such file": Case(
        f"dx-jobutil-add-output o {NOWHERE} --class file", "OutputError", NOWHERE, FILE
    ),
    "not a file": Case(
        "dx-jobutil-add-output o $(dx new record r --close --brief) --class record",
        "OutputError",
        'key "o" of output',
        FILE,
    ),
    "no closing": Case(
        'dx-jobutil-add-output o $(dx api file new "{\\"project\\": \\"$DX_WORKSPACE_ID\\"}" |'
        " jq -r .id) --class file",
        "OutputError",
        "",
        FILE,
    ),
    "no python2": Case("print 1", "ExecutionError", "no python2.7", None, "python2.7"),
    "memory": Case(
        'python3 -c "bytearray(2 << 30)"', "AppInsufficientResourceError", "used up its memory"
    ),
    "memory of another": Case(
        "echo | xargs python3 -c 'bytearray(2 << 30)'",
        "AppInsufficientResourceError",
        "used up its memory",
    ),
    "137 of its own": Case("exit 137", "AppInternalError", "signal 9 (SIGKILL)"),
    "shared memory": Case(
        "cat /dev/zero > /dev/shm/big", "AppInsufficientResourceError", "filled /dev/shm, a file"
    ),
    "threads": Case(THREADS, "AppInternalError", "as it had 16384: start fewer", None, "python3"),
    "half an upload": Case(
        'f=$(dx api file new "{\\"project\\": \\"$DX_WORKSPACE_ID\\"}" | jq -r .id);'
        " md5=$(printf 0%.0s {1..32});"
        ' dx api $f upload "{\\"index\\": 1, \\"size\\": 9, \\"md5\\": \\"$md5\\"}";'
        " dx-jobutil-add-output o $f --class file",
        "IncompleteUploads",
        "part 1 was never uploaded",
        FILE,
    ),
}


@pytest.fixture(scope="module")
def jobs(dx: Dx) -> dict[str, str]:
    """All of them, started at once."""
    started = {}
    for name, case in CASES.items():
        made = dx.applet(
            case.code,
            interpreter=case.interpreter,
            run=TINY,
            **({} if case.spec is None else {"outputSpec": case.spec}),
        )
        started[name] = dx.run(made, executionPolicy={"restartOn": {}})
    return started


@pytest.mark.parametrize("name", CASES)
def test_a_job_ends_for_its_own_reason(dx: Dx, jobs: dict[str, str], name: str) -> None:
    case, ended = CASES[name], dx.site.ended(jobs[name])
    if case.outcome == "done":
        assert ended.state == "done", ended.why
    else:
        assert ended.why.startswith(f"{case.outcome}: "), ended.why
        assert case.message in ended.why
        assert "\n" not in ended.why


def test_a_job_over_the_longest_time_of_the_site_ends(images_folder: Path, tmp_path: Path) -> None:
    with opened(images_folder, PLASMID_JOBS_TIMEOUT_MS_MAX="1500") as site:
        own = user(site, tmp_path, "hasty")
        job = own.run(own.applet(STUCK), executionPolicy={"restartOn": {}})
        ended = site.ended(job)
        assert (ended.why.split(":")[0], ended.said()) == ("JobTimeoutExceeded", ["on"])
        until(lambda: not leftovers.find_processes(job))


def a_stuck_tree(dx: Dx, last: str) -> dict[str, str]:
    """Start a job with two sub-jobs, all of them stuck but for what `last` does in one of them."""
    code = f"""
main() {{ dx-jobutil-new-job one; dx-jobutil-new-job two; {STUCK} }}
one() {{ {STUCK} }}
two() {{ {last}
}}
"""
    root = dx.run(dx.applet(code, run=TINY))
    asked = {"rootExecution": [root], "describe": {"fields": {"function": True}}}

    def found() -> dict[str, str]:
        results = dx.call("/system/findJobs", asked)["results"]
        return {entry["describe"]["function"]: entry["id"] for entry in results}

    until(lambda: len(found()) == 3)
    tree = found()
    for name in ("main", "one"):
        next(frame for frame in dx.site.frames(tree[name]) if frame["msg"] == "on")
    return tree


def all_gone(tree: dict[str, str]) -> bool:
    return not any(leftovers.find_processes(job) for job in tree.values())


def test_a_tree_is_terminated_with_every_process(dx: Dx) -> None:
    tree = a_stuck_tree(dx, STUCK)
    next(frame for frame in dx.site.frames(tree["two"]) if frame["msg"] == "on")
    dx("terminate", tree["main"])
    for job in tree.values():
        assert dx.site.state(job, "terminated", "failed") == "terminated"
    until(lambda: all_gone(tree))


def test_one_failure_ends_the_tree_with_every_process(dx: Dx) -> None:
    go = "$DX_PROJECT_CONTEXT_ID:/go-two"
    tree = a_stuck_tree(
        dx, f"until dx ls {go}; do sleep 0.3; done; dx-jobutil-report-error 'bad luck'"
    )
    dx.call(f"/{dx.project}/newFolder", {"folder": "/go-two"})
    for name, job in tree.items():
        described = dx.site.ended(job).describe
        assert described["state"] == "failed"
        assert described["failureFrom"]["id"] == tree["two"]
        assert "bad luck" in described["failureMessage"]
        expected = "AppError" if name == "two" else "JobTreeFailure"
        assert described["failureReason"] == expected
    until(lambda: all_gone(tree))


def test_a_failure_of_the_kind_gets_another_try(dx: Dx) -> None:
    again = "$DX_PROJECT_CONTEXT_ID:/again"
    code = f"main() {{ dx ls {again} || {{ dx mkdir {again}; exit 1; }}; }}"
    applet = dx.applet(code, access={"project": "CONTRIBUTE"})
    job = dx.run(applet, executionPolicy={"restartOn": {"AppInternalError": 1}})
    ended: Ended = dx.site.ended(job)
    assert (ended.state, ended.describe["try"]) == ("done", 1)
    assert ended.describe["failureCounts"] == {"AppInternalError": 1}


def test_a_master_that_waits_for_its_sub_job_is_tried_again_with_it(dx: Dx) -> None:
    again = "$DX_PROJECT_CONTEXT_ID:/again-below"
    code = f"""
main() {{ dx-jobutil-add-output o "$(dx-jobutil-new-job work):o" --class jobref; }}
work() {{
  dx ls {again} || {{ dx mkdir {again}; sleep 1; exit 1; }}
  dx-jobutil-add-output o 7 --class int
}}
"""
    applet = dx.applet(code, access={"project": "CONTRIBUTE"}, outputSpec=INT)
    job = dx.run(applet, executionPolicy={"restartOn": {"AppInternalError": 1}})
    ended = dx.site.ended(job)
    assert (ended.state, ended.describe["try"], ended.output) == ("done", 1, {"o": 7}), ended.why
    moves = [move["newState"] for move in ended.describe["stateTransitions"]]
    assert "restartable" in moves
    assert dx("describe", job, "--try", "0").out.count("AppInternalError") >= 1


def test_where_jobs_may_grow_a_job_that_ran_out_of_memory_gets_more(
    images_folder: Path, tmp_path: Path
) -> None:
    with opened(images_folder, PLASMID_JOBS_ESCALATE="true") as site:
        own = user(site, tmp_path, "growing")
        applet = own.applet("python3 -c 'bytearray(2 << 30)'; nproc", run=TINY)
        policy = {"restartOn": {"AppInsufficientResourceError": 2}}
        ended = site.ended(own.run(applet, executionPolicy=policy))
        assert (ended.state, ended.describe["try"]) == ("done", 1), ended.why
        assert ended.describe["instanceType"] == "mem1_hdd2_x8"
        assert any("has the instance type mem1_hdd2_x8" in line for line in ended.said("INFO"))
