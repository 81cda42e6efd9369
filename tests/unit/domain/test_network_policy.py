"""Hosts that a job may reach."""

from __future__ import annotations

import pytest

from plasmid.domain import network_policy


@pytest.mark.parametrize(
    ("pattern", "host"),
    [
        ("*", "anything.at.all"),
        ("*", "192.0.2.7"),
        ("example.org", "example.org"),
        ("Example.ORG.", "EXAMPLE.org"),
        ("example.org", "example.org."),
        ("*.example.org", "a.example.org"),
        ("*.example.org", "a.b.example.org"),
        ("host-?.example.org", "host-7.example.org"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("bücher.example", "xn--bcher-kva.example"),
    ],
)
def test_a_pattern_holds_a_host(pattern: str, host: str) -> None:
    assert network_policy.allows([pattern], host)


@pytest.mark.parametrize(
    ("pattern", "host"),
    [
        ("*.example.org", "example.org"),
        ("example.org", "a.example.org"),
        ("example.org", "example.org.evil.test"),
        ("example.org", "exampleXorg"),
        ("*.example.org", "a.example.org.evil.test"),
        ("host-?.example.org", "host-12.example.org"),
        ("ex[a-z]mple.org", "example.org"),
    ],
)
def test_a_pattern_does_not_hold_another_host(pattern: str, host: str) -> None:
    assert not network_policy.allows([pattern], host)


def test_without_patterns_nothing_may_be_reached() -> None:
    assert not network_policy.allows([], "example.org")


def test_a_refusal_names_the_host_and_the_field() -> None:
    line = network_policy.refusal("Example.org")
    assert "example.org" in line
    assert "access.network" in line
    assert "\n" not in line


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.9.9.9",
        "::1",
        "::ffff:127.0.0.1",
        "169.254.169.254",
        "fe80::1",
        "fe80::1%eth0",
        "0.0.0.0",
        "0.1.2.3",
        "::",
        "224.0.0.1",
        "ff02::1",
        "255.255.255.255",
        "2002:7f00:1::",
    ],
)
def test_addresses_of_every_machine_itself_are_forbidden(address: str) -> None:
    assert network_policy.forbidden_address(address) is not None


@pytest.mark.parametrize("address", ["192.0.2.1", "10.1.2.3", "2001:db8::1", "::ffff:192.0.2.1"])
def test_other_addresses_are_not(address: str) -> None:
    assert network_policy.forbidden_address(address) is None


@pytest.mark.parametrize(
    "address",
    ["::ffff:127.0.0.1", "64:ff9b::7f00:1", "::7f00:1", "2002:7f00:1::", "64:ff9b::a9fe:a9fe"],
)
def test_an_address_that_carries_another_is_judged_by_that(address: str) -> None:
    assert network_policy.forbidden_address(address) is not None


@pytest.mark.parametrize("address", ["100.100.100.200", "168.63.129.16", "fd00:ec2::254"])
def test_the_metadata_services_of_clouds_are_out_of_reach(address: str) -> None:
    assert network_policy.forbidden_address(address) == "a cloud's metadata service"


def test_an_operator_may_close_more() -> None:
    assert network_policy.forbidden_address("10.1.2.3") is None
    closed = ("10.0.0.0/8", "2001:db8::/32")
    assert network_policy.forbidden_address("10.1.2.3", closed) is not None
    assert network_policy.forbidden_address("2001:db8::1", closed) is not None
    assert network_policy.forbidden_address("11.1.2.3", closed) is None


@pytest.mark.parametrize(
    "entry, host, port, expected",
    [
        ("mirror.test", "mirror.test", 80, True),
        ("mirror.test", "MIRROR.test.", 443, True),
        ("mirror.test", "mirror.test", 22, False),
        ("mirror.test:8080", "mirror.test", 8080, True),
        ("mirror.test:8080", "mirror.test", 80, False),
        ("*.test:8080", "a.test", 8080, True),
        ("[::1]:8080", "::1", 8080, True),
        ("::1", "::1", 80, True),
        ("mirror.test", "other.test", 80, False),
    ],
)
def test_a_package_host_is_its_web_ports_or_the_one_it_names(
    entry: str, host: str, port: int, *, expected: bool
) -> None:
    assert network_policy.holds_port([entry], host, port) is expected


@pytest.mark.parametrize("pattern", ["*", "10.*", "192.0.2.1", "2001:db8::*", "*.*", "[::1]"])
def test_a_pattern_that_addresses_match_may_hold_them(pattern: str) -> None:
    assert network_policy.may_hold_addresses([pattern])


@pytest.mark.parametrize("pattern", ["*.example.org", "example.org", "10.example", "abc"])
def test_a_pattern_of_names_holds_no_address(pattern: str) -> None:
    assert not network_policy.may_hold_addresses([pattern])
