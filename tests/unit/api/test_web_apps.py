"""The door to web applications: who comes in, what goes on, and what never does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from plasmid.api import app_relay, web_apps
from plasmid.auth import app_sessions
from plasmid.auth.logins import Logins
from plasmid.domain import https_app
from plasmid.domain.access import Actor, Level
from tests.worlds import ALICE, BOB, EVE, WORKER, WORKER_NAME, World

TYPE = {"content-type": "application/x-www-form-urlencoded"}


class Application:
    """What listens where a worker would: it says what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.base = folder / "app"
        self.heads: list[bytes] = []
        self.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
        self.gone = asyncio.Event()
        self.is_endless = False
        self.is_deaf = False

    @contextlib.asynccontextmanager
    async def open(self, port: int = 443) -> AsyncIterator[None]:
        server = await asyncio.start_unix_server(self._serve, f"{self.base}.{port}", limit=1 << 22)
        async with server:
            yield

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        if self.is_deaf:
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            await self.gone.wait()
            writer.close()
            return
        if b"transfer-encoding: chunked" in head.lower():
            body = await reader.readuntil(b"\r\n0\r\n\r\n")
            self.answer = b"HTTP/1.1 200 OK\r\n\r\n%d" % body.count(b"x")
        writer.write(self.answer)
        if self.is_endless:
            with contextlib.suppress(OSError):
                await reader.read()
            self.gone.set()
        writer.close()


class Door:
    """A job with a web application, and browsers before it."""

    def __init__(self, world: World, job: str, application: Application) -> None:
        self.world, self.job, self.application = world, job, application
        self.host = f"{job.lower()}.localhost"

    async def ask(
        self, method: str = "GET", path: str = "/", *, cookie: str = "", **more: Any
    ) -> httpx2.Response:
        headers = {"host": more.pop("host", self.host), **more.pop("headers", {})}
        if cookie:
            headers["cookie"] = cookie
        url = f"http://platform.test{path}"
        return await self.world.http.request(method, url, headers=headers, **more)

    async def login(
        self, token: str = ALICE, *, going_to: str = "/", **more: Any
    ) -> httpx2.Response:
        headers = {**TYPE, **more.pop("headers", {})}
        form = httpx2.QueryParams({"token": token, "next": going_to})
        content = str(form).encode()
        return await self.ask("POST", "/.plasmid/login", content=content, headers=headers, **more)

    async def cookie(self, token: str = ALICE) -> str:
        response = await self.login(token)
        assert response.status_code == 303, response.text
        return response.headers["set-cookie"].partition(";")[0]

    async def tell(self) -> None:
        """Let the worker say where it listens."""
        doors = {"worker": WORKER_NAME, "attempt": 0, "app_socket": str(self.application.base)}
        await self.world.call(f"/internal/{self.job}/doors", doors, as_=WORKER)


@pytest.fixture
async def project(world: World) -> str:
    """A project in which bob may see and eve nothing; the site offers web applications."""
    limits = msgspec.structs.replace(world.platform.limits, web_app_domain="localhost")
    world.platform.limits = limits
    project = await world.a_project()
    await world.a_member(project, "VIEW")
    return project


@pytest.fixture
async def door(world: World, project: str, tmp_path: Path) -> AsyncIterator[Door]:
    """A running job whose web application may be seen by whoever may see the project."""
    web_app = {"ports": [443, 8080], "shared_access": "VIEW"}
    job = await world.a_job(await world.an_applet(project, httpsApp=web_app))
    await world.lease(job)
    application = Application(tmp_path)
    door = Door(world, job, application)
    await door.tell()
    async with application.open():
        yield door


