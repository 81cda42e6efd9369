"""Assets: imported, mapped, built by the client, and used by applets in every form (I.7)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any, Final

import pytest

from tests.e2e.driver import DX, ROOT, Dx, Said, Site, user

pytestmark = pytest.mark.e2e

# Ids as another platform makes them.
THEIRS: Final = "J0G5Bq04Jz5F1v8vB0x2p"
PROJECT: Final = f"project-{THEIRS}001"
RECORD: Final = f"record-{THEIRS}002"
REFERENCE: Final = f"file-{THEIRS}003"
UNKNOWN: Final = f"{THEIRS}999"
NAME: Final = "hts\"lib' v$(x)"
FOLDER: Final = "/app assets"
TOOL: Final = "#!/bin/sh\necho tool of the asset\n"


def plasmid(site: Site, *arguments: str | Path, code: int = 0) -> Said:
    """Run a command of ours for a site; it must end with `code`."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("PLASMID_", "DX_"))}
    ran = subprocess.run(
        [sys.executable, "-P", "-m", "plasmid", *map(str, arguments)],
        env=environ | {"PLASMID_HOME": str(site.home), "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    said = Said(ran.returncode, ran.stdout, ran.stderr)
    assert said.code == code, f"plasmid {arguments}\n{said.out}{said.err}"
    return said


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("asset")
    tool = root / "root" / "usr" / "local" / "bin" / "asset-tool"
    tool.parent.mkdir(parents=True)
    tool.write_text(TOOL)
    tool.chmod(0o755)
    with tarfile.open(root / "asset.tar.gz", "w:gz") as tar:
        tar.add(root / "root", arcname=".")
    return root / "asset.tar.gz"


@pytest.fixture(scope="module")
def imported(site: Site, archive: Path) -> str:
    """An asset under ids of another platform."""
    options = ("--id", RECORD, "--project", PROJECT, "--folder", FOLDER)
    given = ("asset", "import", archive, "--name", NAME, "--version", "1.15")
    return plasmid(site, *given, *options).out.strip()


def depends_on(dx: Dx, name: str, *assets: dict[str, Any], **dxapp: Any) -> Path:
    code = {"src/code.sh": "main() { asset-tool; }\n"}
    return dx.write_applet(name, code, runSpec={"assetDepends": list(assets)}, **dxapp)


class TestImport:
    @pytest.mark.parametrize(
        ("name", "asset"),
        [
            ("id", {"id": RECORD}),
            ("link", {"id": {"$dnanexus_link": RECORD}}),
            ("link-in-project", {"id": {"$dnanexus_link": {"project": PROJECT, "id": RECORD}}}),
            ("name", {"name": NAME, "version": "1.15", "project": PROJECT, "folder": FOLDER}),
        ],
    )
    def test_an_applet_has_the_asset_that_it_names(
        self, dx: Dx, imported: str, name: str, asset: dict[str, Any]
    ) -> None:
        applet = dx.build(depends_on(dx, name, asset))
        ended = dx.site.ended(dx.run(applet))
        assert ended.said()[-1:] == ["tool of the asset"], ended.why
        described = dx.site.describe(applet)
        bundle = described["runSpec"]["bundledDepends"][0]
        assert bundle["name"] == f"{NAME}.tar.gz"
        assert described["links"] == [bundle["id"]["$dnanexus_link"]]

    def test_an_asset_of_a_region_alone_is_taken_and_cloned(self, dx: Dx, imported: str) -> None:
        regional = {"aws:us-east-1": {"assetDepends": [{"id": RECORD}]}}
        folder = dx.write_applet(
            "regional", {"src/code.sh": "asset-tool"}, regionalOptions=regional
        )
        applet = dx.build(folder)
        assert dx.site.ended(dx.run(applet)).said()[-1:] == ["tool of the asset"]
        assert dx.site.describe(RECORD, project=dx.project)["project"] == dx.project
        assert f"{NAME} ({RECORD})" in dx("describe", applet).text

    def test_only_the_entry_point_that_asks_has_it(self, dx: Dx, imported: str) -> None:
        applet = dx.build(depends_on(dx, "stages", {"id": RECORD, "stages": ["work"]}))
        ended = dx.site.ended(dx.run(applet))
        assert "127" in ended.why
        assert any(text.startswith("Skipping dependency") for text in ended.said("INFO"))

    def test_a_job_fetches_its_bundles_by_the_clients_own_command(
        self, dx: Dx, imported: str
    ) -> None:
        code = (
            "main() { rm /usr/local/bin/asset-tool; cd /; dx-fetch-bundled-depends; asset-tool; }"
        )
        folder = depends_on(dx, "fetch", {"id": RECORD})
        (folder / "src" / "code.sh").write_text(code)
        ended = dx.site.ended(dx.run(dx.build(folder)))
        assert ended.said()[-1] == "tool of the asset", ended.why

    def test_an_applet_runs_with_it_without_a_server(self, dx: Dx, imported: str) -> None:
        asset = {"name": NAME, "version": "1.15", "project": PROJECT, "folder": FOLDER}
        said = plasmid(dx.site, "run", depends_on(dx, "serverless", asset))
        assert "tool of the asset" in said.err.splitlines()

    def test_it_is_listed_and_the_same_is_refused(
        self, site: Site, imported: str, archive: Path
    ) -> None:
        listed = json.loads(plasmid(site, "asset", "list", "--json").out)
        assert [asset["id"] for asset in listed["assets"] if asset["project"] == PROJECT] == [
            RECORD
        ]
        options = ("--name", NAME, "--version", "1.15", "--project", PROJECT, "--folder", FOLDER)
        said = plasmid(site, "asset", "import", archive, *options, code=2)
        assert f"plasmid asset unmap {RECORD}" in said.err

    def test_what_is_no_archive_is_refused(self, site: Site, tmp_path: Path) -> None:
        (tmp_path / "a.tar.gz").write_text("text")
        named = ("--name", "a", "--version", "1")
        said = plasmid(site, "asset", "import", tmp_path / "a.tar.gz", *named, code=2)
        assert "is no whole tar archive" in said.err
        assert "name an archive" in plasmid(site, "asset", "import", *named, code=2).err

    def test_an_asset_of_packages_is_built_by_the_platforms_own_job(self, dx: Dx) -> None:
        made = ("asset", "import", "--apt", "tree", "--name", "tree", "--version", "2")
        record = plasmid(dx.site, *made).out.strip()
        folder = dx.write_applet(
            "packages",
            {"src/code.sh": "tree --version"},
            runSpec={"assetDepends": [{"id": record}]},
        )
        ended = dx.site.ended(dx.run(dx.build(folder)))
        assert ended.said()[-1].startswith("tree v"), ended.why


class TestUnmapped:
    def test_a_build_names_the_id_and_the_remedy(self, dx: Dx) -> None:
        record = f"record-{UNKNOWN}"
        said = dx("build", str(depends_on(dx, "by-id", {"id": record})), code=3).text
        assert f"{record} could not be found" in said
        assert f"plasmid asset import ARCHIVE --id {record}" in said

    def test_so_it_does_for_an_asset_by_name(self, dx: Dx) -> None:
        asset = {"name": "a", "version": "1", "project": f"project-{UNKNOWN}"}
        said = dx("build", str(depends_on(dx, "by-name", asset)), code=3).text
        assert f"plasmid asset import ARCHIVE --project project-{UNKNOWN}" in said

    def test_a_run_names_the_default_and_the_remedy(self, dx: Dx) -> None:
        file = f"file-{UNKNOWN}"
        spec = [{"name": "x", "class": "file", "default": {"$dnanexus_link": file}}]
        applet = dx.applet("true", inputSpec=spec)
        assert f"plasmid asset map {file}" in dx("run", applet, "-y", code=3).text

    def test_a_bundle_that_is_nowhere_fails_the_job_with_its_id(self, dx: Dx) -> None:
        file = f"file-{UNKNOWN}"
        bundle = {"name": "b.tar.gz", "id": {"$dnanexus_link": file}}
        applet = dx.applet("true", run={"bundledDepends": [bundle]})
        ended = dx.site.ended(dx.run(applet, executionPolicy={"restartOn": {}}))
        assert ended.state == "failed"
        assert file in ended.why
        assert f"plasmid asset map {file}" in ended.why

    def test_a_run_without_a_server_names_both(self, dx: Dx) -> None:
        folder = depends_on(dx, "serverless-unmapped", {"id": f"record-{UNKNOWN}"})
        said = plasmid(dx.site, "run", folder, code=2)
        assert f"--id record-{UNKNOWN}" in said.err


class TestMap:
    def test_a_default_of_another_platform_becomes_a_file_of_this_machine(
        self, dx: Dx, tmp_path: Path
    ) -> None:
        (tmp_path / "ref.fa").write_text(">reference\n")
        options = ("--project", PROJECT, "--folder", "/refs")
        plasmid(dx.site, "asset", "map", REFERENCE, tmp_path / "ref.fa", *options)
        link = {"$dnanexus_link": {"project": PROJECT, "id": REFERENCE}}
        spec = [{
            "name": "ref", "class": "file", "default": link,
            "suggestions": [{"project": PROJECT, "path": "/refs"}],
        }]  # fmt: skip
        folder = dx.write_applet("default", {"src/code.sh": 'dx cat "$ref"'}, inputSpec=spec)
        ended = dx.site.ended(dx.run(dx.build(folder)))
        assert ended.said() == [">reference"], ended.why
        assert dx("ls", f"{PROJECT}:/refs").out == "ref.fa\n"
        assert ">reference" in plasmid(dx.site, "run", folder).err.splitlines()

    def test_a_local_object_gets_a_second_id_until_it_is_taken_away(self, dx: Dx) -> None:
        local = dx.upload("local.txt", "local bytes")
        twin = f"file-{THEIRS}004"
        plasmid(dx.site, "asset", "map", twin, local)
        assert dx("cat", twin).out == "local bytes"
        dx("rm", "local.txt")
        assert dx("cat", twin).out == "local bytes"
        assert "mapped already" in plasmid(dx.site, "asset", "map", twin, local, code=2).err
        plasmid(dx.site, "asset", "unmap", twin)
        assert "could not be found" in dx("cat", twin, code=3).text
        assert "not in the site's table" in plasmid(dx.site, "asset", "unmap", twin, code=2).err

    def test_a_project_stands_for_a_local_one(self, dx: Dx) -> None:
        dx.upload("content.txt", "x")
        theirs = f"project-{THEIRS}005"
        plasmid(dx.site, "asset", "map", theirs, dx.project)
        assert "content.txt" in dx("ls", f"{theirs}:").out.splitlines()

    def test_only_the_operator_may(self, dx: Dx) -> None:
        body = {"id": f"project-{THEIRS}006", "name": "n", "region": "aws:us-east-1"}
        said = dx("api", "internal", "project/adopt", json.dumps(body), code=3).text
        assert "Only the operator" in said


def test_a_server_that_starts_has_what_was_imported_without_it(
    own_site: Site, tmp_path: Path, archive: Path
) -> None:
    own_site.stop()
    given = ("asset", "import", archive, "--name", "a", "--version", "1", "--id", RECORD)
    assert "plasmid serve" in plasmid(own_site, *given).err
    own_site.start()
    dx = user(own_site, tmp_path, "own")
    ended = own_site.ended(dx.run(dx.build(depends_on(dx, "later", {"id": RECORD}))))
    assert ended.said()[-1:] == ["tool of the asset"], ended.why


class TestBuildAsset:
    def write(self, dx: Dx, name: str, makefile: str = "", **conf: Any) -> Path:
        folder = dx.home / name
        folder.mkdir()
        described = {"title": "T", "description": "D\n'\"", "version": "0.0.1", "release": "24.04"}
        (folder / "dxasset.json").write_text(json.dumps({"name": name, **described, **conf}))
        if makefile:
            (folder / "Makefile").write_text(makefile)
        return folder

    def test_packages_resources_and_makefile_become_an_asset(self, dx: Dx) -> None:
        name = "a 'name' $(x)"
        make = "all:\n\techo made > /opt/made.txt\n\techo no > /opt/left-out.txt\n"
        folder = self.write(
            dx, name, make, execDepends=[{"name": "tree"}, {"name": "jq"}],
            excludeResource=["/opt/left-out.txt"], instanceType="mem1_ssd1_v2_x2",
        )  # fmt: skip
        tool = folder / "resources" / "usr" / "local" / "bin" / "own tool"
        tool.parent.mkdir(parents=True)
        tool.write_text("#!/bin/sh\necho own\n")
        tool.chmod(0o755)
        (folder / "resources" / "home" / "dnanexus").mkdir(parents=True)
        (folder / "resources" / "home" / "dnanexus" / "data.txt").write_text("data\n")
        record = json.loads(dx("build_asset", "--json", str(folder)).out)["id"]
        described = dx.site.describe(record, properties=True, details=True)
        assert (described["name"], described["types"]) == (name, ["AssetBundle"])
        assert described["properties"] == {
            "title": "T", "description": "D\n'\"", "version": "0.0.1", "release": "24.04",
            "distribution": "Ubuntu", "runSpecVersion": "0",
        }  # fmt: skip
        file = described["details"]["archiveFileId"]["$dnanexus_link"]
        packed = dx.site.describe(file, properties=True)
        assert (packed["hidden"], packed["name"]) == (True, f"{name}.tar.gz")
        assert packed["properties"] == {"AssetBundle": record}
        job = dx.site.describe(described["createdBy"]["job"])
        assert (job["executableName"], job["instanceType"]) == (
            "create_asset_noble", "mem1_ssd1_v2_x2",
        )  # fmt: skip
        code = (
            "main() { tree --version | cut -c1-4; 'own tool'; cat /opt/made.txt data.txt;"
            " ls /opt/left-out.txt || echo left out; }\n"
        )
        applet = dx.write_applet(
            "uses", {"src/code.sh": code}, runSpec={"assetDepends": [{"id": record}]}
        )
        ended = dx.site.ended(dx.run(dx.build(applet)))
        assert ended.said()[-5:] == ["tree", "own", "made", "data", "left out"], ended.why
        assert dx("find", "data", "--name", "dxasset.json", "--brief").out == ""

    def test_the_log_is_watched_and_the_folder_is_where_it_was_asked_for(self, dx: Dx) -> None:
        dx("mkdir", "/assets")
        folder = self.write(dx, "watched")
        path = {"PATH": f"{DX.parent}:{os.environ['PATH']}"}  # dx starts dx to watch the log
        said = dx("build_asset", "-d", f"{dx.project}:/assets/", str(folder), environ=path)
        assert "The asset has 0 files" in said.text
        record = json.loads(dx("find", "data", "--name", "watched", "--json").out)[0]
        assert record["describe"]["folder"] == "/assets"

    @pytest.mark.parametrize(
        ("name", "makefile", "conf", "said"),
        [
            ("make", "echo", {}, "the Makefile failed: make ended with code 2"),
            ("package", "", {"execDepends": [{"name": "no-such-package"}]}, "no-such-package"),
            ("option", "", {"execDepends": [{"name": "-oAPT::x=y"}]}, "no name that apt could"),
            ("type", "", {"instanceType": "mem1_ssd1_x3"}, "code 422"),
        ],
    )
    def test_a_build_that_fails_says_why(
        self, dx: Dx, name: str, makefile: str, conf: dict[str, Any], said: str
    ) -> None:
        folder = self.write(dx, f"fails-{name}", makefile, **conf)
        ended = dx("build_asset", "--json", str(folder), code=1)
        assert said in ended.text

    def test_the_builders_are_described_and_got(self, dx: Dx) -> None:
        said = dx("describe", "app-create_asset_focal").text
        assert "Asset builder for Ubuntu 20.04" in said
        assert "conf_json" in said
