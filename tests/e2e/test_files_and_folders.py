"""What a user does with projects, folders and files, typed with the real client."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.e2e.driver import Dx

pytestmark = pytest.mark.e2e


def ls(dx: Dx, *arguments: str) -> list[str]:
    return dx("ls", *arguments).out.splitlines()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A local folder with files at three depths."""
    top = tmp_path / "tree"
    for path in ("one", "sub/two", "sub/deep/three"):
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_text(path)
    return top


class TestWhoAndWhere:
    def test_whoami_names_the_user(self, dx: Dx) -> None:
        assert dx("whoami", "--id").out.strip() == dx.user
        assert dx("whoami").out.strip() == dx.user.removeprefix("user-")

    def test_the_client_remembers_project_and_folder(self, dx: Dx) -> None:
        elsewhere = dx.environ.pop("DX_PROJECT_CONTEXT_ID")
        try:
            made = dx.id("new", "project", "a walk", "--select")
            dx("mkdir", "-p", "/a/b")
            dx("cd", "/a/b")
            assert dx("pwd").out == "a walk:/a/b\n"
            assert "No such file or directory" in dx("cd", "/c", code=3).text
            dx("select", "a walk")
            assert dx("pwd").out == "a walk:/\n"
            dx("rmproject", "-y", "a walk")
            assert dx("describe", made, code=3).text
        finally:
            dx.use(elsewhere)

    def test_a_project_is_described_and_changed(self, dx: Dx) -> None:
        dx("update", "project", dx.project, "--summary", "S", "--protected", "true")
        dx("tag", f"{dx.project}:", "good")
        dx("set_properties", f"{dx.project}:", "who=me")
        found = dx.json("describe", f"{dx.project}:")
        assert (found["summary"], found["protected"], found["tags"]) == ("S", True, ["good"])
        assert found["properties"] == {"who": "me"}
        dx("update", "project", dx.project, "--protected", "false")
        text = dx("describe", f"{dx.project}:", "--verbose").text
        assert "Region aws:us-east-1" in text
        assert f"Permissions {dx.user.removeprefix('user-')}:ADMINISTER" in text


class TestFolders:
    def test_folders_are_made_listed_moved_and_removed(self, dx: Dx) -> None:
        assert "code 404" in dx("mkdir", "/f/g/h", code=3).text
        dx("mkdir", "-p", "/f/g/h")
        assert "already exists" in dx("mkdir", "/f", code=3).text
        dx("mkdir", "/m")
        dx("mv", "/f/g", "/m")
        assert ls(dx, "/m") == ["g/"]
        dx("mv", "/m/g", "/m/renamed")
        assert dx("tree", "/m").out.splitlines()[1:] == ["└── renamed", "    └── h"]
        assert "is not empty" in dx("rmdir", "/m", code=3).text
        dx("rm", "-r", "/m", "/f")
        assert "m/" not in ls(dx)

    def test_a_folder_comes_back_as_it_went(self, dx: Dx, tree: Path, tmp_path: Path) -> None:
        dx("upload", "-r", str(tree), "--wait")
        (tmp_path / "back").mkdir()
        dx("download", "-r", "tree", "-o", str(tmp_path / "back"))
        same = ["diff", "-r", str(tree), str(tmp_path / "back" / "tree")]
        assert subprocess.run(same, check=False).returncode == 0
        assert "-r/--recursive" in dx("download", "tree", code=1).text

    def test_a_copy_in_another_project_is_the_same_object(self, dx: Dx, tree: Path) -> None:
        dx("mkdir", "/copied")
        dx("upload", "-r", str(tree), "--path", "/copied/", "--wait")
        other = dx.id("new", "project", "other")
        dx("cp", "/copied/tree", f"{other}:/")
        assert "would conflict" in dx("cp", "/copied/tree", f"{other}:/", code=3).text
        found = [
            dx("find", "data", "--brief", "--path", path).out.split()
            for path in ("/copied/tree", f"{other}:/tree")
        ]
        here, there = ({name.partition(":")[2] for name in names} for names in found)
        assert here == there
        assert len(here) == 3
        assert "already existed" in dx("cp", "/copied/tree/one", f"{other}:/").text
        dx("rmproject", "-y", other)
        assert dx("cat", "/copied/tree/one").out == "one"