class TestLogin:
    async def test_who_is_not_logged_in_gets_a_page_that_asks_for_a_token(self, door: Door) -> None:
        response = await door.ask(path='/a"b?c=%22')
        assert response.status_code == 401
        assert 'value="/a%22b?c=%22"' in response.text
        assert "script" not in response.text
        assert "default-src 'none'" in response.headers["content-security-policy"]
        assert door.application.heads == []

    async def test_a_token_opens_and_leads_to_where_one_was_going(self, door: Door) -> None:
        response = await door.login(going_to="/a?b=1")
        assert (response.status_code, response.headers["location"]) == (303, "/a?b=1")
        cookie = response.headers["set-cookie"]
        assert cookie.startswith("plasmid-app=")
        assert cookie.endswith("; Path=/; HttpOnly; SameSite=Lax")
        answer = await door.ask(cookie=cookie.partition(";")[0])
        assert (answer.status_code, answer.text) == (200, "hello")

    @pytest.mark.parametrize(
        "going_to", ["//evil.test", "https://evil.test", "/\\evil.test", "x", "/\r\nX: y", ""]
    )
    async def test_a_login_leads_nowhere_else(self, door: Door, going_to: str) -> None:
        assert (await door.login(going_to=going_to)).headers["location"] == "/"

    @pytest.mark.parametrize("token", ["", "wrong", WORKER, "é", " "])
    async def test_what_is_no_users_token_opens_nothing(self, door: Door, token: str) -> None:
        response = await door.login(token)
        assert response.status_code in (401, 403)
        assert "set-cookie" not in response.headers

    async def test_wrong_tokens_are_slowed_down(self, door: Door) -> None:
        door.world.platform.logins = Logins(2)
        answers = [(await door.login("wrong")).status_code for _ in range(3)]
        assert answers == [401, 401, 429]
        door.world.clock.advance(30_000)
        assert (await door.login()).status_code == 303

    async def test_a_form_that_is_too_large_is_none(self, door: Door) -> None:
        assert (await door.login(ALICE + " " * web_apps.FORM_BYTES_MAX)).status_code == 401

    async def test_a_stranger_is_refused_and_not_told_whether_the_job_exists(
        self, door: Door
    ) -> None:
        refused = await door.login(EVE)
        other = f"job-{'0' * 24}.localhost"
        unknown = await door.login(EVE, host=other)
        assert (refused.status_code, refused.text) == (unknown.status_code, unknown.text)
        assert refused.status_code == 403

    async def test_another_site_cannot_log_a_visitor_in(self, door: Door) -> None:
        response = await door.login(headers={"origin": "http://evil.localhost"})
        assert response.status_code == 403

    async def test_behind_tls_the_cookie_is_for_that_host_and_tls_only(self, door: Door) -> None:
        door.world.platform.public_url = "https://plasmid.test"
        origin = {"origin": f"https://{door.host}"}
        cookie = (await door.login(headers=origin)).headers["set-cookie"]
        assert cookie.startswith("__Host-plasmid-app=")
        assert cookie.endswith("; Path=/; HttpOnly; SameSite=Lax; Secure")
        assert "Domain" not in cookie


class TestLink:
    async def link(self, door: Door, token: str = ALICE) -> str:
        answer = await door.world.call(f"/{door.job}/openHttpsApp", as_=token)
        start = f"http://{door.job}.localhost"
        assert answer["url"].startswith(f"{start}/.plasmid/open?code=")
        return str(answer["url"]).removeprefix(start)

    async def test_a_link_opens_once(self, door: Door) -> None:
        link = await self.link(door)
        first = await door.ask(path=link)
        assert (first.status_code, first.headers["location"]) == (303, "/")
        cookie = first.headers["set-cookie"].partition(";")[0]
        assert (await door.ask(cookie=cookie)).text == "hello"
        assert (await door.ask(path=link)).status_code == 401

    async def test_looking_whether_a_link_is_there_does_not_use_it(self, door: Door) -> None:
        link = await self.link(door)
        assert (await door.ask("HEAD", link)).status_code == 404
        assert (await door.ask(path=link)).status_code == 303

    async def test_a_link_is_good_for_a_minute_and_its_own_job(self, door: Door) -> None:
        link = await self.link(door)
        other = f"job-{'0' * 24}.localhost"
        assert (await door.ask(path=link, host=other)).status_code == 401
        late = await self.link(door)
        door.world.clock.advance(app_sessions.CODE_MS)
        assert (await door.ask(path=late)).status_code == 401


