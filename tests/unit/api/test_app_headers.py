"""What passes between browsers and web applications of jobs, and what does not."""

from __future__ import annotations

import pytest

from plasmid.api import app_headers
from plasmid.api.app_headers import Headers

HOST = (b"host", b"job-a.apps.test:8124")


def inward(*headers: tuple[bytes, bytes]) -> Headers:
    return app_headers.inward([HOST, *headers], client="192.0.2.7", scheme="http")


def test_an_application_gets_neither_cookie_nor_token_of_plasmid() -> None:
    found = inward(
        (b"authorization", b"Bearer secret"),
        (b"cookie", b"a=1; plasmid-app=secret;b=2"),
        (b"cookie", b"__Host-plasmid-app=secret; c=3=4"),
    )
    assert b"secret" not in b"".join(value for _, value in found)
    assert dict(found)[b"cookie"] == b"a=1; b=2; c=3=4"


def test_an_application_is_told_who_asks_and_nobody_can_pretend() -> None:
    found = inward(
        (b"x-forwarded-for", b"10.0.0.1"), (b"forwarded", b"for=10.0.0.1"), (b"x-real-ip", b"1")
    )
    assert found == [
        HOST,
        (b"x-forwarded-for", b"192.0.2.7"),
        (b"x-forwarded-host", HOST[1]),
        (b"x-forwarded-proto", b"http"),
    ]


def test_what_is_of_one_connection_stays_there() -> None:
    found = inward(
        (b"connection", b"close, X-Own"), (b"x-own", b"1"), (b"te", b"trailers"),
        (b"transfer-encoding", b"chunked"), (b"upgrade", b"h2c"), (b"keep-alive", b"1"),
        (b"expect", b"100-continue"), (b"accept", b"*/*"),
    )  # fmt: skip
    assert {name for name, _ in found if not name.startswith(b"x-f")} == {b"host", b"accept"}
    outward = app_headers.outward(
        [(b"Connection", b"X-Own"), (b"X-Own", b"1"), (b"Transfer-Encoding", b"chunked"),
         (b"Alt-Svc", b'h2="evil:443"'), (b"X-Kept", b"1")],
        status=200,
    )  # fmt: skip
    assert outward == [(b"x-kept", b"1"), (b"origin-agent-cluster", b"?1")]


@pytest.mark.parametrize(
    ("cookie", "expected"),
    [
        (b"a=1; Path=/; HttpOnly", b"a=1; Path=/; HttpOnly"),
        (b"a=1; Domain=apps.test; Path=/", b"a=1; Path=/"),
        (b"a=1;dOMAIN = .test ;Secure", b"a=1;Secure"),
        (b"a=Domain=x", b"a=Domain=x"),
        (b"plasmid-app=x; Path=/", None),
        (b" __Host-plasmid-app =x", None),
    ],
)
def test_a_cookie_is_for_its_own_host_and_never_ours(cookie: bytes, expected: bytes | None) -> None:
    found = app_headers.outward([(b"Set-Cookie", cookie)], status=200)
    assert [value for name, value in found if name == b"set-cookie"] == (
        [] if expected is None else [expected]
    )


def test_an_answer_without_content_has_no_length() -> None:
    length = [(b"content-length", b"5")]
    assert dict(app_headers.outward(length, status=200))[b"content-length"] == b"5"
    assert b"content-length" not in dict(app_headers.outward(length, status=304))


def test_an_answer_in_pieces_has_no_length_beside_them() -> None:
    said = [(b"Content-Length", b"3"), (b"Transfer-Encoding", b"chunked")]
    assert app_headers.outward(said, status=200) == [(b"origin-agent-cluster", b"?1")]


def test_by_tls_only_a_cookie_counts_that_no_other_host_can_have_set() -> None:
    sent = [(b"cookie", b"plasmid-app=a; __Host-plasmid-app=b"), (b"cookie", b"plasmid-app=c")]
    assert app_headers.cookies(sent, scheme="https") == ["b"]
    assert app_headers.cookies(sent, scheme="http") == ["a", "c"]


def test_a_host_that_is_none_is_nobodys_origin() -> None:
    headers = [(b"host", b"job-a.apps.test:["), (b"origin", b"http://job-a.apps.test")]
    assert not app_headers.is_own_origin(headers, scheme="http")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([HOST], None),
        ([HOST, HOST], 400),
        ([(b"host", b"job-a.apps.test")], None),
        ([(b"host", b"job-a.apps.test:[")], 400),
        ([(b"host", b"job-a.apps.test:1:2")], 400),
        ([(b"host", b"job-a.apps.test:123456")], 400),
        ([HOST, (b"content-length", b"1"), (b"content-length", b"1")], 400),
        ([HOST, (b"content-length", b"1"), (b"transfer-encoding", b"chunked")], 400),
        ([HOST, (b"x", b"a" * 65536)], 431),
    ],
)
def test_a_request_that_can_be_read_in_two_ways_is_refused(
    headers: Headers, status: int | None
) -> None:
    found = app_headers.problem(headers)
    assert (found and found[0]) == status


@pytest.mark.parametrize(
    ("origin", "is_own"),
    [
        (None, True),
        (b"http://job-a.apps.test:8124", True),
        (b"http://JOB-A.apps.test:8124", True),
        (b"https://job-a.apps.test:8124", False),
        (b"http://job-a.apps.test", False),
        (b"http://job-b.apps.test:8124", False),
        (b"http://apps.test:8124", False),
        (b"http://job-a.apps.test:x", False),
        (b"null", False),
        (b"", False),
    ],
)
def test_an_origin_is_this_host_or_elsewhere(origin: bytes | None, is_own: bool) -> None:
    headers = [HOST] if origin is None else [HOST, (b"origin", origin)]
    assert app_headers.is_own_origin(headers, scheme="http") is is_own


def test_usual_ports_need_not_be_said() -> None:
    headers = [(b"host", b"job-a.apps.test"), (b"origin", b"https://job-a.apps.test:443")]
    assert app_headers.is_own_origin(headers, scheme="https")


@pytest.mark.parametrize(
    ("method", "headers", "is_from_elsewhere"),
    [
        ("POST", {"site": "same-origin", "origin": "null"}, False),
        ("GET", {"site": "none", "mode": "navigate", "dest": "document"}, False),
        ("GET", {"site": "cross-site", "mode": "navigate", "dest": "document"}, False),
        ("GET", {"site": "same-site", "mode": "navigate", "dest": "iframe"}, True),
        ("GET", {"site": "same-site", "mode": "no-cors", "dest": "image"}, True),
        ("GET", {"site": "cross-site", "mode": "cors"}, True),
        ("POST", {"site": "same-site", "mode": "navigate", "dest": "document"}, True),
        ("GET", {}, False),
        ("POST", {}, False),
        ("GET", {"origin": "http://job-b.apps.test:8124"}, True),
        ("POST", {"origin": "http://job-b.apps.test:8124"}, True),
        ("POST", {"origin": "http://job-a.apps.test:8124"}, False),
    ],
)
def test_what_other_sites_make_a_browser_send_is_told_by_its_headers(
    method: str, headers: dict[str, str], is_from_elsewhere: bool
) -> None:
    sent = [HOST]
    for name, value in headers.items():
        full = name if name == "origin" else f"sec-fetch-{name}"
        sent.append((full.encode(), value.encode()))
    found = app_headers.is_from_elsewhere(method, sent, scheme="http")
    assert found is is_from_elsewhere
