"""The calls that the real client makes for each command, as measured (contract O.1-O.5)."""

from __future__ import annotations

import pytest

from tests.e2e.driver import Dx, Ended, field, file, routes_of

pytestmark = pytest.mark.e2e

UPLOAD = [
    "/file/new",
    "/project/describe",
    "/file/upload",
    "PUT",
    "/file/describe",
    "/file/close",
    "/file/describe",
]


def calls(dx: Dx, *arguments: str) -> list[str]:
    """The routes of a command's calls; of transfers only the verb."""
    return [path.split(" ")[0] for path in dx.routes(*arguments)]


@pytest.fixture(scope="module")
def text(dx: Dx) -> str:
    return dx.upload("in.txt", "hello")


@pytest.fixture(scope="module")
def applet(dx: Dx) -> str:
    return dx.applet("true", name="hello", inputSpec=[field("f", "file", optional=True)])


class TestFiles:
    def test_whoami(self, dx: Dx) -> None:
        assert calls(dx, "whoami") == ["/system/whoami", "/user/describe"]

    def test_upload(self, dx: Dx) -> None:
        (dx.home / "up.txt").write_text("x")
        said = calls(dx, "upload", "up.txt", "--wait", "--brief")
        assert said[: len(UPLOAD)] == UPLOAD
        assert set(said[len(UPLOAD) :]) <= {"/file/describe"}

    def test_download(self, dx: Dx, text: str) -> None:
        found = calls(dx, "download", "in.txt", "-o", "out.txt", "-f", "--no-progress")
        assert found[:2] == ["/system/findDataObjects", "/project/describe"]
        assert set(found[2:-2]) <= {"/file/describe"}
        assert found[-2:] == ["/file/download", "GET"]
        again = calls(dx, "download", "in.txt", "-o", "out.txt", "-f", "--no-progress")
        assert "GET" not in again

    def test_cat(self, dx: Dx, text: str) -> None:
        found = calls(dx, "cat", "in.txt")
        assert found[0] == "/system/findDataObjects"
        assert found[-2:] == ["/file/download", "GET"]

    def test_make_download_url(self, dx: Dx, text: str) -> None:
        found = calls(dx, "make_download_url", "in.txt")
        assert found == ["/system/findDataObjects", "/file/describe", "/file/download"]

    def test_ls_and_select(self, dx: Dx) -> None:
        assert calls(dx, "ls") == ["/project/listFolder"]
        assert calls(dx, "find", "data") == ["/system/findDataObjects"]

    def test_rm_and_rmproject(self, dx: Dx) -> None:
        dx.upload("gone", "x")
        assert calls(dx, "rm", "gone") == ["/system/findDataObjects", "/project/removeObjects"]
        doomed = dx.call("/project/new", {"name": "doomed"})["id"]
        assert calls(dx, "rmproject", "-y", doomed) == ["/project/describe", "/project/destroy"]


class TestJobs:
    def test_build(self, dx: Dx) -> None:
        files = {"src/code.sh": "true", "resources/usr/bin/x": "x"}
        folder = dx.write_applet("built", files)
        dx.build(folder)
        found = calls(dx, "build", str(folder), "-f")
        assert found[0] == "/project/describe"
        assert [path for path in found if not path.endswith("/describe")] == [
            "/system/findDataObjects",
            "/system/findDataObjects",
            "/applet/new",
            "/project/removeObjects",
        ]

    def test_run_by_name_asks_for_apps_first(self, dx: Dx, applet: str, text: str) -> None:
        found = calls(dx, "run", "hello", "-if=in.txt", "-y", "--brief")
        assert found == [
            "/app-hello/describe",
            "/globalworkflow-hello/describe",
            "/system/findDataObjects",
            "/applet/describe",
            "/system/resolveDataObjects",
            "/applet/run",
        ]

    def test_run_by_id_asks_for_no_app(self, dx: Dx, applet: str) -> None:
        found = calls(dx, "run", applet, "-y", "--brief")
        assert found[-1] == "/applet/run"
        assert not any("app-" in path for path in found)

    def test_watch_wait_describe_and_find(self, dx: Dx, applet: str) -> None:
        job = dx.run(applet)
        dx.site.ended(job)
        assert set(calls(dx, "watch", job)) == {"/job/describe"}
        assert calls(dx, "wait", job) == ["/job/describe"]
        assert calls(dx, "describe", job)[-1] == "/job/describe"
        assert set(calls(dx, "find", "jobs")) == {"/system/findExecutions"}


class TestInsideAJob:
    @pytest.fixture(scope="class")
    @classmethod
    def job(cls, dx: Dx, text: str) -> Ended:
        """A job whose clients tell each of their calls."""
        code = """
main() {
  export _DX_DEBUG=1
  for what in "dx-print-bash-vars" "dx-download-all-inputs" "dx-upload-all-outputs" \
      "dx-jobutil-new-job other" "dx ls"; do
    mkdir -p out/o; [ -e out/o/made.txt ] || echo made > out/o/made.txt
    echo "== $what" >&2; $what > /dev/null
  done
}
other() { true; }
"""
        spec = {"inputSpec": [field("f", "file")], "outputSpec": [field("o", "file")]}
        return dx.ran(code, input={"f": file(text)}, **spec)

    @pytest.mark.parametrize(
        ("what", "expected"),
        [
            ("dx-print-bash-vars", {"/file/describe", "/job/describe", "/applet/describe"}),
            (
                "dx-download-all-inputs",
                {"/file/describe", "/file/download", "GET", "/job/describe", "/applet/describe"},
            ),
            (
                "dx-upload-all-outputs",
                {"/job/describe", "/applet/describe", "/file/new", "/container/describe"}
                | {"/file/upload", "PUT", "/file/describe", "/file/close"},
            ),
            ("dx-jobutil-new-job other", {"/job/new"}),
            ("dx ls", {"/container/listFolder"}),
        ],
    )
    def test_helpers_find_every_route(self, job: Ended, *, what: str, expected: set[str]) -> None:
        assert job.state == "done", job.why
        told = "\n".join(job.said("STDERR")).split(f"== {what}\n")[1].partition("\n== ")[0]
        assert {path.split(" ")[0] for path in routes_of(told)} <= expected
        assert {path.split(" ")[0] for path in routes_of(told)} >= expected - {"/file/describe"}