class TestFiles:
    @pytest.mark.parametrize("size", [0, 1, 70_000])
    def test_bytes_come_back_as_they_went(self, dx: Dx, size: int) -> None:
        content = os.urandom(size)
        made = dx.upload(f"of-{size}", content)
        dx("download", made, "-o", "back", "-f", "--no-progress")
        assert (dx.home / "back").read_bytes() == content
        assert dx.json("describe", made)["size"] == size

    def test_a_file_of_many_parts_comes_back_whole(self, dx: Dx) -> None:
        content = os.urandom(12 << 20)
        (dx.home / "many").write_bytes(content)
        made = dx.id("upload", "many", "--wait", "--buffer-size", str(5 << 20))
        parts = dx.call(f"/{made}/describe", {"fields": {"parts": True}})["parts"]
        assert [parts[n]["size"] for n in sorted(parts)] == [5 << 20, 5 << 20, 2 << 20]
        dx("download", made, "-o", "many-back", "-f", "--no-progress")
        assert (dx.home / "many-back").read_bytes() == content

    def test_streams_go_up_and_come_down(self, dx: Dx) -> None:
        made = dx.id("upload", "-", "--path", "/piped", "--wait")
        assert dx.json("describe", made)["size"] == 0
        dx("upload", "-", "--path", "/lines", "--wait", stdin="a\nb\nc\n")
        assert dx("cat", "lines").out == "a\nb\nc\n"
        assert dx("download", "lines", "-o", "-").out == "a\nb\nc\n"
        assert dx("head", "-n", "2", "lines").out == "a\nb\n"

    def test_names_may_hold_any_sign(self, dx: Dx) -> None:
        name = "a b:c*?[é].txt"
        dx.upload(name, "odd")
        escaped = r"a b\:c\*\?[é].txt"
        assert ls(dx, escaped) == [name]
        assert dx("cat", escaped).out == "odd"
        dx("rm", escaped)
        assert name not in ls(dx)

    def test_what_is_said_of_a_file_is_kept(self, dx: Dx) -> None:
        (dx.home / "said").write_text("x")
        options = ("--tag", "t", "--property", "k=v", "--type", "T", "--details", '{"d": 1}')
        made = dx.id("upload", "said", "--path", "/said of", "--wait", *options)
        found = dx.json("describe", made, "--verbose")
        told = {name: found[name] for name in ("name", "tags", "types", "properties", "details")}
        assert told == {
            "name": "said of",
            "tags": ["t"],
            "types": ["T"],
            "properties": {"k": "v"},
            "details": {"d": 1},
        }
        dx("tag", made, "u")
        dx("untag", made, "t")
        dx("set_properties", made, "k=w", "l=m")
        dx("unset_properties", made, "l")
        dx("rename", made, "new name")
        found = dx.json("describe", "new name")
        assert (found["tags"], found["properties"]) == (["u"], {"k": "w"})

    def test_a_url_works_without_the_client(self, dx: Dx) -> None:
        dx.upload("for url", "0123456789")
        url = dx("make_download_url", "for url", "--duration", "1h").out.strip()
        assert url == dx("make_download_url", "for url", "--duration", "1h").out.strip()
        curl = ["curl", "-sS", "--noproxy", "*", url]
        assert subprocess.check_output(curl) == b"0123456789"
        assert subprocess.check_output([*curl, "-r", "2-4"]) == b"234"
        subprocess.run(["wget", "-q", "--no-proxy", "-P", str(dx.home / "w"), url], check=True)
        assert [path.name for path in (dx.home / "w").iterdir()] == ["for url"]

    def test_two_files_of_one_name_must_be_told_apart(self, dx: Dx) -> None:
        first, second = dx.upload("twin", "1"), dx.upload("twin", "2")
        assert "resolves to 2 data objects" in dx("mv", "twin", "t", code=3).text
        dx("rm", first)
        assert dx.json("describe", "twin")["id"] == second


class TestRecords:
    def test_a_record_lives_until_it_is_closed(self, dx: Dx) -> None:
        made = dx.id("new", "record", "rec", "--type", "Old", "--details", '{"k": [1]}')
        link = dx.upload("linked", "x")
        dx("set_details", "rec", f'{{"to": {{"$dnanexus_link": "{link}"}}}}')
        dx("add_types", "rec", "New")
        dx("remove_types", "rec", "Old")
        dx("close", "rec")
        dx("close", "rec")
        assert "not in the open state" in dx("set_details", "rec", "{}", code=3).text
        assert "not in the open state" in dx("add_types", "rec", "X", code=3).text
        found = dx.json("describe", made)
        assert (found["state"], found["types"], found["links"]) == ("closed", ["New"], [link])
        dx("get", "rec")
        assert link in (dx.home / "rec.json").read_text()
        assert link in dx("get_details", "rec").out


class TestApi:
    def test_any_method_can_be_called(self, dx: Dx) -> None:
        assert dx("api", "system", "whoami").text == f'{{ "id": "{dx.user}" }}'
        asked = dx("api", dx.project, "describe", '{"fields": {"name": true}}')
        assert '"test_files_and_folders"' in asked.out

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (("file", "new", "{}"), 'InvalidInput: Expected input to have property "project"'),
            (("system", "findDataObjects", '{"state": "bad"}'), 'Expected key "state"'),
            (("None", "describe"), "ResourceNotFound: The entity None could not be found"),
            (("file-xxxx", "describe"), "could not be found"),
        ],
    )
    def test_a_refusal_has_its_type_and_one_line(
        self, dx: Dx, *, arguments: tuple[str, ...], said: str
    ) -> None:
        assert said in dx("api", *arguments, code=3).text
