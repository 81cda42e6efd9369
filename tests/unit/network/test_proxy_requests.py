"""Requests to a forward proxy."""

from __future__ import annotations

import pytest

from plasmid.network import proxy_requests


def test_a_tunnel_names_a_host_and_a_port() -> None:
    request = proxy_requests.parse(b"CONNECT example.org:8443 HTTP/1.1\r\nHost: example.org:8443")
    assert (request.host, request.port, request.tunnel) == ("example.org", 8443, True)


def test_a_plain_request_is_rewritten_for_its_server() -> None:
    request = proxy_requests.parse(
        b"GET http://example.org:81/a%20b?c=d HTTP/1.1\r\nHost: example.org:81\r\n"
        b"Proxy-Connection: keep-alive\r\nConnection: keep-alive\r\nRange: bytes=1-\r\n"
        b"Proxy-Authorization: Basic c2VjcmV0"
    )
    assert (request.host, request.port, request.tunnel) == ("example.org", 81, False)
    assert request.head(request.target) == (
        b"GET /a%20b?c=d HTTP/1.1\r\nHost: example.org:81\r\nRange: bytes=1-\r\n"
        b"Connection: close\r\n\r\n"
    )


def test_a_request_without_a_path_asks_for_the_root() -> None:
    assert proxy_requests.parse(b"GET http://example.org HTTP/1.0").target == "/"


def test_user_names_in_an_address_are_no_part_of_the_host() -> None:
    request = proxy_requests.parse(b"GET http://good.test@evil.test/ HTTP/1.1")
    assert request.host == "evil.test"


def test_a_body_is_as_long_as_it_says() -> None:
    request = proxy_requests.parse(b"PUT http://example.org/ HTTP/1.1\r\nContent-Length: 12")
    assert request.body_bytes == 12


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: example.org", "400"),
        (b"GET ftp://example.org/ HTTP/1.1", "400"),
        (b"nonsense", "400"),
        (b"GET http://example.org/ HTTP/1.1\r\nno colon", "400"),
        (b"CONNECT :443 HTTP/1.1", "400"),
        (b"CONNECT example.org:99999 HTTP/1.1", "400"),
        (b"PUT http://example.org/ HTTP/1.1\r\nContent-Length: -1", "400"),
        (b"PUT http://example.org/ HTTP/1.1\r\nTransfer-Encoding: chunked", "411"),
        (b"GET http://example.org/ HTTP/2", "505"),
    ],
)
def test_what_is_no_request_for_a_proxy_is_refused(head: bytes, status: str) -> None:
    with pytest.raises(proxy_requests.RefusedError) as refused:
        proxy_requests.parse(head)
    assert refused.value.status.startswith(status)
    assert refused.value.response().startswith(f"HTTP/1.1 {status} ".encode())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("example.org", ("example.org", 80)),
        ("example.org:8", ("example.org", 8)),
        ("[2001:db8::1]:8", ("2001:db8::1", 8)),
    ],
)
def test_an_authority_is_a_host_and_a_port(text: str, expected: tuple[str, int]) -> None:
    assert proxy_requests.authority(text, 80) == expected


def test_an_address_with_colons_is_written_in_brackets() -> None:
    request = proxy_requests.Request(host="2001:db8::1", port=443, tunnel=True)
    assert request.authority == "[2001:db8::1]:443"


@pytest.mark.parametrize(
    ("no_proxy", "host", "expected"),
    [
        ((), "example.org", "http://p:3128"),
        (("example.org",), "example.org", ""),
        ((".example.org",), "a.example.org", ""),
        (("example.org",), "notexample.org", "http://p:3128"),
        (("*",), "example.org", ""),
    ],
)
def test_the_machines_own_proxy_is_used_unless_excepted(
    no_proxy: tuple[str, ...], host: str, expected: str
) -> None:
    upstream = proxy_requests.Upstream(http_proxy="http://p:3128", no_proxy=no_proxy)
    assert upstream.chosen(host, tunnel=False) == expected
    assert upstream.chosen(host, tunnel=True) == ""


def test_a_proxys_address_may_hold_a_name_and_a_password() -> None:
    proxy = "http://me:a%40b@proxy.test:8080/"
    assert proxy_requests.proxy_address(proxy) == ("proxy.test", 8080)
    assert proxy_requests.proxy_credentials(proxy) == [("Proxy-Authorization", "Basic bWU6YUBi")]
    assert proxy_requests.proxy_address("proxy.test:8080") == ("proxy.test", 8080)
    assert proxy_requests.proxy_credentials("proxy.test:8080") == []
