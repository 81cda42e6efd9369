"""Package managers go where the site says, else where this host's own go."""

from __future__ import annotations

from pathlib import Path

import pytest

from plasmid.domain.dependencies import Package
from plasmid.environments import host_mirrors, mirrors
from plasmid.environments.host_mirrors import Found, Host

NOTHING = mirrors.Settings()


def of(settings: mirrors.Settings = NOTHING, host: Host | None = None) -> mirrors.Mirrors:
    return mirrors.of(settings, mirrors.Packages(), host or Host())


def test_without_settings_every_manager_goes_its_own_way() -> None:
    found = of()
    assert [found.hosts(m) for m in ("apt", "pip", "gem", "cpan", "cran", "git")] == [[]] * 6
    assert list(found.files()) == ["/etc/apt/apt.conf.d/98plasmid-mirrors"]
    assert "PIP_INDEX_URL" not in found.inside()["environment"]


def test_a_setting_wins_over_the_hosts() -> None:
    host = Host(
        pip=(Found("https://host.example/simple", "f"),),
        pip_extra=(Found("https://more.example/simple", "f"),),
    )
    ours = of(mirrors.Settings(pip="http://site.example:8080/simple"), host)
    assert (ours.pip, ours.pip_extra) == ("http://site.example:8080/simple", ())
    theirs = of(host=host)
    assert theirs.hosts("pip3") == ["host.example:443", "more.example:443"]
    variables = theirs.inside()["environment"]
    assert variables["UV_DEFAULT_INDEX"] == variables["PIP_INDEX_URL"] == host.pip[0].value


def test_a_folder_of_the_host_is_left_out_and_named() -> None:
    host = Host(
        pip_extra=(Found("file:///srv/simple", "/etc/pip.conf"),),
        pip_folders=(Found("/srv/wheels", "$PIP_FIND_LINKS"),),
    )
    found = of(host=host)
    assert found.pip_extra == ()
    assert found.skipped == ("file:///srv/simple (/etc/pip.conf)", "/srv/wheels ($PIP_FIND_LINKS)")


def test_a_password_is_not_written_where_a_job_reads() -> None:
    found = of(mirrors.Settings(pip="https://me:secret@site.example/simple"))
    assert b"secret" not in b"".join(found.files().values())
    assert "secret" in found.inside()["environment"]["PIP_INDEX_URL"]


def test_each_manager_reaches_its_mirror_and_apts() -> None:
    settings = mirrors.Settings(
        apt=["deb [arch=amd64] http://apt.example:81/x ./"],
        gem=["https://gem.example/"],
        cpan=["http://[2001:db8::1]:8080/cpan"],
        cran="https://cran.example",
        git={"https://a.example/": "https://git.example/a/"},
    )
    found = of(settings)
    apt = "apt.example:81"
    assert found.hosts("apt") == [apt]
    assert found.hosts("gem") == [apt, "gem.example:443"]
    assert found.hosts("cpan") == ["[2001:db8::1]:8080", apt]
    assert found.hosts("cran") == [apt, "cran.example:443"]
    there = Package("x", url="https://a.example/x.git")
    assert found.hosts("git", [there]) == [apt, "git.example:443"]
    assert found.hosts("git", [Package("x", url="https://b.example/x.git")]) == [apt]


def test_files_tell_the_managers_that_read_them(tmp_path: Path) -> None:
    key = tmp_path / "site.asc"
    key.write_bytes(b"key")
    settings = mirrors.Settings(
        apt=["deb http://apt.example/x ./"],
        apt_keys=[str(key)],
        pip="https://pip.example/simple",
        gem=["https://gem.example/"],
        git={"https://a.example/": "https://git.example/a/"},
        timeout_seconds=7,
    )
    files = of(settings).files()
    assert b"http://apt.example/x" in files["/etc/apt/sources.list.d/plasmid-mirrors.list"]
    assert files["/etc/apt/trusted.gpg.d/plasmid-0.asc"] == b"key"
    assert b'Acquire::http::Timeout "7"' in files["/etc/apt/apt.conf.d/98plasmid-mirrors"]
    assert b"index-url = https://pip.example/simple" in files["/etc/pip.conf"]
    assert b"- https://gem.example/" in files["/etc/gemrc"]
    assert (
        b'[url "https://git.example/a/"]\n\tinsteadOf = https://a.example/'
        in files["/etc/gitconfig"]
    )


def test_a_key_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        of(mirrors.Settings(apt_keys=[str(tmp_path / "none.asc")]))


class TestHost:
    @pytest.fixture
    def environ(self, tmp_path: Path) -> dict[str, str]:
        # Only the test's own home is read, and no file of this machine where it can be helped.
        return {"HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1", "PATH": "/usr/bin:/bin"}

    def test_pips_variable_wins_over_its_files(
        self, environ: dict[str, str], tmp_path: Path
    ) -> None:
        config = tmp_path / "given.conf"
        config.write_text("[global]\nindex-url = https://file.example/simple\n")
        environ["PIP_CONFIG_FILE"] = str(config)
        (found,) = host_mirrors.read(environ).pip
        assert found == Found("https://file.example/simple", str(config))
        environ["PIP_INDEX_URL"] = "https://variable.example/simple"
        (found,) = host_mirrors.read(environ).pip
        assert found == Found("https://variable.example/simple", "$PIP_INDEX_URL")

    def test_the_sources_of_gem_cpan_and_r_are_read(
        self, environ: dict[str, str], tmp_path: Path
    ) -> None:
        (tmp_path / ".gemrc").write_text("---\n:sources:\n- https://gem.example/\n:x: 1\n")
        (tmp_path / ".cpan/CPAN").mkdir(parents=True)
        listed = "'urllist' => [q[https://one.example/cpan], q[https://two.example/cpan]],"
        (tmp_path / ".cpan/CPAN/MyConfig.pm").write_text(f"$CPAN::Config = {{\n {listed}\n}};")
        (tmp_path / ".Rprofile").write_text('options(repos = c(CRAN = "https://r.example"))\n')
        found = host_mirrors.read(environ)
        assert [f.value for f in found.gem] == ["https://gem.example/"]
        assert [f.value for f in found.cpan] == [
            "https://one.example/cpan",
            "https://two.example/cpan",
        ]
        assert [f.value for f in found.cran] == ["https://r.example"]
        environ["PERL_CPANM_OPT"] = "--mirror https://opt.example --mirror-only"
        (mirror,) = host_mirrors.read(environ).cpan
        assert mirror == Found("https://opt.example", "$PERL_CPANM_OPT")

    def test_gits_rewriting_is_read(self, environ: dict[str, str], tmp_path: Path) -> None:
        text = '[url "https://git.example/a/"]\n\tinsteadOf = https://a.example/\n'
        text += '[url "git@h:"]\n\tinsteadOf = https://b.example/\n'
        (tmp_path / ".gitconfig").write_text(text)
        assert host_mirrors.read(environ).git == {"https://a.example/": "https://git.example/a/"}

    def test_files_that_are_no_such_files_say_nothing(
        self, environ: dict[str, str], tmp_path: Path
    ) -> None:
        (tmp_path / ".pip").mkdir()
        (tmp_path / ".pip/pip.conf").write_bytes(b"\xff no section\n= =")
        (tmp_path / ".gemrc").mkdir()
        environ["PERL_CPANM_OPT"] = "--mirror 'unclosed"
        found = host_mirrors.read(environ)
        assert (found.gem, found.cpan, found.cran) == ((), (), ())
