"""Trees of real jobs: fans of sub-jobs that are gathered, and chains of references."""

from __future__ import annotations

import time
from collections.abc import Iterable

from tests.benchmarks import platform

# A bash applet whose main starts sub-jobs by dxpy, as a Python applet would: a sandbox that
# imports dxpy for nothing would measure that.
CODE = """
main() {
  case $how in
    sleep) exec sleep "$count" ;;
    wide|deep) python3 -c '
import json, os, dxpy
how, count = os.environ["how"], int(os.environ["count"])
def start(**kept):
    return dxpy.new_dxjob(kept, "work")
if how == "wide":
    jobs = [start(n=n) for n in range(count)]
    last = dxpy.new_dxjob({"all": [job.get_output_ref("n") for job in jobs]}, "gather")
else:
    last = start(n=0)
    for _ in range(count - 1):
        last = start(n=last.get_output_ref("n"))
field = "count" if how == "wide" else "n"
with open("job_output.json", "w") as file:
    json.dump({"result": last.get_output_ref(field)}, file)
' ;;
  esac
}
work() { printf '{"n": %s}' "$((n + 1))" > job_output.json; }
gather() { printf '{"count": %s}' "${#all[@]}" > job_output.json; }
"""
INPUTS = [{"name": "how", "class": "string"}, {"name": "count", "class": "int"}]
OUTPUTS = [{"name": "result", "class": "int", "optional": True}]


def applet(served: platform.Served, project: str) -> str:
    """Return an applet that makes a tree: `how` is wide, deep or sleep."""
    spec = {
        "interpreter": "bash", "code": CODE, "distribution": "Ubuntu", "release": "24.04",
        "version": "0",
    }  # fmt: skip
    body = {
        "project": project, "name": "tree", "runSpec": spec,
        "inputSpec": INPUTS, "outputSpec": OUTPUTS,
    }  # fmt: skip
    return str(served.call("/applet/new", body)["id"])


def run(served: platform.Served, applet_id: str, project: str, how: str, count: int) -> float:
    """Return how many seconds a tree takes; raises if what it has gathered is not all."""
    started = time.perf_counter()
    body = {"project": project, "input": {"how": how, "count": count}}
    job = served.call(f"/{applet_id}/run", body)["id"]
    served.wait(job, every=0.02)
    took = time.perf_counter() - started
    result = served.call(f"/{job}/describe", {})["output"]["result"]
    if result != count:
        raise RuntimeError(f"{job} gathered {result} and not {count}")
    return took


def wait_for_states(served: platform.Served, jobs: Iterable[str], state: str) -> None:
    """Return when all jobs are in a state; raises TimeoutError after five minutes."""
    deadline = time.monotonic() + 300
    for job in jobs:
        while (now := served.call(f"/{job}/describe", {})["state"]) != state:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{job} is {now} and not {state}")
            time.sleep(0.05)
