"""A web application in a job, from `dx build` to a browser's requests (contract H.7, X13)."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync import client as websocket
from websockets.typing import Origin

from tests.e2e import second_user, web_application
from tests.e2e.driver import ROOT, Dx, RefusedError, Site, opened, until, user

pytestmark = pytest.mark.e2e

SOURCE = Path(web_application.__file__).read_text()
CODE = f"cat > application.py <<'EOF'\n{SOURCE}EOF\nmain() {{ python3 application.py; }}\n"
BIG = secrets.token_bytes(1 << 20) * 100
MEMORY_KB_MAX = 70_000


class Answer(NamedTuple):
    """How a request was answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def said(self) -> Any:
        return json.loads(self.body)


class Browser:
    """What asks a job's host and keeps one cookie."""

    def __init__(self, site: Site, job: str, *, port: int | None = None) -> None:
        self.site = site
        label = job.lower() if port is None else f"{job.lower()}-{port}"
        self.host = f"{label}.localhost:{site.port}"
        self.cookie = ""

    def ask(self, method: str = "GET", path: str = "/", body: Any = None, **headers: str) -> Answer:
        link = http.client.HTTPConnection("127.0.0.1", self.site.port, timeout=60)
        sent = {"Host": self.host, "Cookie": self.cookie, **headers}
        try:
            link.request(method, path, body, sent, encode_chunked=hasattr(body, "__next__"))
            answer = link.getresponse()
            return Answer(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            link.close()

    def login(self, token: str) -> Answer:
        form = urlencode({"token": token, "next": "/after?a=1"})
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = self.ask("POST", "/.plasmid/login", form, **kind)
        self.cookie = answer.headers.get("set-cookie", "").partition(";")[0] or self.cookie
        return answer

    def websocket(self, *, origin: str = "", cookie: str | None = None, **more: Any) -> Any:
        cookie = self.cookie if cookie is None else cookie
        return websocket.connect(
            f"ws://{self.host}/echo",
            sock=socket.create_connection(("127.0.0.1", self.site.port)),
            additional_headers={"Cookie": cookie},
            origin=Origin(origin or f"http://{self.host}"),
            proxy=None,
            **more,
        )


@pytest.fixture(scope="module")
def offering(images_folder: Path) -> Iterator[Site]:
    """A server that offers web applications."""
    with opened(images_folder, PLASMID_WEB_APPS_ENABLED="true") as site:
        yield site


def built(dx: Dx, name: str, shared_access: str) -> str:
    """Build the application with the real client; return the applet."""
    ports = {"ports": list(web_application.PORTS), "shared_access": shared_access}
    return dx.build(dx.write_applet(name, {"src/code.sh": CODE}, httpsApp=ports))


def running(dx: Dx, applet: str) -> str:
    """Run it; return the job, once it answers."""
    job = dx.run(applet)
    dx.site.state(job, "running")
    browser = Browser(dx.site, job)
    assert browser.login(dx.token).status == 303
    until(lambda: browser.ask().status == 200)
    return job


@pytest.fixture(scope="module")
def owner(offering: Site, tmp_path_factory: pytest.TempPathFactory) -> Dx:
    return user(offering, tmp_path_factory.mktemp("owner"), "web apps")


@pytest.fixture(scope="module")
def applet(owner: Dx) -> str:
    return built(owner, "viewed", "VIEW")


@pytest.fixture(scope="module")
def job(owner: Dx, applet: str) -> str:
    return running(owner, applet)


@pytest.fixture
def browser(offering: Site, owner: Dx, job: str) -> Browser:
    """Somebody who is logged in."""
    browser = Browser(offering, job)
    assert browser.login(owner.token).status == 303
    return browser


def test_who_is_not_logged_in_sees_a_page_of_ours(offering: Site, owner: Dx, job: str) -> None:
    described = owner.json("describe", job)["httpsApp"]
    url = f"http://{job}.localhost:{offering.port}"
    shown = {"enabled": True, "ports": [443, 8080], "shared_access": "VIEW", "dns": {"url": url}}
    assert described == shown
    answer = Browser(offering, job).ask()
    assert answer.status == 401
    assert b"plasmid open" in answer.body
    assert b"own=1" not in str(answer.headers).encode()


def test_a_link_for_one_use_opens_it(offering: Site, job: str) -> None:
    command = [sys.executable, "-P", "-m", "plasmid", "open", job, "--data", str(offering.data)]
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    link = urlsplit(done.stdout.strip())
    assert link.netloc.lower() == Browser(offering, job).host
    browser = Browser(offering, job)
    answer = browser.ask(path=f"{link.path}?{link.query}")
    assert (answer.status, answer.headers["location"]) == (303, "/")
    assert browser.ask(path=f"{link.path}?{link.query}").status == 401
    browser.cookie = answer.headers["set-cookie"].partition(";")[0] + "; mine=1"
    answer = browser.ask(path="/a%20b?c=%41", Authorization="Bearer x")
    assert answer.said["path"] == "/a%20b?c=%41"
    assert answer.said["headers"]["cookie"] == "mine=1"
    assert "authorization" not in answer.said["headers"]
    assert answer.said["headers"]["x-forwarded-for"] == "127.0.0.1"
    assert answer.headers["set-cookie"] == "own=1; Path=/"


def test_each_port_has_a_host_and_a_login_of_its_own(
    offering: Site, browser: Browser, job: str, owner: Dx
) -> None:
    assert browser.ask().said["port"] == 443
    other = Browser(offering, job, port=8080)
    assert other.ask().status == 401
    other.login(owner.token)
    assert other.ask().said["port"] == 8080


def test_only_who_may_see_the_project_comes_in(offering: Site, owner: Dx, job: str) -> None:
    user, token = second_user.add_user(offering, "guest")
    guest = Browser(offering, job)
    assert guest.login(token).status == 403
    owner.call(f"/{owner.project}/invite", {"invitee": user, "level": "VIEW"})
    assert guest.login(token).status == 303
    assert guest.ask().status == 200
    with guest.websocket() as joined:
        owner.call(f"/{owner.project}/decreasePermissions", {user: None})
        until(lambda: guest.ask().status == 403)
        with pytest.raises(ConnectionClosed) as closed:
            joined.recv(timeout=60)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1008


def test_a_websocket_carries_all_that_it_should(browser: Browser) -> None:
    with browser.websocket(subprotocols=["other", "echo"], max_size=None) as joined:
        assert joined.subprotocol == "echo"
        for message in ("hello", "é" * 100, b"\x00\xff" * 100_000):
            joined.send(message)
            assert joined.recv(timeout=60) == message
        assert joined.ping().wait(60)
        joined.send("close")
        with pytest.raises(ConnectionClosed) as closed:
            joined.recv(timeout=60)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4321, "as asked")


