"""Apps by the real client: built, shared, run elsewhere, with their four containers (E.5, C.10)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from tests.e2e import second_user
from tests.e2e.driver import Dx, Ended, RefusedError, Site, field, lines_of

pytestmark = pytest.mark.e2e

REGION: Final = "aws:us-east-1"
# Runs a tool of its bundle, reads a resource, and takes from the cache what an earlier job put in.
CODE: Final = """\
main() {
    echo "four $DX_WORKSPACE_ID $DX_RESOURCES_ID $DX_PROJECT_CACHE_ID $DX_PROJECT_CONTEXT_ID"
    echo "tool $(own-tool)"
    echo "reference $(dx cat "$DX_RESOURCES_ID:/refs/reference.txt")"
    python3 /opt/cache.py
    echo scratch | dx upload - --path scratch.txt --brief --wait > /dev/null
    dx ls "$DX_PROJECT_CONTEXT_ID:" && echo "sees the project" || echo "no project"
    dx mkdir "$DX_RESOURCES_ID:/mine" && echo "writes resources" || echo "reads resources"
    child=$(dx-jobutil-new-job child)
    dx-jobutil-add-output told "$child:told" --class jobref
}
child() {
    dx-jobutil-add-output told "$(dx cat "$DX_PROJECT_CACHE_ID:/index.txt") by child"
}
"""
CACHE: Final = """\
import dxpy
from dxpy.bindings import dxapp_container_functions as containers

found = containers.load_from_cache(name="index.txt", classname="file", zero_ok=True)
if found is None:
    made = dxpy.upload_string("an index", name="index.txt", wait_on_close=True)
    containers.save_to_cache(made)
    print("cache filled")
else:
    print("cache has", found.read())
resource = containers.load_app_resource(classname="file", name="reference.txt", folder="/refs")
print("resource", resource.read().strip())
"""


class Made(NamedTuple):
    """An app's source folder, its name, and the project that its resources came from."""

    folder: Any
    name: str
    source: str
    app: str


def other_user(site: Site, home: Path, word: str) -> Dx:
    """The client of another user, in a project of theirs that the first one may look into."""
    dx = second_user.client(site, home, word)
    dx.use(dx.call("/project/new", {"name": f"of {word}"})["id"])
    # so that the test can follow the jobs
    dx.call(f"/{dx.project}/invite", {"invitee": site.keys["user"], "level": "VIEW"})
    return dx


@pytest.fixture(scope="module")
def carol(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dx]:
    """Who may use the app."""
    dx = other_user(site, tmp_path_factory.mktemp("carol"), "carol")
    yield dx
    dx.call(f"/{dx.project}/destroy", {"terminateJobs": True})


