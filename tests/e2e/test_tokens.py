"""What a job's token is good for, where, and until when, with the real client inside (I.9, F.9)."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.driver import Dx, RefusedError, Site, opened, until, user

pytestmark = pytest.mark.e2e

ALL = {"project": "CONTRIBUTE", "allProjects": "CONTRIBUTE"}


def token_of(site: Site, job: str) -> str:
    """Take the token out of the worker's folder: what a thief on the machine would have."""
    (path,) = site.data.glob(f"work/{job}*/assignment.json")
    return str(json.loads(path.read_text())["token"])


def refusal(site: Site, token: str) -> str:
    """Return how a token is refused; "" if it is not."""
    try:
        site.call("/system/whoami", token=token)
    except RefusedError as refused:
        return str(refused.type)
    return ""


SINGLE = """
main() {
  dx whoami --id
  echo content > here.txt
  dx upload here.txt --brief --wait > id.txt
  dx cat "$(cat id.txt)"
  dx describe "$DX_JOB_ID" --json | grep singleContext
  export http_proxy=
  dx whoami --id
  curl -sS -X POST -d '{}' -H 'Content-Type: application/json' -H 'Authorization: Bearer GIVEN' \\
    "$DX_APISERVER_PROTOCOL://$DX_APISERVER_HOST:$DX_APISERVER_PORT/system/whoami"
  echo
  child=$(dx-jobutil-new-job work)
  dx wait "$child"
  dx upload here.txt --path go --brief --wait
  until dx ls stop 2> /dev/null; do sleep 0.2; done
}
work() { dx whoami --id; }
"""


def test_a_single_context_token_is_good_inside_its_job_and_nowhere_else(dx: Dx) -> None:
    stolen = dx.call("/system/newAuthToken", {})["access_token"]
    applet = dx.applet(SINGLE.replace("GIVEN", stolen), access=ALL)
    job = dx.run(applet, singleContext=True)

    def says_go() -> bool:
        workspace = dx.site.describe(job)["workspace"]
        names = dx.call(f"/{workspace}/listFolder", {"folder": "/", "describe": {}})["objects"]
        return any(entry["describe"]["name"] == "go" for entry in names)

    dx.site.state(job, "running", "failed")
    until(says_go)
    token = token_of(dx.site, job)
    assert refusal(dx.site, token) == "InvalidAuthentication"
    assert refusal(dx.site, f"{token}.guess") == "InvalidAuthentication"
    assert refusal(dx.site, stolen) == ""
    dx.site.call(f"/{job}/terminate")
    ended = dx.site.ended(job)
    said = ended.said()
    assert said[:2] == [dx.user, "content"], said
    assert '"singleContext": true' in said[2]
    assert said[3] == dx.user
    assert "may use no token but its own" in said[4]


def signature(token: str) -> dict[str, str]:
    return {"tokenSignature": hashlib.sha256(token.encode()).hexdigest()}


def test_the_jobs_of_a_revoked_token_end_with_auth_error(dx: Dx) -> None:
    token = dx.call("/system/newAuthToken", {"label": "for one job"})["access_token"]
    applet = dx.applet(
        "main() { dx-jobutil-new-job work > /dev/null; sleep 600; }\nwork() { sleep 600; }"
    )
    given: dict[str, Any] = {"project": dx.project, "input": {}}
    job = dx.site.call(f"/{applet}/run", given, token=token)["id"]
    other = dx.run(applet)

    def child() -> str:
        asked = {"parentJob": job, "state": "running"}
        found = dx.call("/system/findJobs", asked)["results"]
        return str(found[0]["id"]) if found else ""

    below = until(child)
    dx.call("/system/destroyAuthToken", signature(token))
    assert refusal(dx.site, token) == "InvalidAuthentication"
    for each in (job, below):
        ended = dx.site.ended(each)
        assert (ended.state, ended.describe["failureReason"]) == ("failed", "AuthError"), ended.why
    dx.site.state(other, "running")
    dx.call(f"/{other}/terminate")
    dx.site.state(other, "terminated")


def test_a_token_dies_within_a_second_of_its_jobs_end(dx: Dx) -> None:
    applet = dx.applet("main() { dx upload /etc/hostname --path go --brief; sleep 600; }")
    job = dx.run(applet)
    dx.site.state(job, "running", "failed")
    until(lambda: any(dx.site.data.glob(f"work/{job}*/assignment.json")))
    token = token_of(dx.site, job)
    assert refusal(dx.site, token) == ""
    dx.call(f"/{job}/terminate")
    dx.site.state(job, "terminated")
    assert refusal(dx.site, token) == "InvalidAuthentication"


def test_logging_out_ends_the_token_of_the_client(dx: Dx, tmp_path: Path) -> None:
    token = dx.call("/system/newAuthToken", {})["access_token"]
    own = Dx(dx.site, tmp_path, token=token)
    assert own("whoami").out.strip() == dx.user.removeprefix("user-")
    host, _, port = dx.site.url.removeprefix("http://").rpartition(":")
    said = own("logout", "--host", host, "--port", port, "--protocol", "http")
    assert "Deleted token" in said.out, said
    assert refusal(dx.site, token) == "InvalidAuthentication"


PARENT = """
main() {
  child=$(dx-jobutil-new-job work)
  dx wait "$child"
  dx-jobutil-add-output n "$child:n" --class jobref
}
work() {
  below=$(dx-jobutil-new-job last)
  dx wait "$below"
  dx-jobutil-add-output n "$below:n" --class jobref
}
last() { dx-jobutil-add-output n 7 --class int; }
"""


def test_parents_that_poll_run_on_a_machine_for_one_job_of_one_user(
    images_folder: Path, tmp_path: Path
) -> None:
    options = {"PLASMID_JOBS_RUNNING_MAX": "1", "PLASMID_JOBS_USER_RUNNING_MAX": "1"}
    with opened(images_folder, **options) as site:
        dx = user(site, tmp_path, "one")
        applet = dx.applet(PARENT, outputSpec=[{"name": "n", "class": "int"}])
        made = [dx.run(applet) for _ in range(2)]
        for job in made:
            ended = site.ended(job)
            assert ended.output == {"n": 7}, ended.why


FLOOD = """
@dxpy.entry_point("main")
def main():
    for _ in range(16):
        dxpy.whoami()
    print("sixteen calls")
    return {}
"""


def test_a_job_that_calls_too_often_is_slowed_down_and_ends_well(
    images_folder: Path, tmp_path: Path
) -> None:
    with opened(images_folder, PLASMID_SERVER_JOB_CALLS_PER_SECOND="1") as site:
        dx = user(site, tmp_path, "slow")
        ended = dx.ran(FLOOD, interpreter="python3")
        assert ended.state == "done", ended.why
        assert "sixteen calls" in ended.said()
        assert any("Waiting 1 seconds before retry" in line for line in ended.said("STDERR"))
