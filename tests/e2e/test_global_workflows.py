"""Global workflows, batches and remote builds by the real client (contract E.8, B.8, K.4)."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from tests.e2e import second_user
from tests.e2e.driver import DX, Dx, Site, field

pytestmark = pytest.mark.e2e

NUMBER: Final[dict[str, Any]] = {
    "inputSpec": [field("n", "int")],
    "outputSpec": [field("n", "int")],
}
PLUS: Final = "main() { dx-jobutil-add-output n $((n + 1)); }\n"
ENDED_SECONDS: Final = 240


@pytest.fixture(scope="module")
def erin(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Dx:
    """Another user, with a project of theirs."""
    dx = second_user.client(site, tmp_path_factory.mktemp("erin"), "erin")
    dx.use(dx.call("/project/new", {"name": "of erin"})["id"])
    return dx


def write_workflow(dx: Dx, name: str, applet: str, **said: Any) -> str:
    """Write the folder of a workflow of two stages, the second of which takes up the first."""
    folder = dx.home / name
    folder.mkdir(exist_ok=True)
    link = {"$dnanexus_link": {"stage": "first", "outputField": "n"}}
    stages = [
        {"id": "first", "name": "one", "executable": applet},
        {"id": "second", "executable": applet, "input": {"n": link}},
    ]
    spec = {"name": name, "version": "1.0.0", "title": "Adds two", "stages": stages, **said}
    (folder / "dxworkflow.json").write_text(json.dumps(spec))
    return str(folder)


def test_what_is_published_is_run_by_another_user_after_its_source_is_gone(
    dx: Dx, erin: Dx
) -> None:
    own = dx.project
    source = dx.call("/project/new", {"name": "source", "region": "aws:us-east-1"})["id"]
    dx.use(source)
    folder = write_workflow(dx, "add_two", dx.applet(PLUS, name="plus", **NUMBER))
    built = json.loads(dx("build", "--globalworkflow", folder, "--json").out)
    assert (built["class"], built["aliases"]) == ("globalworkflow", ["1.0.0", "default"])
    dx.use(own)
    dx.call(f"/{source}/destroy")
    dx("add", "users", "add_two", erin.username)
    assert "is not published" in erin("describe", "globalworkflow-add_two", code=3).text
    assert "add or remove users" in dx("publish", "add_two/1.0.0").text
    assert "already published" in dx("publish", "add_two/1.0.0", code=3).text
    assert "Adds two (add_two), v1.0.0" in erin("find", "globalworkflows").text
    text = erin("describe", "globalworkflow-add_two/1.0.0").text
    for word in ("globalworkflow-", "Adds two", "1.0.0, default", "first.n (int)", "Stage 1"):
        assert word in text
    analysis = erin.id("run", "globalworkflow-add_two", "-ione.n=40", "-y")
    erin("wait", analysis, seconds=ENDED_SECONDS)
    assert erin.json("describe", analysis)["output"] == {"first.n": 41, "second.n": 42}
    erin("get", "globalworkflow-add_two", "-o", "got")
    got = json.loads((erin.home / "got" / "dxworkflow.json").read_text())
    assert [stage["id"] for stage in got["stages"]] == ["first", "second"]
    clash = erin.write_applet("add_two", {"src/code.sh": PLUS}, version="1.0.0")
    said = erin("build", "--app", str(clash), code=3).text
    assert 'The name "add_two" is that of a global workflow already' in said


def test_a_workflow_becomes_global_by_its_id(dx: Dx) -> None:
    folder = write_workflow(dx, "by_id", dx.applet(PLUS, name="plus", **NUMBER))
    workflow = json.loads(dx("build", "--workflow", folder, "--brief").out)["id"]
    said = dx("build", "--globalworkflow", "--from", workflow, "--version", "2.0.0", "--brief")
    assert json.loads(said.out.splitlines()[-1])["id"].startswith("globalworkflow-")
    found = dx.json("describe", "globalworkflow-by_id/2.0.0")
    assert (found["title"], found["version"]) == ("Adds two", "2.0.0")


def test_a_batch_of_files_is_found_and_a_table_of_inputs_is_run(dx: Dx) -> None:
    applet = dx.applet(PLUS, name="plus", **NUMBER)
    for name in ("a_1.txt", "a_2.txt", "b_1.txt"):
        dx.upload(name, name)
    said = dx("generate_batch_inputs", "-ix=(.*)_1.txt", "-iy=(.*)_2.txt", code=3).err
    assert "Found 1 valid batch IDs" in said
    assert 'ERROR processing batch ID matching pattern "b"' in said
    table = (dx.home / "dx_batch.0000.tsv").read_text().splitlines()
    assert [line.split("\t")[:3] for line in table] == [
        ["batch ID", "x", "y"], ["a", "a_1.txt", "a_2.txt"],
    ]  # fmt: skip
    (dx.home / "numbers.tsv").write_text("batch ID\tn\nfew\t7\nmany\t800\n")
    jobs = dx.id("run", applet, "--batch-tsv", "numbers.tsv", "--batch-folders", "-y").split(",")
    described = [dx.site.describe(job) for job in jobs]
    assert [job["name"] for job in described] == ["plus-few", "plus-many"]
    assert [job["folder"] for job in described] == ["/few", "/many"]
    assert [dx.site.ended(job).output for job in jobs] == [{"n": 8}, {"n": 801}]


def test_an_applet_is_built_in_a_job(dx: Dx) -> None:
    folder = dx.write_applet("remote", {"src/code.sh": PLUS}, version="1.0.0", **NUMBER)
    # the client calls itself to watch the job
    path = {"PATH": f"{DX.parent}:{dx.environ['PATH']}"}
    build = ("build", "--remote", str(folder), "--destination", f"{dx.project}:/")
    assert "output_applet = applet-" in dx(*build, environ=path).text
    assert dx("ls", "remote", "--brief").out.strip().startswith("applet-")
    (folder / "Makefile").write_text("all:\n\techo this is made in the job; false\n")
    said = dx(*build, code=3, environ=path).text
    assert "AppError: dx build failed with exit code" in said
