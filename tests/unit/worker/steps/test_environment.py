"""The environment of a job, inside and as a file."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import msgspec

from plasmid.worker.steps import environment
from tests.unit.worker import fake_platform


def test_all_variables_of_the_contract_are_there() -> None:
    given = fake_platform.an_assignment()
    made = environment.variables(given)
    context = json.loads(made.pop("DX_SECURITY_CONTEXT"))
    assert context == {"auth_token_type": "Bearer", "auth_token": given.token}
    expected = {
        "DX_APISERVER_HOST": "127.0.0.1",
        "DX_APISERVER_PORT": "8124",
        "DX_APISERVER_PROTOCOL": "http",
        "DX_JOB_ID": given.job,
        "DX_WORKSPACE_ID": given.job_description["workspace"],
        "DX_PROJECT_CONTEXT_ID": given.job_description["project"],
        "HOME": "/home/dnanexus",
        "LANG": "C.UTF-8",
    }
    assert expected.items() <= made.items()


def test_the_folders_of_apps_are_named_for_apps_only() -> None:
    given = fake_platform.an_assignment()
    assert "DX_RESOURCES_ID" not in environment.variables(given)
    given.job_description |= {"resources": "container-r", "projectCache": "container-c"}
    made = environment.variables(given)
    assert (made["DX_RESOURCES_ID"], made["DX_PROJECT_CACHE_ID"]) == ("container-r", "container-c")


def test_what_the_platform_gives_wins() -> None:
    given = msgspec.structs.replace(
        fake_platform.an_assignment(), environment={"DX_WORKSPACE_ID": "w", "MORE": "x"}
    )
    made = environment.variables(given)
    assert (made["DX_WORKSPACE_ID"], made["MORE"]) == ("w", "x")


def test_without_network_there_is_no_proxy() -> None:
    made = environment.variables(fake_platform.an_assignment())
    assert not [name for name in made if "proxy" in name.lower()]


def test_with_network_programs_go_out_as_anywhere() -> None:
    made = environment.variables(
        fake_platform.an_assignment(network=["*"]), ca_bundle=Path("/host/bundle")
    )
    assert not [name for name in made if "proxy" in name.lower()]
    assert made["SSL_CERT_FILE"] == "/opt/plasmid/ca-certificates.crt"


def test_where_they_must_programs_find_the_proxy_and_the_client_does_not() -> None:
    made = environment.variables(
        fake_platform.an_assignment(network=["*"]),
        ca_bundle=Path("/host/bundle"),
        needs_proxy=True,
    )
    assert made["http_proxy"] == made["https_proxy"] == "http://127.0.0.1:3128"
    assert made["no_proxy"] == "127.0.0.1,localhost"
    assert made["SSL_CERT_FILE"] == "/opt/plasmid/ca-certificates.crt"
    # What dxpy does: the last of these that is set, and none if that is empty.
    last = [made[n] for n in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY")][-1]
    assert last == ""


def test_the_file_gives_a_shell_the_same_values() -> None:
    given = {"A": 'it\'s $HOME\n`x` "q"', "B": "", "no.name": "left out"}
    code = environment.render(given) + 'printf "%s|%s." "$A" "$B"'
    done = subprocess.run(["bash", "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == f"{given['A']}|."
    assert "no.name" not in code


def test_only_where_python_is_left_to_its_packages_may_they_be_broken() -> None:
    for release, told in (("24.04", "1"), ("20.04", None), ("16.04", None)):
        given = msgspec.structs.replace(fake_platform.an_assignment(), release=release)
        made = environment.variables(given)
        assert made.get("PIP_BREAK_SYSTEM_PACKAGES") == told