@pytest.fixture(scope="module")
def dave(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Dx:
    """Who may not."""
    return other_user(site, tmp_path_factory.mktemp("dave"), "dave")


@pytest.fixture(scope="module")
def made(dx: Dx, carol: Dx) -> Made:
    """An app that is built by the client from a folder, with resources, published for carol."""
    source = dx.call("/project/new", {"name": "resources", "region": REGION})["id"]
    own = dx.project
    dx.use(source)
    dx("mkdir", "/refs")
    dx.upload("reference.txt", "ACGT\n")
    dx("mv", "reference.txt", "/refs/")
    dx.use(own)
    folder = dx.write_applet(
        "made_by_dx",
        {
            "src/code.sh": CODE,
            "resources/usr/local/bin/own-tool": "#!/bin/sh\necho bundled\n",
            "resources/opt/cache.py": CACHE,
        },
        version="1.0.0",
        title="Made by dx",
        summary="Shows its containers",
        resources=source,
        categories=["Reports"],
        outputSpec=[field("told", "string")],
    )
    built = json.loads(dx("build", "--app", "--json", str(folder)).out)
    dx("add", "users", "made_by_dx", carol.username)
    dx("publish", "made_by_dx/1.0.0")
    return Made(folder, "made_by_dx", source, built["id"])


def ran(dx: Dx, *arguments: str) -> Ended:
    """Run something with the client and return its end."""
    return dx.site.ended(dx.id("run", *arguments, "-y"))


def test_a_job_in_another_project_has_its_four_containers_and_the_next_one_finds_its_cache(
    made: Made, carol: Dx
) -> None:
    first = ran(carol, "app-made_by_dx")
    assert first.output == {"told": "an index by child"}, first.said("STDOUT", "STDERR")
    said = first.said()
    described = carol.call(f"/{first.describe['id']}/describe")
    (four,) = lines_of(said, "four ")
    assert four.split() == [
        described[key] for key in ("workspace", "resources", "projectCache", "project")
    ]
    assert described["app"] == described["executable"] == made.app
    assert "applet" not in described
    assert described["project"] == carol.project
    shown = {"tool bundled", "reference ACGT", "resource ACGT", "cache filled"}
    assert shown <= set(said), said
    assert {"no project", "reads resources"} <= set(said), said

    second = ran(carol, f"{made.name}/1.0.0")
    assert "cache has an index" in second.said(), second.why
    assert second.describe["projectCache"] == first.describe["projectCache"]
    for job in (first, second):
        with pytest.raises(RefusedError, match="ResourceNotFound"):
            carol.call(f"/{job.describe['workspace']}/describe")
    kept = carol.call(f"/{described['projectCache']}/listFolder", {"describe": True})
    assert [entry["describe"]["name"] for entry in kept["objects"]] == ["index.txt"]
    with pytest.raises(RefusedError, match="PermissionDenied"):
        carol.call(f"/{described['resources']}/describe")


@pytest.mark.usefixtures("made")
def test_a_user_without_authorization_is_refused(dave: Dx) -> None:
    said = dave("run", "app-made_by_dx", "-y", code=None)
    assert said.code != 0
    for verb in ("describe", "run", "get", "install"):
        with pytest.raises(RefusedError, match="PermissionDenied"):
            dave.call(f"/app-made_by_dx/{verb}", {"project": dave.project, "input": {}})
    assert "made_by_dx" not in dave("find", "apps").out
    with pytest.raises(RefusedError, match="PermissionDenied"):
        dave.call(
            "/app/new", {"name": "made_by_dx", "version": "2.0.0", "applet": "applet-" + "0" * 24}
        )


def test_an_app_outlives_the_project_of_its_resources_and_its_applet(
    made: Made, dx: Dx, carol: Dx
) -> None:
    """The client builds the applet in a project that it removes; here the resources go, too."""
    with pytest.raises(RefusedError, match="ResourceNotFound"):
        dx.call(f"/{made.source.replace('project', 'applet')}/describe")
    dx.call(f"/{made.source}/destroy")
    ended = ran(carol, "app-made_by_dx")
    assert {"tool bundled", "reference ACGT"} <= set(ended.said()), ended.why


@pytest.mark.usefixtures("made")
def test_the_client_finds_describes_gets_and_installs_it(dx: Dx, carol: Dx) -> None:
    assert "Made by dx (made_by_dx), v1.0.0" in carol("find", "apps").text
    assert "made_by_dx" in carol("find", "apps", "--category", "Reports").text
    assert "made_by_dx" not in carol("find", "apps", "--unpublished").text
    text = carol("describe", "app-made_by_dx").text
    for word in ("Made by dx", "1.0.0, default", "told (string)", carol.user, "Resources"):
        assert word in text
    carol("install", "made_by_dx")
    assert "made_by_dx" in carol("find", "apps", "--installed").text
    carol("uninstall", "made_by_dx")
    assert "made_by_dx" not in carol("find", "apps", "--installed").text
    assert carol("get", "app-made_by_dx", code=3).text.count("PermissionDenied") == 1
    dx("get", "app-made_by_dx", "-o", "got")
    assert (dx.home / "got" / "src" / "code.sh").read_text() == CODE
    tool = dx.home / "got" / "resources" / "usr" / "local" / "bin" / "own-tool"
    assert "bundled" in tool.read_text()
    assert json.loads((dx.home / "got" / "dxapp.json").read_text())["name"] == "made_by_dx"
    assert dx("list", "users", "made_by_dx").out.split() == [carol.user]
    dx("add", "developers", "made_by_dx", carol.username)
    assert dx("list", "developers", "made_by_dx").out.split() == [dx.user, carol.user]
    dx("remove", "developers", "made_by_dx", carol.username)


def test_versions_are_built_updated_and_published(dx: Dx) -> None:
    def build(text: str, *options: str, **dxapp: Any) -> Any:
        folder = dx.write_applet(
            "versions",
            {"src/code.sh": f"main() {{ echo {text}; }}\n"},
            **{"version": "1.0.0", **dxapp},
        )
        return json.loads(dx("build", "--create-app", "--json", *options, str(folder)).out)

    first = build("one")
    again = build("two")
    assert first["id"] == again["id"]
    assert "published" not in again
    assert ran(dx, "app-versions").said() == ["two"]
    assert "published" in build("three", "--publish", version="1.1.0")
    assert ran(dx, "app-versions").said() == ["three"]
    assert ran(dx, "app-versions/1.0.0").said() == ["two"]
    numbered = build("four", version="1.1.0")  # published already: the client adds to the number
    assert numbered["version"].startswith("1.1.0")
    assert numbered["version"] != "1.1.0"
    assert "InvalidState" in dx("publish", "versions/1.1.0", code=3).text


def test_an_applet_becomes_an_app_and_may_go(dx: Dx) -> None:
    applet = dx.applet("main() { echo from an applet; }", inputSpec=[], outputSpec=[], name="plain")
    dx("build", "--app", "--from", applet, "--version", "0.1.0")
    dx("rm", applet)
    assert ran(dx, "app-plain").said() == ["from an applet"]
