"""Building applets with the real client, and getting them back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.driver import Dx, RefusedError, field

pytestmark = pytest.mark.e2e

SPEC = [field("n", "int", default=3, choices=[1, 2, 3]), field("f", "file", optional=True)]
CODE = "main() {\n  tool\n}\n"
TOOL = "#!/bin/sh\necho tool runs\n"


class TestBuild:
    @pytest.fixture(scope="class")
    @classmethod
    def built(cls, dx: Dx) -> list[str]:
        """The same applet built three times: new, over the old one, beside the archived one."""
        files = {"src/code.sh": CODE, "resources/usr/local/bin/tool": TOOL}
        folder = dx.write_applet(
            "app", files, inputSpec=SPEC, title="An app", access={"network": ["*"]}, version="0.0.1"
        )
        first = dx.build(folder)
        assert "already exists at /app" in dx("build", str(folder), code=3).text
        return [first, dx.build(folder, "-f"), dx.build(folder, "-a")]

    def test_overwriting_removes_and_archiving_keeps_the_old_one(
        self, dx: Dx, built: list[str]
    ) -> None:
        assert dx("describe", built[0], code=3).text
        old = dx.json("describe", built[1])
        assert old["folder"] == "/.Applet_archive"
        assert dx.json("describe", "app")["id"] == built[2]

    def test_resources_are_uploaded_once(self, dx: Dx, built: list[str]) -> None:
        bundles = [dx.json("describe", id_)["runSpec"]["bundledDepends"] for id_ in built[1:]]
        assert bundles[0] == bundles[1]
        assert dx.json("describe", built[2])["links"] == [bundles[0][0]["id"]["$dnanexus_link"]]

    def test_an_applet_is_described(self, dx: Dx, built: list[str]) -> None:
        found = dx.json("describe", built[2])
        assert found["inputSpec"] == SPEC
        assert found["access"] == {"network": ["*"], "project": "VIEW"}
        assert "code" not in found["runSpec"]
        text = dx("describe", built[2], "--verbose").text
        assert "Input Spec [n (int, default=3)] [f (file)]" in text
        assert "Choices: 1, 2, 3" in dx("run", "app", "-h").text

    def test_an_applet_comes_back_as_its_folder(self, dx: Dx, built: list[str]) -> None:
        dx("get", built[2], "-o", "got")
        assert (dx.home / "got/src/code.sh").read_text() == CODE
        assert (dx.home / "got/resources/usr/local/bin/tool").read_text() == TOOL
        assert json.loads((dx.home / "got/dxapp.json").read_text())["title"] == "An app"

    def test_what_was_got_builds_and_runs_again(self, dx: Dx, built: list[str]) -> None:
        dx("get", built[2], "-o", "again")
        job = dx.run(dx.build(dx.home / "again", "-f"))
        assert "tool runs" in dx.site.ended(job).said()


class TestBadApplets:
    """The client checks much by itself; what it lets pass is for the API to refuse."""

    def test_a_broken_file_is_told_with_line_and_column(self, dx: Dx) -> None:
        folder = dx.write_applet("broken", {"dxapp.json": '{\n  "name": "x",\n  oops\n}'})
        assert "line 3 column 3" in dx("build", str(folder), code=3).text

    def test_a_missing_code_file_is_named(self, dx: Dx) -> None:
        folder = dx.write_applet("codeless", {})
        assert "src/code.sh" in dx("build", str(folder), code=3).text

    @pytest.mark.parametrize(
        ("fields", "said"),
        [
            ({"inputSpec": [field("bad name", "int")]}, 'key "name" of inputSpec[0]'),
            ({"runSpec": {"systemRequirements": {"*": {"instanceType": "huge"}}}}, '"huge"'),
        ],
    )
    def test_what_the_api_refuses_is_told_in_one_line(
        self, dx: Dx, *, fields: dict[str, object], said: str
    ) -> None:
        folder = dx.write_applet("bad", {"src/code.sh": ":"}, **fields)
        refused = dx("build", str(folder), "-f", code=3)
        assert said in refused.text
        assert "Traceback" not in refused.text

    @pytest.mark.parametrize(
        ("fields", "said"),
        [
            ({"inputSpec": [field("34", "int")]}, 'key "name" of inputSpec[0]'),
            ({"inputSpec": [field("n", "integer")]}, 'key "class" of inputSpec[0]'),
            ({"inputSpec": [field("n", "int", default="x")]}, "default"),
            ({"outputSpec": [field("n", "int"), field("n", "int")]}, '"n"'),
            ({"interpreter": "perl"}, "interpreter"),
            ({"run": {"execDepends": [{"package_manager": "apt"}]}}, "execDepends"),
            ({"run": {"timeoutPolicy": {"*": {"weeks": 1}}}}, "timeoutPolicy"),
            ({"access": {"project": "OWNER"}}, "access.project"),
            ({"access": {"network": "*"}}, "network"),
        ],
    )
    def test_a_bad_field_is_named_in_one_line(
        self, dx: Dx, *, fields: dict[str, Any], said: str
    ) -> None:
        with pytest.raises(RefusedError, match=r"422 InvalidInput") as refused:
            dx.applet("true", **fields)
        assert said in refused.value.message
        assert "\n" not in refused.value.message
