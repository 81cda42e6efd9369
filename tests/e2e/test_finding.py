"""Finding data, projects and jobs with the filters of the real client."""

from __future__ import annotations

import pytest

from tests.e2e.driver import Dx, until

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def data(dx: Dx) -> dict[str, str]:
    """Files, a record and an applet, by name."""
    (dx.home / "x.txt").write_text("x")
    return {
        "x": dx.id("upload", "x.txt", "--path", "/d/x.txt", "-p", "--tag", "red", "--wait"),
        "y": dx.id("upload", "x.txt", "--path", "/d/e/y.TXT", "-p", "--property", "k=v", "--wait"),
        "rec": dx.id("new", "record", "rec", "--type", "Foo", "--close"),
        "hidden": dx.id("upload", "x.txt", "--path", "/hid", "--visibility", "hidden", "--wait"),
        "app": dx.applet("true", name="app"),
    }


def data_found(dx: Dx, *filters: str) -> set[str]:
    return {line.split(":")[1] for line in dx("find", "data", "--brief", *filters).out.split()}


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ([], "x y rec app"),
        (["--name", "x.txt"], "x"),
        (["--name", "*.txt"], "x"),
        (["--class", "record"], "rec"),
        (["--class", "applet"], "app"),
        (["--class", "database"], ""),
        (["--tag", "red"], "x"),
        (["--property", "k=v"], "y"),
        (["--property", "k"], "y"),
        (["--type", "Foo"], "rec"),
        (["--visibility", "hidden"], "hidden"),
        (["--visibility", "either", "--class", "file"], "x y hidden"),
        (["--state", "open"], ""),
        (["--path", "/d"], "x y"),
        (["--folder", "/d", "--norecurse"], "x"),
        (["--created-after=-1h"], "x y rec app"),
        (["--created-before=-1h"], ""),
        (["--region", "azure:westus"], ""),
        (["--region", "aws:us-east-1", "--class", "record"], "rec"),
    ],
)
def test_data_is_found_by_what_is_asked(
    dx: Dx, data: dict[str, str], *, filters: list[str], expected: str
) -> None:
    assert data_found(dx, *filters) == {data[name] for name in expected.split()}


def test_projects_are_found_by_what_is_asked(dx: Dx) -> None:
    dx("tag", f"{dx.project}:", "here")
    for filters in (["--tag", "here"], ["--name", "test_fin*"], ["--level", "ADMINISTER"]):
        assert dx.project in dx("find", "projects", "--brief", *filters).out
    assert dx.project not in dx("find", "projects", "--brief", "--public").out
    assert dx("find", "projects", "--brief", "--region", "azure:westus").out == ""


class TestJobs:
    @pytest.fixture(scope="class")
    @classmethod
    def jobs(cls, dx: Dx, data: dict[str, str]) -> dict[str, str]:
        """Three jobs: done, failed, and one with a child, which is not over."""
        child = "main() { dx-jobutil-new-job work; sleep 1000; }\nwork() { sleep 1000; }"
        made = {
            "done": dx.run(data["app"], name="good one", tags=["t"], properties={"p": "q"}),
            "failed": dx.run(dx.applet("exit 3", name="bad")),
            "parent": dx.run(dx.applet(child, name="parent")),
        }
        dx.site.ended(made["done"])
        dx.site.ended(made["failed"])
        return made

    @pytest.mark.parametrize(
        ("filters", "expected"),
        [
            (["--state", "done"], "done"),
            (["--state", "failed"], "failed"),
            (["--name", "good*"], "done"),
            (["--tag", "t"], "done"),
            (["--property", "p=q"], "done"),
            (["--user", "self", "--name", "bad"], "failed"),
            (["--created-before=-1h"], ""),
            (["--created-after=-1h", "--origin-jobs"], "done failed parent"),
            (["--no-subjobs"], "done failed parent"),
            (["--id", "$failed"], "failed"),
            (["--executable", "$app"], "done"),
        ],
    )
    def test_jobs_are_found_by_what_is_asked(
        self,
        dx: Dx,
        data: dict[str, str],
        jobs: dict[str, str],
        *,
        filters: list[str],
        expected: str,
    ) -> None:
        ids = {"$app": data["app"], "$failed": jobs["failed"]}
        found = dx("find", "jobs", "--brief", *(ids.get(word, word) for word in filters)).out
        assert set(found.split()) == {jobs[name] for name in expected.split()}

    def test_a_tree_shows_each_child_below_its_parent(self, dx: Dx, jobs: dict[str, str]) -> None:
        asked = {"parentJob": jobs["parent"], "describe": {"io": False}}
        found = until(lambda: dx.call("/system/findExecutions", asked)["results"])
        child = found[0]["describe"]
        said = dx("find", "executions", "--id", jobs["parent"]).out
        assert "└── parent:work (" in said
        assert child["id"] in said
        assert (child["parentJob"], child["originJob"]) == (jobs["parent"], jobs["parent"])

    def test_a_batch_is_ended_by_its_tag(self, dx: Dx) -> None:
        applet = dx.applet("sleep 1000", name="sleeper")
        batch = [dx.run(applet, tags=["batch"]) for _ in range(3)]
        found = dx("find", "jobs", "--tag", "batch", "--brief").out.split()
        assert set(found) == set(batch)
        dx("terminate", *found)
        for job in batch:
            assert dx.site.state(job, "terminated") == "terminated"

    def test_tags_and_properties_of_a_job_change(self, dx: Dx, jobs: dict[str, str]) -> None:
        dx("tag", jobs["done"], "late")
        dx("set_properties", jobs["done"], "note=seen")
        dx("untag", jobs["done"], "t")
        found = dx.json("describe", jobs["done"])
        assert (found["tags"], found["properties"]) == (["late"], {"p": "q", "note": "seen"})
