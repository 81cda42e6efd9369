"""Settings come from the right place, and a wrong one is named with its file, line or variable."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from plasmid import config


def load(tmp_path: Path, toml: str | None = None, **variables: str) -> config.Config:
    if toml is not None:
        (tmp_path / "plasmid.toml").write_text(toml)
    return config.load({"PLASMID_HOME": str(tmp_path), **variables})


def refused(tmp_path: Path, toml: str | None = None, **variables: str) -> str:
    with pytest.raises(config.ConfigError) as caught:
        load(tmp_path, toml, **variables)
    return str(caught.value).replace(str(tmp_path), "HOME")


def test_no_file_and_no_variable_is_a_whole_configuration(tmp_path: Path) -> None:
    found = load(tmp_path)
    assert (found.server.host, found.server.port) == ("127.0.0.1", 8124)
    assert found.images == {}
    assert found.data_folder == tmp_path / "data"
    assert found.jobs.memory_bytes > 0
    assert found.origins["jobs.memory_bytes"] == config.MACHINE


def test_a_variable_beats_the_file_and_the_file_beats_the_default(tmp_path: Path) -> None:
    toml = '[server]\nport = 9000\nhost = "::1"\n'
    found = load(tmp_path, toml, PLASMID_SERVER_PORT="9001")
    assert (found.server.port, found.server.host, found.jobs.running_max) == (9001, "::1", 16)
    origins = {row.key: row.origin for row in config.describe(found)}
    assert origins["server.port"] == "$PLASMID_SERVER_PORT"
    assert origins["server.host"] == str(tmp_path / "plasmid.toml")
    assert origins["jobs.running_max"] == config.DEFAULT
    assert origins["home"] == "$PLASMID_HOME"


def test_an_images_table_is_taken_as_written(tmp_path: Path) -> None:
    toml = '[images]\n"Ubuntu 20.04" = "ubuntu-20.04"\n"*" = "debian-12"\n'
    found = load(tmp_path, toml)
    assert found.images == {"Ubuntu 20.04": "ubuntu-20.04", "*": "debian-12"}
    row = next(row for row in config.describe(found) if row.key == "images")
    assert row.origin == str(tmp_path / "plasmid.toml")


def test_a_list_in_a_variable_is_separated_by_commas(tmp_path: Path) -> None:
    found = load(tmp_path, PLASMID_NETWORK_PACKAGE_HOSTS="a.example, b.example,")
    assert found.network.package_hosts == ["a.example", "b.example"]


def test_a_top_level_setting_has_a_variable_too(tmp_path: Path) -> None:
    assert load(tmp_path, PLASMID_ENGINE="podman").engine == "podman"


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("[server]\nprot = 1\n", 'HOME/plasmid.toml, line 2: unknown key "server.prot"; did you '),
        ("[sever]\nport = 1\n", 'HOME/plasmid.toml, line 1: unknown key "sever"'),
        ("\n[server]\nport = 99999\n", "HOME/plasmid.toml, line 3: [server] port: Expected `int`"),
        ('[server]\nport = "80"\n', 'line 2: [server] port must be a number, not "80"'),
        ('engine = "docker"\n', "HOME/plasmid.toml, line 1: engine: Expected `str` matching"),
        ("[server\n", "HOME/plasmid.toml: is not TOML: "),
        ('home = "/x"\n', 'line 1: unknown key "home"; set PLASMID_HOME instead'),
        ('[images]\n"Ubuntu 20.04" = 3\n', "HOME/plasmid.toml, line 1: images: Expected `str`"),
        ('[network]\nca_bundle = "/no/such"\n', "[network] ca_bundle: there is no file /no/such"),
        ('[network]\nhosts = ["far"]\n', "line 2: [network] hosts: Expected `str` matching"),
        ('[network]\nclosed_addresses = ["10.0.0.0/99"]\n', "[network] closed_addresses: '10.0.0"),
        ('[ssh]\nports = "70000-70010"\n', "[ssh] ports: 70000-70010 is no range of ports"),
        ('[ssh]\nports = "22999-22000"\n', "[ssh] ports: 22999-22000 is no range of ports"),
        ('[ssh]\nports = "0-10"\n', "[ssh] ports: 0-10 is no range of ports; write it as 22000-"),
    ],
)
def test_a_wrong_file_is_refused_by_line_and_key(tmp_path: Path, toml: str, message: str) -> None:
    assert message in refused(tmp_path, toml)


def test_a_syntax_error_has_line_and_column(tmp_path: Path) -> None:
    assert re.search(r"line 2, column \d", refused(tmp_path, "a = 1\nb ==\n"))


def test_a_wrong_variable_is_refused_by_its_name(tmp_path: Path) -> None:
    assert refused(tmp_path, PLASMID_SERVER_PORT="http").startswith("PLASMID_SERVER_PORT: ")
    message = refused(tmp_path, PLASMID_SERVER_PROT="1")
    assert message == 'PLASMID_SERVER_PROT: no such setting; did you mean "PLASMID_SERVER_PORT"?'
    assert "plasmid.toml" in refused(tmp_path, PLASMID_IMAGES="x")


def test_a_file_that_was_asked_for_must_be_there(tmp_path: Path) -> None:
    message = refused(tmp_path, PLASMID_CONFIG=str(tmp_path / "no.toml"))
    assert message == "HOME/no.toml: cannot be read (No such file or directory)"


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "plasmid.toml").write_bytes(b"a = '\xff'")
    assert "is not UTF-8 text" in refused(tmp_path)


def test_every_setting_says_what_it_means(tmp_path: Path) -> None:
    assert [row.key for row in config.describe(load(tmp_path)) if not row.meaning] == []


def test_what_a_job_may_have_is_the_machines_unless_said(tmp_path: Path) -> None:
    found = load(tmp_path)
    assert found.jobs.cores == len(os.sched_getaffinity(0))
    assert found.jobs.disk_bytes == shutil.disk_usage(tmp_path).total
    assert {found.origins[f"jobs.{name}"] for name in ("cores", "disk_bytes")} == {config.MACHINE}
    toml = '[jobs]\ncores = 3\ndisk_bytes = 7\ndisk_limit = "off"\n'
    told = load(tmp_path, toml).jobs
    assert (told.cores, told.disk_bytes, told.disk_limit) == (3, 7, "off")


def test_jobs_are_fitted_only_if_said(tmp_path: Path) -> None:
    assert not load(tmp_path).jobs.fit
    assert load(tmp_path).fitting().jobs.fit
    assert load(tmp_path, PLASMID_JOBS_FIT="true").jobs.fit
    assert load(tmp_path, "[jobs]\nfit = true\n").jobs.fit
    with pytest.raises(config.ConfigError, match="must be true or false"):
        load(tmp_path, '[jobs]\nfit = "yes"\n')
    with pytest.raises(config.ConfigError, match="disk_limit"):
        load(tmp_path, '[jobs]\ndisk_limit = "some"\n')
