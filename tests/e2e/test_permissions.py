"""Who may do what: a second user, tokens of jobs, members (contract I.9, C.4, N.7)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e import second_user
from tests.e2e.driver import Dx, RefusedError, Site, file

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def bob(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Dx:
    """The client of a second user, with a project of its own."""
    dx = second_user.client(site, tmp_path_factory.mktemp("bob"), "bob")
    dx.use(dx.call("/project/new", {"name": "bobs"})["id"])
    return dx


class TestMembers:
    def test_a_stranger_sees_nothing(self, dx: Dx, bob: Dx) -> None:
        secret = dx.upload("secret", "x")
        assert bob("whoami").out == f"{bob.username}\n"
        assert "could not be found" in bob("api", secret, "describe", code=3).text
        assert "PermissionDenied" in bob("api", dx.project, "describe", code=3).text
        assert dx.project not in bob("find", "projects", "--brief").out

    def test_each_level_allows_more(self, dx: Dx, bob: Dx) -> None:
        dx.upload("shared", "x")
        path = f"{dx.project}:/shared"
        assert "(accepted)" in dx("invite", bob.user, dx.project, "VIEW").out
        assert bob("cat", path).out == "x"
        assert "CONTRIBUTE permission is required" in bob("rm", path, code=3).text
        assert "UPLOAD permission is" in bob("mkdir", f"{dx.project}:/bobs", code=3).text
        dx("invite", bob.user, dx.project, "CONTRIBUTE")
        bob("mkdir", f"{dx.project}:/bobs")
        bob("rm", path)
        dx("uninvite", bob.user, dx.project)
        assert bob("ls", f"{dx.project}:", code=3).text

    def test_the_last_administrator_stays(self, dx: Dx) -> None:
        refused = dx("uninvite", dx.user, dx.project, code=3).text
        assert "left without an administrator" in refused

    @pytest.mark.parametrize("who", ["user-nobody", "org-nothing"])
    def test_who_is_invited_must_be_there(self, dx: Dx, who: str) -> None:
        assert "could not be found" in dx("invite", who, dx.project, "VIEW", code=3).text

    def test_a_public_project_may_be_read_by_all(self, dx: Dx, bob: Dx) -> None:
        public = dx.id("new", "project", "open to all")
        dx("invite", "PUBLIC", public, "VIEW")
        assert public in bob("find", "projects", "--public", "--brief").out
        dx("uninvite", "PUBLIC", public)
        assert public not in bob("find", "projects", "--public", "--brief").out
        dx("rmproject", "-y", public)

    def test_a_job_is_its_projects_business(self, dx: Dx, bob: Dx) -> None:
        job = dx.run(dx.applet("sleep 1000"))
        assert "PermissionDenied" in bob("watch", job, code=3).text
        assert "PermissionDenied" in bob("api", job, "terminate", code=3).text
        dx("terminate", job)


class TestTokensOfJobs:
    @pytest.fixture(scope="class")
    @classmethod
    def other(cls, dx: Dx) -> Iterator[tuple[str, str]]:
        """Another project of the same user, and a file in it."""
        made = dx.call("/project/new", {"name": "other project"})["id"]
        (dx.home / "elsewhere").write_text("e")
        yield made, dx.id("upload", "elsewhere", "--path", f"{made}:/", "--wait")
        dx.call(f"/{made}/destroy")

    def test_a_job_reads_its_project_and_writes_its_workspace(self, dx: Dx) -> None:
        dx.upload("near", "n")
        code = """
dx cat $DX_PROJECT_CONTEXT_ID:near; echo
echo x | dx upload - --path here --brief --wait > /dev/null && echo written
dx mkdir $DX_PROJECT_CONTEXT_ID:/no 2>&1 | grep -o PermissionDenied || true
dx rm $DX_PROJECT_CONTEXT_ID:near 2>&1 | grep -o PermissionDenied || true
"""
        assert dx.ran(code).said()[:2] == ["n", "written"]
        assert dx("cat", "near").out == "n"
        assert "no/" not in dx("ls").out

    def test_access_to_the_project_may_be_asked_for(self, dx: Dx) -> None:
        code = "echo x | dx upload - --path $DX_PROJECT_CONTEXT_ID:/by-job --brief --wait"
        assert dx.ran(code, access={"project": "CONTRIBUTE"}).state == "done"
        assert dx("cat", "by-job").out == "x\n"

    def test_other_projects_are_out_of_reach_unless_asked_for(
        self, dx: Dx, other: tuple[str, str]
    ) -> None:
        code = f"dx cat {other[1]}"
        assert dx.ran(code).state == "failed"
        allowed = dx.ran(code, access={"allProjects": "VIEW"})
        assert (allowed.state, allowed.said()) == ("done", ["e"])

    def test_an_input_from_another_project_is_readable(
        self, dx: Dx, other: tuple[str, str]
    ) -> None:
        ended = dx.ran('dx cat "$f"', input={"f": file(other[1])})
        assert (ended.state, ended.said()) == ("done", ["e"])

    def test_a_token_dies_with_its_job(self, dx: Dx) -> None:
        # In pieces: as it is, the log masks it.
        ended = dx.ran('echo "$DX_SECURITY_CONTEXT" | jq -r .auth_token | sed "s/./& /g"')
        token = ended.said()[-1].replace(" ", "")
        assert len(token) > 30
        with pytest.raises(RefusedError) as refused:
            dx.site.call("/system/whoami", token=token)
        assert refused.value.type == "InvalidAuthentication"

    def test_a_job_may_not_start_sub_jobs_for_another(self, dx: Dx) -> None:
        with pytest.raises(RefusedError, match="Only a running job"):
            dx.call("/job/new", {"function": "main", "input": {}})
