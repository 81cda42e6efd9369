"""`dx run` with every field that it may carry, and what `dx wait` and `dx terminate` make of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.driver import Dx, RefusedError, field, file

pytestmark = pytest.mark.e2e

ECHO = """
main() {
  echo "$f_name:$n" > out.txt
  dx-jobutil-add-output out "$(dx upload out.txt --path sub/ -p --brief)" --class file
  dx-jobutil-add-output twice $((n * 2)) --class int
}
"""


@pytest.fixture(scope="module")
def applet(dx: Dx) -> str:
    """An applet with a file and a number in, and the same out."""
    return dx.applet(
        ECHO,
        name="echo",
        inputSpec=[field("f", "file", patterns=["*.txt"]), field("n", "int", default=1)],
        outputSpec=[field("out", "file"), field("twice", "int")],
        run={"timeoutPolicy": {"*": {"hours": 2}}},
    )


@pytest.fixture(scope="module")
def text(dx: Dx) -> str:
    return dx.upload("text.txt", "x")


def described(dx: Dx, job: str) -> dict[str, Any]:
    return dx.site.describe(job, defaultFields=True)


class TestOneJobWithAllFields:
    @pytest.fixture(scope="class")
    @classmethod
    def job(cls, dx: Dx, applet: str, text: str) -> str:  # noqa: ARG003 - both must be there
        extra = {"details": {"z": 1}, "timeoutPolicyByExecutable": {applet: {"*": {"minutes": 5}}}}
        made = dx.id(
            *("run", "echo", "-y", "-if=text.txt", "-in=21", "--name", "my run"),
            *("--tag", "a", "--tag", "b", "--property", "p=1", "--property", "q=2"),
            *("--folder", "/o/x", "--instance-type", "mem2_hdd2_x2", "--priority", "low"),
            *("--delay-workspace-destruction", "--extra-args", json.dumps(extra)),
        )
        dx.site.state(made, "done")
        return made

    def test_the_fields_are_kept(self, dx: Dx, job: str) -> None:
        found = described(dx, job)
        told = {
            name: found[name]
            for name in (
                *("name", "tags", "properties", "folder", "instanceType", "priority", "details"),
                *("timeout", "delayWorkspaceDestruction"),
            )
        }
        assert told == {
            "name": "my run",
            "tags": ["a", "b"],
            "properties": {"p": "1", "q": "2"},
            "folder": "/o/x",
            "instanceType": "mem2_hdd2_x2",
            "priority": "low",
            "details": {"z": 1},
            "timeout": 300_000,
            "delayWorkspaceDestruction": True,
        }

    def test_outputs_come_to_the_folder_and_keep_their_own(self, dx: Dx, job: str) -> None:
        assert dx("ls", "/o/x/sub").out == "out.txt\n"
        assert dx("cat", f"{job}:out").out == "text.txt:21\n"
        assert found_output(dx, job)["twice"] == 42

    def test_a_delayed_workspace_is_still_there(self, dx: Dx, job: str) -> None:
        workspace = described(dx, job)["workspace"]
        assert dx("ls", f"{workspace}:/").out.split() == ["sub/", "text.txt"]

    def test_a_clone_runs_the_same_again(self, dx: Dx, job: str) -> None:
        again = described(dx, dx.id("run", "echo", "--clone", job, "-y", "-in=2"))
        first = described(dx, job)
        assert again["runInput"] == {**first["runInput"], "n": 2}
        for name in ("folder", "tags", "properties", "instanceType", "priority"):
            assert again[name] == first[name]
        assert again["name"] == "my run (re-run)"


def found_output(dx: Dx, job: str) -> Any:
    return described(dx, job)["output"]


class TestInputs:
    def test_a_file_of_json_is_input_and_i_wins(self, dx: Dx, applet: str, text: str) -> None:
        (dx.home / "in.json").write_text(json.dumps({"f": file(text), "n": 2}))
        job = dx.id("run", applet, "-y", "--input-json-file", "in.json", "-in=4")
        assert described(dx, job)["runInput"] == {"f": file(text), "n": 4}
        job = dx.id("run", applet, "-y", "-j", json.dumps({"f": file(text)}))
        found = described(dx, job)
        assert (found["runInput"], found["originalInput"]["n"]) == ({"f": file(text)}, 1)

    def test_an_output_that_is_not_there_yet_is_waited_for(self, dx: Dx, applet: str) -> None:
        first = dx.id("run", "echo", "-y", "-if=text.txt")
        then = dx.id("run", "echo", "-y", f"-if={first}:out", "--depends-on", first)
        ended = dx.site.ended(then)
        assert dx("cat", f"{then}:out").out == "out.txt:1\n"
        assert ended.describe["dependsOn"] == [first]
        assert f"f = {first}:out" in dx("describe", then).text

    def test_an_output_of_no_such_name_fails_the_job(self, dx: Dx, applet: str) -> None:
        first = dx.run(dx.applet("dx-jobutil-add-output o 1"))
        ended = dx.site.ended(dx.id("run", "echo", "-y", f"-if={first}:nothing"))
        assert ended.why.startswith("InputError")
        assert '"nothing"' in ended.why

    def test_a_job_that_depends_on_a_failed_one_fails(self, dx: Dx) -> None:
        first = dx.run(dx.applet("exit 1"))
        then = dx.run(dx.applet("true"), dependsOn=[first])
        assert dx.site.ended(then).why.startswith("DependencyUnsatisfiable")

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (("-y",), "Some inputs (f) are missing"),
            (("-y", "-inope=1"), '"nope" was not found in the input spec'),
            (("-y", "-if=nothing"), "could not resolve"),
            (("-y", "-if=text.txt", "-in=x"), "could not be parsed as int"),
            (("-y", "-if=text.txt", "--depends-on", "job-" + "0" * 24), "could not be found"),
            (("-y", "-if=text.txt", "--instance-type", "huge"), '"huge"'),
            (("-y", "-if=text.txt", "--folder", "nowhere:/"), 'project named "nowhere"'),
        ],
    )
    def test_a_wrong_argument_is_told_in_one_line(
        self, dx: Dx, applet: str, text: str, *, arguments: tuple[str, ...], said: str
    ) -> None:
        assert said in dx("run", "echo", *arguments, code=3).text

    @pytest.mark.parametrize(
        ("spec", "given", "said"),
        [
            (field("n", "int"), {}, '"n"'),
            (field("n", "int"), {"n": 1, "m": 2}, '"m"'),
            (field("n", "int"), {"n": "1"}, 'key "n" of input to be an integer'),
            (field("n", "int"), {"n": True}, 'key "n" of input to be an integer'),
            (field("n", "int", choices=[1, 2]), {"n": 3}, 'key "n" of input to be one of 1, 2'),
            (field("n", "array:string"), {"n": "s"}, 'key "n"'),
            (field("n", "boolean"), {"n": 1}, 'key "n"'),
            (field("n", "hash"), {"n": "s"}, 'key "n"'),
            (field("n", "file"), {"n": "file-" + "0" * 24}, 'key "n"'),
        ],
    )
    def test_the_api_names_the_field_that_is_wrong(
        self, dx: Dx, *, spec: dict[str, Any], given: dict[str, Any], said: str
    ) -> None:
        made = dx.applet("true", inputSpec=[spec])
        with pytest.raises(RefusedError, match=r"422 InvalidInput") as refused:
            dx.run(made, input=given)
        assert said in refused.value.message

    def test_a_link_must_lead_to_an_object_of_the_class(self, dx: Dx, text: str) -> None:
        made = dx.applet("true", inputSpec=[field("n", "record")])
        for given, said in ((text, "InvalidInput"), ("record-" + "0" * 24, "could not be found")):
            with pytest.raises(RefusedError, match=said):
                dx.run(made, input={"n": file(given)})


class TestWaitAndTerminate:
    def test_wait_ends_with_the_job_and_tells_its_failure(self, dx: Dx, text: str) -> None:
        assert "Done" in dx("wait", dx.run(dx.applet("true"))).text
        failing = dx.run(dx.applet("dx-jobutil-report-error 'no luck'"))
        assert "AppError: no luck" in dx("wait", failing, code=3).text
        assert "Could not resolve" in dx("wait", "nojob", code=3).text

    def test_run_waits_if_it_is_told_to(self, dx: Dx, text: str) -> None:
        dx("run", dx.applet("true"), "-y", "--wait")
        assert dx("run", dx.applet("exit 1"), "-y", "--wait", code=None).code != 0

    def test_terminate_ends_a_job_and_all_below_it(self, dx: Dx) -> None:
        code = "main() { dx-jobutil-new-job work; echo made; sleep 1000; }\nwork() { sleep 1000; }"
        job = dx.run(dx.applet(code))
        next(frame for frame in dx.site.frames(job) if frame["msg"] == "made")
        dx("terminate", job)
        dx("terminate", job)
        ended = dx.site.ended(job)
        found = dx.call("/system/findExecutions", {"parentJob": job})["results"]
        assert ended.state == "terminated"
        assert [dx.site.ended(child["id"]).state for child in found] == ["terminated"]
        assert "Job was terminated" in dx("wait", job, code=3).text

    def test_a_project_goes_with_its_running_jobs(self, dx: Dx) -> None:
        other = dx.id("new", "project", "doomed")
        made = dx.call(
            "/applet/new",
            {
                "project": other,
                "name": "s",
                "dxapi": "1.0.0",
                "runSpec": {
                    "interpreter": "bash",
                    "code": "sleep 1000",
                    "distribution": "Ubuntu",
                    "release": "24.04",
                },
            },
        )["id"]
        dx.call(f"/{made}/run", {"project": other, "input": {}})
        dx("rmproject", "-y", other)
        assert dx("describe", f"{other}:", code=3).text