class TestSession:
    async def test_a_cookie_of_another_job_counts_for_nothing(self, door: Door) -> None:
        cookie = await door.cookie()
        other = await door.world.a_job((await door.world.job_row(door.job)).executable)
        host = f"{other.lower()}.localhost"
        assert (await door.ask(cookie=cookie, host=host)).status_code == 401
        both = f"plasmid-app=junk; {cookie}"
        assert (await door.ask(cookie=both)).status_code == 200

    async def test_by_tls_a_cookie_that_another_host_can_set_counts_for_nothing(
        self, door: Door
    ) -> None:
        planted = await door.cookie(BOB)
        assert planted.startswith("plasmid-app=")
        door.world.platform.public_url = "https://plasmid.test"
        assert (await door.ask(cookie=planted)).status_code == 401
        own = (await door.login()).headers["set-cookie"].partition(";")[0]
        assert (await door.ask(cookie=f"{planted}; {own}")).status_code == 200

    async def test_the_logins_of_two_people_at_once_count_for_nothing(self, door: Door) -> None:
        both = f"{await door.cookie(BOB)}; {await door.cookie(ALICE)}"
        response = await door.ask(cookie=both)
        assert response.status_code == 401
        assert "delete the cookies" in response.text
        twice = f"{await door.cookie(ALICE)}; {await door.cookie(ALICE)}"
        assert (await door.ask(cookie=twice)).status_code == 200

    async def test_an_idle_session_ends_and_a_used_one_is_renewed(self, door: Door) -> None:
        cookie = await door.cookie()
        door.world.clock.advance(app_sessions.RENEWED_AFTER_MS)
        renewed = (await door.ask(cookie=cookie)).headers["set-cookie"].partition(";")[0]
        door.world.clock.advance(app_sessions.IDLE_MS - 1)
        assert (await door.ask(cookie=renewed)).status_code == 200
        door.world.clock.advance(app_sessions.IDLE_MS)
        assert (await door.ask(cookie=renewed)).status_code == 401

    async def test_who_loses_the_permission_is_out_within_seconds(self, door: Door) -> None:
        cookie = await door.cookie(BOB)
        assert (await door.ask(cookie=cookie)).status_code == 200
        project = (await door.world.job_row(door.job)).project
        await door.world.call(f"/{project}/decreasePermissions", {"user-bob": None})
        door.world.clock.advance(web_apps.PERMISSION_MS)
        assert (await door.ask(cookie=cookie)).status_code == 403

    async def test_a_session_ends_with_its_token(self, door: Door) -> None:
        made = await door.world.call("/system/newAuthToken", {})
        cookie = await door.cookie(made["access_token"])
        assert (await door.ask(cookie=cookie)).status_code == 200
        ended = {"tokenSignature": made["token_signature"]}
        await door.world.call("/system/destroyAuthToken", ended)
        door.world.clock.advance(web_apps.PERMISSION_MS)
        assert (await door.ask(cookie=cookie)).status_code == 401

    async def test_what_is_known_of_permissions_is_bounded(
        self, door: Door, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(web_apps, "KNOWN_MAX", 1)
        for token in (ALICE, BOB):
            assert (await door.ask(cookie=await door.cookie(token))).status_code == 200


class TestRelay:
    async def test_a_request_goes_in_as_it_came_without_what_is_ours(self, door: Door) -> None:
        cookie = await door.cookie()
        headers = {"authorization": f"Bearer {ALICE}", "x-forwarded-for": "10.0.0.1"}
        response = await door.ask(path="/a%20b?q=%41", cookie=f"{cookie}; own=1", headers=headers)
        assert response.text == "hello"
        (head,) = door.application.heads
        lines = head.decode().lower().split("\r\n")
        assert lines[0] == "get /a%20b?q=%41 http/1.1"
        assert f"host: {door.host}" in lines
        assert "cookie: own=1" in lines
        assert "x-forwarded-for: 192.0.2.7" in lines
        assert not any(line.startswith("authorization") for line in lines)

    async def test_a_body_of_unknown_length_is_streamed(self, door: Door) -> None:
        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(20):
                yield b"x" * 65536

        cookie = await door.cookie()
        response = await door.ask("POST", "/up", cookie=cookie, content=pieces())
        assert response.text == str(20 * 65536)

    @pytest.mark.parametrize(
        "headers",
        [
            {"origin": "http://evil.localhost"},
            {"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors"},
        ],
    )
    async def test_what_another_site_sends_does_not_go_in(
        self, door: Door, headers: dict[str, str]
    ) -> None:
        response = await door.ask("POST", cookie=await door.cookie(), headers=headers)
        assert response.status_code == 403
        assert door.application.heads == []

    async def test_no_service_worker_comes_between_a_visitor_and_the_login(
        self, door: Door
    ) -> None:
        headers = {"service-worker": "script", "sec-fetch-site": "same-origin"}
        response = await door.ask(path="/sw.js", cookie=await door.cookie(), headers=headers)
        assert response.status_code == 403
        assert door.application.heads == []

    async def test_an_application_sets_cookies_of_its_own_host_only(self, door: Door) -> None:
        door.application.answer = (
            b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1; Domain=localhost\r\n"
            b"Set-Cookie: plasmid-app=x\r\nContent-Length: 0\r\n\r\n"
        )
        response = await door.ask(cookie=await door.cookie())
        assert response.headers.get_list("set-cookie") == ["a=1"]

    async def test_an_answer_that_is_cut_off_is_cut_off(self, door: Door) -> None:
        door.application.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhal"
        async with a_visitor(door, await door.cookie()) as visitor:
            assert (await visitor.next())["status"] == 200
            assert (await visitor.next())["body"] == b"hal"
        assert visitor.received.empty()  # nothing says that this was all

    async def test_where_nobody_listens_a_page_looks_again_if_it_was_a_question(
        self, door: Door
    ) -> None:
        door.application.answer = https_app.NOBODY_LISTENS
        cookie = await door.cookie()
        response = await door.ask(cookie=cookie)
        assert (response.status_code, response.headers["retry-after"]) == (503, "3")
        assert 'http-equiv="refresh"' in response.text
        sent = await door.ask("POST", cookie=cookie, content=b"x" * (1 << 21))
        assert sent.status_code == 503
        assert 'http-equiv="refresh"' not in sent.text

    @pytest.mark.parametrize(
        "answer",
        [
            b"",
            b"junk\r\n\r\n",
            b"HTTP/1.1 700 Own\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 101 Other\r\nUpgrade: own\r\nConnection: upgrade\r\n\r\n",
        ],
    )
    @pytest.mark.parametrize("method", ["GET", "POST"])
    async def test_what_got_a_request_and_gives_no_answer_is_not_asked_again(
        self, door: Door, method: str, answer: bytes
    ) -> None:
        door.application.answer = answer
        response = await door.ask(method, cookie=await door.cookie())
        assert response.status_code == 502
        assert "refresh" not in response.text
        assert len(door.application.heads) == 1

    async def test_an_answer_that_says_in_two_ways_how_long_it_is_arrives(self, door: Door) -> None:
        door.application.answer = (
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"5\r\nhello\r\n0\r\n\r\n"
        )
        response = await door.ask(cookie=await door.cookie())
        assert response.text == "hello"
        assert "content-length" not in response.headers

    @pytest.mark.parametrize("refused", ["http.response.start", "http.response.body"])
    async def test_an_answer_that_the_server_does_not_take_is_cut_off(
        self, door: Door, refused: str
    ) -> None:
        async with a_visitor(door, await door.cookie()) as visitor:
            visitor.refuses = refused
        assert {each["type"] for each in visitor.all_received()} <= {"http.response.start"}

    async def test_who_leaves_in_the_middle_of_a_body_that_nobody_reads_ends_the_request(
        self, door: Door
    ) -> None:
        door.application.is_deaf = True
        async with a_visitor(door, await door.cookie(), length=1 << 30) as visitor:
            for _ in range(3):
                visitor.say(b"x" * (1 << 20))
            visitor.leave()
        assert visitor.received.empty()
        door.application.gone.set()

    async def test_an_application_that_takes_nothing_of_a_body_gets_no_more_of_it(
        self, door: Door, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(app_relay, "WRITE_SECONDS_MAX", 0.05)
        door.application.is_deaf = True
        async with a_visitor(door, await door.cookie(), length=1 << 30) as visitor:
            for _ in range(12):
                visitor.say(b"x" * (1 << 20))
            assert (await visitor.next())["status"] == 502
        assert visitor.sent.qsize() > 0  # it was not all read, to be kept somewhere
        door.application.gone.set()

    async def test_a_visitor_who_leaves_ends_the_request(self, door: Door) -> None:
        door.application.is_endless = True
        door.application.answer = b"HTTP/1.1 200 OK\r\n\r\ndata: 1\n\n"
        async with a_visitor(door, await door.cookie()) as visitor:
            assert (await visitor.next())["status"] == 200
            assert (await visitor.next())["body"] == b"data: 1\n\n"
            visitor.leave()
            await door.application.gone.wait()

    async def test_a_stream_ends_when_it_is_not_allowed_any_more(
        self, door: Door, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(web_apps, "WATCH_SECONDS", 0.01)
        door.application.is_endless = True
        door.application.answer = b"HTTP/1.1 200 OK\r\n\r\ndata: 1\n\n"
        async with a_visitor(door, await door.cookie()) as visitor:
            assert (await visitor.next())["status"] == 200
            await door.world.finish(door.job)
            await door.application.gone.wait()

    async def test_a_long_path_of_a_socket_is_no_matter(self, tmp_path: Path) -> None:
        folder = tmp_path / ("x" * 120)
        folder.mkdir()
        with app_relay.short(folder / "app.443") as name:
            assert len(name) < 100
            (folder / "app.443").touch()
            assert Path(name).exists()
        with pytest.raises(app_relay.NotListeningError), app_relay.short(folder / "no" / "app.443"):
            pass


class Visitor:
    """Somebody who may go away in the middle of an answer."""

    def __init__(self) -> None:
        self.sent: asyncio.Queue[Any] = asyncio.Queue()
        self.received: asyncio.Queue[Any] = asyncio.Queue()
        self.refuses = ""

    async def next(self) -> Any:
        return await self.received.get()

    def all_received(self) -> list[Any]:
        return [self.received.get_nowait() for _ in range(self.received.qsize())]

    async def take(self, message: Any) -> None:
        """Take a part of the answer, or raise what the server does for a malformed one."""
        if message["type"] == self.refuses:
            raise RuntimeError("Invalid HTTP header value.")
        self.received.put_nowait(message)

    def say(self, piece: bytes) -> None:
        self.sent.put_nowait({"type": "http.request", "body": piece, "more_body": True})

    def leave(self) -> None:
        self.sent.put_nowait({"type": "http.disconnect"})


@contextlib.asynccontextmanager
async def a_visitor(door: Door, cookie: str, *, length: int = 0) -> AsyncIterator[Visitor]:
    """Give somebody whose request is under way, with a body of that length still to come."""
    visitor = Visitor()
    scope = {
        "type": "http", "method": "GET", "path": "/events", "raw_path": b"/events",
        "scheme": "http", "query_string": b"", "client": ("192.0.2.7", 1), "root_path": "",
        "headers": [(b"host", door.host.encode()), (b"cookie", cookie.encode())],
    }  # fmt: skip
    if length:
        scope["method"] = "POST"
        scope["headers"] = [*scope["headers"], (b"content-length", b"%d" % length)]
    else:
        visitor.sent.put_nowait({"type": "http.request", "body": b"", "more_body": False})

    async def serve() -> None:
        await door.world.app(scope, visitor.sent.get, visitor.take)

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(serve())
        yield visitor


class TestStates:
    async def test_a_job_that_is_over_is_gone_and_says_how(self, door: Door) -> None:
        cookie = await door.cookie()
        await door.world.finish(door.job)
        response = await door.ask(cookie=cookie)
        assert response.status_code == 410
        assert f"{door.job}</code> is done" in response.text

    async def test_a_job_that_is_held_for_debugging_answers_no_more(self, door: Door) -> None:
        cookie = await door.cookie()
        await door.world.hold(door.job)
        assert (await door.ask(cookie=cookie)).status_code == 410

    async def test_before_a_job_runs_a_page_looks_again(self, door: Door, project: str) -> None:
        applet = await door.world.an_applet(project, httpsApp={"ports": [8080]})
        waiting = Door(door.world, await door.world.a_job(applet), door.application)
        cookie = await waiting.cookie()
        response = await waiting.ask(cookie=cookie)
        assert (response.status_code, response.headers["retry-after"]) == (503, "3")
        assert "is runnable" in response.text
        await door.world.lease(waiting.job)
        assert (await waiting.ask(cookie=cookie)).status_code == 503
        await waiting.tell()
        assert (await waiting.ask(cookie=cookie)).status_code == 503
        async with door.application.open(8080):
            assert (await waiting.ask(cookie=cookie)).text == "hello"

    async def test_each_declared_port_has_a_host_of_its_own(self, door: Door) -> None:
        cookie = await door.cookie()
        hosts = {port: f"{door.job.lower()}-{port}.localhost" for port in https_app.PORTS}
        async with door.application.open(8080):
            statuses = {
                port: (await door.ask(cookie=cookie, host=host)).status_code
                for port, host in hosts.items()
            }
        assert statuses == {443: 200, 8080: 200, 8081: 404}

    async def test_a_job_without_a_web_application_has_no_page(
        self, door: Door, project: str
    ) -> None:
        job = await door.world.a_job(await door.world.an_applet(project))
        assert (await Door(door.world, job, door.application).login()).status_code == 403


class TestRouting:
    async def test_a_host_with_a_dot_at_its_end_is_the_same_jobs(self, door: Door) -> None:
        cookie = await door.cookie()
        assert (await door.ask(host=f"{door.host}.", cookie=cookie)).text == "hello"

    async def test_a_host_whose_port_is_none_is_refused(self, door: Door) -> None:
        response = await door.ask(
            "POST", host=f"{door.host}:[", headers={"origin": "http://x"}, cookie="a=1"
        )
        assert (response.status_code, "not clear" in response.text) == (400, True)

    async def test_no_call_of_the_api_is_answered_at_a_jobs_host(self, door: Door) -> None:
        headers = {"authorization": f"Bearer {ALICE}", "content-type": "application/json"}
        response = await door.ask("POST", "/system/whoami", headers=headers, content=b"{}")
        assert response.status_code == 401
        cookie = await door.cookie()
        response = await door.ask(
            "POST", "/system/whoami", headers=headers, content=b"{}", cookie=cookie
        )
        assert response.text == "hello"

    async def test_a_cookie_is_no_token_for_the_api(self, door: Door) -> None:
        headers = {"cookie": await door.cookie(), "content-type": "application/json"}
        response = await door.world.http.post("/system/whoami", headers=headers, content=b"{}")
        assert response.json()["error"]["type"] == "InvalidAuthentication"

    async def test_without_web_applications_no_host_is_special(self, door: Door) -> None:
        limits = msgspec.structs.replace(door.world.platform.limits, web_app_domain="")
        door.world.platform.limits = limits
        headers = {"authorization": f"Bearer {ALICE}", "content-type": "application/json"}
        response = await door.ask("POST", "/system/whoami", headers=headers, content=b"{}")
        assert response.json() == {"id": "user-alice"}

    async def test_a_narrow_token_opens_no_more_than_it_allows(self, door: Door) -> None:
        await door.world.add_token("narrow", Actor(user="user-alice", scope={"*": Level.NONE}))
        assert (await door.login("narrow")).status_code == 403
