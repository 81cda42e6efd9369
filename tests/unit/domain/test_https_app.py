"""What executables declare of web applications, and which hosts are whose."""

from __future__ import annotations

from typing import Any

import pytest

from plasmid.domain import errors, https_app
from plasmid.domain.access import Level

JOB = "job-Vqp3g83Q5Zy0X3PbBJqjGvp4"
LOWER = JOB.lower()


@pytest.mark.parametrize(
    ("given", "declared"),
    [
        ({}, None),
        ({"httpsApp": None}, None),
        ({"httpsApp": {"enabled": False}}, None),
        ({"httpsApp": {"ports": [443]}}, {"ports": [443], "shared_access": "NONE"}),
        (
            {"httpsApp": {"enabled": True, "ports": [8081, 443.0], "shared_access": "VIEW"}},
            {"ports": [8081, 443], "shared_access": "VIEW"},
        ),
        (
            {"httpsApp": {"ports": [443], "dns": {"hostname": "my-app"}, "later": 1}},
            {"ports": [443], "shared_access": "NONE", "dns": {"hostname": "my-app"}},
        ),
    ],
)
def test_what_is_declared_is_kept_in_one_form(
    given: dict[str, Any], declared: dict[str, Any] | None
) -> None:
    assert https_app.check(given) == declared
    assert https_app.declared_by(given) == declared


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("yes", '"httpsApp" of input to be a hash'),
        ({}, 'property "ports"'),
        ({"ports": []}, 'property "ports"'),
        ({"ports": 443}, '"ports" of httpsApp to be an array'),
        ({"ports": [80]}, "443, 8080 and 8081"),
        ({"ports": ["443"]}, "443, 8080 and 8081"),
        ({"ports": [True]}, "443, 8080 and 8081"),
        ({"ports": [443, 443]}, "without repetitions"),
        ({"ports": [443], "shared_access": "UPLOAD"}, '"shared_access" of httpsApp'),
        ({"ports": [443], "enabled": 1}, '"enabled" of httpsApp'),
        ({"ports": [443], "dns": "x"}, '"dns" of httpsApp'),
        ({"ports": [443], "dns": {"hostname": "a.b"}}, '"hostname" of httpsApp.dns'),
    ],
)
def test_what_is_wrong_in_a_declaration_is_named(given: Any, text: str) -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        https_app.check({"httpsApp": given})
    assert text in caught.value.message
    assert https_app.declared_by({"httpsApp": given}) is None


@pytest.mark.parametrize(
    ("host", "place"),
    [
        (f"{JOB}.localhost", (LOWER, None)),
        (f"{LOWER}.localhost:8124", (LOWER, None)),
        (f"{LOWER}-8080.LOCALHOST:1", (LOWER, 8080)),
        (f"{LOWER}.localhost.:8124", (LOWER, None)),
        (f"{LOWER}.localhost:[", (LOWER, None)),
        (f"{LOWER}.localhost..", None),
        (f"{LOWER}-80.localhost", None),
        ("localhost:8124", None),
        ("127.0.0.1", None),
        (LOWER, None),
        (f"{LOWER}.localhost.evil.test", None),
        (f"{LOWER}.evil-localhost", None),
        (f"x.{LOWER}.localhost", None),
        (f"{LOWER[:-1]}.localhost", None),
        (f"{LOWER}0.localhost", None),
        ("", None),
    ],
)
def test_a_host_names_one_job_or_none(host: str, place: tuple[str, int | None] | None) -> None:
    assert https_app.place_of(host, "localhost") == place


@pytest.mark.parametrize(
    ("server", "port", "url"),
    [
        ("http://127.0.0.1:8124", None, f"http://{JOB}.apps.test:8124"),
        ("https://plasmid.test", None, f"https://{JOB}.apps.test"),
        ("https://plasmid.test:444/x", 8080, f"https://{JOB}-8080.apps.test:444"),
    ],
)
def test_a_url_has_the_servers_scheme_and_port(server: str, port: int | None, url: str) -> None:
    assert https_app.url_of(https_app.address_of(server, "apps.test"), JOB, port) == url


def test_the_first_port_is_443_if_that_is_declared() -> None:
    declared = {"ports": [8081, 443]}
    assert https_app.port_of(declared, None) == 443
    assert https_app.port_of({"ports": [8081, 8080]}, None) == 8081
    assert https_app.port_of(declared, 8081) == 8081
    assert https_app.port_of(declared, 8080) is None


def test_who_may_open_it_needs_the_declared_level() -> None:
    needed = {name: https_app.needed_level({"shared_access": name}) for name in https_app.ACCESS}
    assert needed == {
        "NONE": Level.VIEW,
        "VIEW": Level.VIEW,
        "CONTRIBUTE": Level.CONTRIBUTE,
        "ADMINISTER": Level.ADMINISTER,
    }
