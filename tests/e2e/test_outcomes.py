"""How jobs end, and with what reason and message (contract I.3, F.7, N.3)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.e2e.driver import Dx, Ended, field, opened, user

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
}


@pytest.fixture(scope="module")
def jobs(dx: Dx) -> dict[str, str]:
    """All of them, started at once."""
    started = {}
    for name, case in CASES.items():
        small = {"*": {"instanceType": "mem1_hdd2_x1"}}
        made = dx.applet(
            case.code,
            interpreter=case.interpreter,
            run={"systemRequirements": small},
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
        job = own.run(own.applet("echo on; sleep 1000"), executionPolicy={"restartOn": {}})
        ended = site.ended(job)
        assert (ended.why.split(":")[0], ended.said()) == ("JobTimeoutExceeded", ["on"])


def test_a_failure_of_the_kind_gets_another_try(dx: Dx) -> None:
    again = "$DX_PROJECT_CONTEXT_ID:/again"
    code = f"main() {{ dx ls {again} || {{ dx mkdir {again}; exit 1; }}; }}"
    applet = dx.applet(code, access={"project": "CONTRIBUTE"})
    job = dx.run(applet, executionPolicy={"restartOn": {"AppInternalError": 1}})
    ended: Ended = dx.site.ended(job)
    assert (ended.state, ended.describe["try"]) == ("done", 1)
    assert ended.describe["failureCounts"] == {"AppInternalError": 1}