@pytest.mark.parametrize(
    "how",
    [{"origin": "http://evil.localhost"}, {"cookie": ""}, {"cookie": "plasmid-app=forged"}],
)
def test_a_websocket_of_somebody_else_is_refused(browser: Browser, how: dict[str, str]) -> None:
    with pytest.raises(InvalidStatus) as refused, browser.websocket(**how):
        pass
    assert refused.value.response.status_code == 403


def test_a_page_of_another_job_cannot_act_here(browser: Browser) -> None:
    other = f"http://job-{'0' * 24}.localhost:{browser.site.port}"
    assert browser.ask("POST", "/", b"x", Origin=other).status == 403
    assert browser.ask("GET", "/", Origin=other).status == 403
    fetched = {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"}
    assert browser.ask("GET", "/", None, **fetched).status == 403
    # what it gets at the API is an answer without anybody's rights: there are no cookies there
    link = http.client.HTTPConnection("127.0.0.1", browser.site.port, timeout=60)
    link.request("POST", "/system/whoami", b"{}", {"Origin": other, "Cookie": browser.cookie})
    assert link.getresponse().status == 401
    link.close()


def test_large_bodies_are_streamed(browser: Browser) -> None:
    expected = {"size": len(BIG), "sha256": hashlib.sha256(BIG).hexdigest()}
    pid = browser.site.server.pid
    assert browser.ask("POST", "/", BIG[: 10 << 20]).status == 200
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak begins anew
    before = memory_kb(pid, "VmRSS")
    assert browser.ask("POST", "/", BIG).said == expected
    pieces = (BIG[start : start + 65536] for start in range(0, len(BIG), 65536))
    answer = browser.ask("POST", "/", pieces, **{"Transfer-Encoding": "chunked"})
    assert answer.said == expected
    assert memory_kb(pid, "VmHWM") - before < MEMORY_KB_MAX


def memory_kb(pid: int, of: str) -> int:
    found = re.search(rf"{of}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1])


def test_what_happens_is_seen_as_it_happens(browser: Browser) -> None:
    link = http.client.HTTPConnection("127.0.0.1", browser.site.port, timeout=60)
    link.request("GET", "/events", headers={"Host": browser.host, "Cookie": browser.cookie})
    answer = link.getresponse()
    assert answer.readline() == b"data: first\n"
    assert browser.ask(path="/release").status == 200
    assert answer.read() == b"\ndata: last\n\n"
    link.close()


@pytest.mark.parametrize(
    "lines",
    [
        "Content-Length: 6\nTransfer-Encoding: chunked\n\n0\n\nG",
        "Transfer-Encoding: chunked\nContent-Length: 6\n\n0\n\nG",
        "Content-Length: 1\nContent-Length: 7\n\nabcdefg",
        "Content-Length: +6\n\nabcdef",
        "Transfer-Encoding: xchunked\n\n0\n\n",
        "Transfer-Encoding : chunked\n\n0\n\n",
        "X: a\n Transfer-Encoding: chunked\n\n0\n\n",
        "Host: other\n\n",
        "Transfer-Encoding: chunked\n\nzz\nhello\n0\n\n",
    ],
)
def test_a_request_that_can_be_read_in_two_ways_does_not_go_in(
    browser: Browser, lines: str
) -> None:
    head = f"POST / HTTP/1.1\nHost: {browser.host}\nCookie: {browser.cookie}\n"
    with socket.create_connection(("127.0.0.1", browser.site.port), timeout=120) as link:
        link.sendall((head + lines).replace("\n", "\r\n").encode())
        assert link.recv(64).startswith(b"HTTP/1.1 400 ")


def test_it_is_reached_after_its_worker_was_killed(offering: Site, browser: Browser) -> None:
    assert browser.ask().status == 200
    for pid in (before := offering.worker_pids()):
        os.kill(pid, signal.SIGKILL)
    until(lambda: (found := offering.worker_pids()) and found != before)
    until(lambda: browser.ask().status == 200)


def test_a_job_that_is_over_says_so(offering: Site, owner: Dx, applet: str) -> None:
    job = running(owner, applet)
    browser = Browser(offering, job)
    browser.login(owner.token)
    with contextlib.suppress(http.client.HTTPException):  # it ends while it answers
        browser.ask(path="/stop")
    offering.state(job, "done")
    answer = browser.ask()
    assert (answer.status, f"{job}</code> is done" in answer.body.decode()) == (410, True)


def test_without_the_setting_nothing_is_offered(dx: Dx) -> None:
    job = dx.run(built(dx, "unseen", "VIEW"))
    dx.site.state(job, "running")
    assert dx.json("describe", job)["httpsApp"] == {"enabled": False}
    assert list(dx.site.data.glob(f"work/{job}.0/app*")) == []
    assert Browser(dx.site, job).ask("GET", "/").status == 404
    with pytest.raises(RefusedError, match=r"\[web_apps\] enabled"):
        dx.call(f"/{job}/openHttpsApp")
    dx("terminate", job)
