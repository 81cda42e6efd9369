"""Resources, packages and the network: what a job may bring and reach (contract I.7, E.3, N.5)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.driver import Dx, file, opened, user
from tests.mirrors import layouts, serving

pytestmark = pytest.mark.e2e

# An address that is kept for documents: nothing answers there.
NOBODY = "192.0.2.1"


class TestPackages:
    @pytest.fixture(scope="class")
    @classmethod
    def jobs(cls, dx: Dx) -> dict[str, str]:
        """Jobs with packages of all kinds, started at once."""
        apt = [{"name": "tree"}, {"name": "dx-toolkit"}]
        pip = [{"name": "six", "package_manager": "pip3", "version": "1.16.0"}]
        other = [{"name": "tree", "stages": ["work"]}]
        import_six = (
            'import six\n@dxpy.entry_point("main")\ndef main():\n    print(six.__version__)\n'
        )
        stages = (
            "main() { command -v tree || echo none; dx-jobutil-new-job work; }\n"
            "work() { command -v tree; }"
        )
        applets = {
            "apt": dx.applet("tree --version | cut -c1-4", run={"execDepends": apt}),
            "pip": dx.applet(
                import_six,
                interpreter="python3",
                run={"execDepends": pip},
                access={"network": ["*"]},
            ),
            "offline pip": dx.applet("true", run={"execDepends": pip}),
            "stages": dx.applet(stages, run={"execDepends": other}),
            "unknown": dx.applet("true", run={"execDepends": [{"name": "no-such-package"}]}),
        }
        return {
            name: dx.run(applet, executionPolicy={"restartOn": {}})
            for name, applet in applets.items()
        }

    def test_apt_works_without_network(self, dx: Dx, jobs: dict[str, str]) -> None:
        ended = dx.site.ended(jobs["apt"])
        assert (ended.said(), ended.why) == (["tree"], "None: None")
        assert "Installing apt packages tree" in ended.said("INFO")

    def test_pip_works_with_network(self, dx: Dx, jobs: dict[str, str]) -> None:
        ended = dx.site.ended(jobs["pip"])
        assert ended.said()[-1] == "1.16.0", ended.why

    def test_pip_without_network_fails_and_names_the_remedy(
        self, dx: Dx, jobs: dict[str, str]
    ) -> None:
        ended = dx.site.ended(jobs["offline pip"])
        assert ended.why.startswith("ExecutionError: DXExecDependencyError")
        assert "access.network" in ended.why

    def test_a_package_may_be_for_one_entry_point(self, dx: Dx, jobs: dict[str, str]) -> None:
        ended = dx.site.ended(jobs["stages"])
        assert ended.said()[0] == "none"
        child = next(iter(text for text in ended.said() if text.startswith("job-")))
        assert dx.site.ended(child).said() == ["/usr/bin/tree"]

    def test_an_unknown_package_fails_before_the_code_runs(
        self, dx: Dx, jobs: dict[str, str]
    ) -> None:
        ended = dx.site.ended(jobs["unknown"])
        assert "Error while installing apt packages no-such-package" in ended.why
        assert not any("running (job ID" in entry.msg for entry in ended.log)


class TestMirrors:
    def test_packages_come_from_the_sites_mirrors_and_by_its_rules(
        self, images_folder: Path, tmp_path: Path
    ) -> None:
        """No access.network is needed for what the site itself serves."""
        root = tmp_path / "mirror"
        root.mkdir()
        layouts.simple_index(root, {"probe": layouts.wheel(tmp_path, "probe", "2.0")})
        depends = [
            {"name": "probe", "package_manager": "pip3"},
            {"name": "no-such-package"},
            {"name": "bc", "version": "1.06-9"},
        ]
        with serving.served(root) as mirror:
            rules = '[packages]\nversion_mismatch = "nearest"\n'
            rules += '[packages.substitutes]\n"no-such-package" = "tree"\n'
            settings = f'[mirrors]\npip = "{mirror.url}/simple/"\n{rules}'
            with opened(images_folder, config=settings) as site:
                dx = user(site, tmp_path, "mirrors")
                code = "python3 -c 'import probe; print(probe.VERSION)'; command -v tree"
                ended = dx.ran(code, run={"execDepends": depends})
        assert ended.said() == ["2.0", "/usr/bin/tree"], ended.why
        told = " ".join(ended.said("INFO"))
        assert "installing tree instead, as [packages.substitutes]" in told
        assert "no version 1.06-9 of bc: installing the nearest, 1.07" in told
        assert mirror.had("/simple/probe/")


class TestBundles:
    def test_resources_are_unpacked_over_the_root(self, dx: Dx) -> None:
        files = {
            "src/code.sh": "main() { tool; cat /home/dnanexus/note /odd/dir/x; }",
            "resources/usr/bin/tool": "#!/bin/sh\necho tool\n",
            "resources/home/dnanexus/note": "note\n",
            "resources/odd/dir/x": "x\n",
        }
        job = dx.run(dx.build(dx.write_applet("bundled", files)))
        assert dx.site.ended(job).said()[-3:] == ["tool", "note", "x"]

    def test_a_bundle_that_is_no_archive_is_put_away(self, dx: Dx) -> None:
        plain = dx.upload("plain.txt", "x")
        run = {"bundledDepends": [{"name": "plain.txt", "id": file(plain)}]}
        ended = dx.ran("ls /plain.txt || echo gone", run=run)
        assert (ended.state, ended.said()[-1]) == ("done", "gone")

    def test_a_broken_archive_fails_the_job(self, dx: Dx) -> None:
        broken = dx.upload("broken.tar.gz", "this is no archive")
        run = {"bundledDepends": [{"name": "broken.tar.gz", "id": file(broken)}]}
        applet = dx.applet("true", run=run)
        ended = dx.site.ended(dx.run(applet, executionPolicy={"restartOn": {}}))
        assert ended.why.startswith("ExecutionError: The bundled file broken.tar.gz")


class TestNetwork:
    def test_a_job_reaches_the_api_and_nothing_else(self, dx: Dx) -> None:
        code = f"""
main() {{
  dx whoami
  echo x | dx upload - --path up --brief --wait > /dev/null && dx cat up
  curl -sS -m 5 http://{NOBODY}/ 2> /dev/null || echo "direct: refused"
  curl -sS -m 5 -x http://127.0.0.1:3128 -o /dev/null -w '%{{http_code}}\\n' http://{NOBODY}/
  ls /sys/class/net
}}
"""
        ended = dx.ran(code)
        user = dx.user.removeprefix("user-")
        assert ended.said() == [user, "x", "direct: refused", "403", "lo"]
        (warning,) = ended.said("WARNING")
        assert f'"access": {{"network": ["{NOBODY}"]}}' in warning

    def test_the_client_works_beside_the_proxy(self, dx: Dx) -> None:
        ended = dx.ran("dx whoami; dx ls", access={"network": ["*"]})
        assert (ended.state, ended.said("STDERR")[:-1]) == ("done", [])

    def test_only_the_hosts_that_are_named_may_be_reached(self, dx: Dx) -> None:
        code = "curl -sS -o /dev/null -m 5 http://other.invalid/ || echo refused $?"
        ended = dx.ran(code, access={"network": ["*.example.org"]})
        assert ended.said() == ["refused 6"]
        assert "other.invalid" in ended.said("WARNING")[0]
