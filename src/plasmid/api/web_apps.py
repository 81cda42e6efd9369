"""The door to web applications of jobs: hosts of their own, a login, permission, then the relay.

A host is one job's, and browsers keep hosts apart; what stands before an application is served at
that host too. A session is a signed cookie of that host (auth/app_sessions.py). The API takes
tokens only, never cookies, so that no page of a job can call it in its visitor's name.
"""

from __future__ import annotations

import asyncio
import functools
import re
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs

from plasmid.api import app_headers, app_pages, app_relay, app_websocket
from plasmid.api.app_relay import NoAnswerError, NotListeningError, Receive, Scope, Send, Way
from plasmid.auth import tokens
from plasmid.auth.app_sessions import Opening, Session
from plasmid.domain import errors, https_app, job_states
from plasmid.domain.https_app import Place
from plasmid.domain.job_states import State
from plasmid.metadata import jobs
from plasmid.metadata.rows import JobRow
from plasmid.methods import web_apps
from plasmid.methods.call import Call, Platform, Request

PERMISSION_MS: Final = 3_000
WATCH_SECONDS: Final = 3.0
FORM_BYTES_MAX: Final = 8192
KNOWN_MAX: Final = 10_000
_OWN_PATHS: Final = b"/.plasmid/"
_PATH: Final = re.compile(r"/(?![/\\])[!-~]*")
_ALLOWED, _REFUSED, _ENDED = range(3)
# A job that is held for debugging is stopped, so its application answers no more.
_ENDED_IN: Final = (State.DEBUG_HOLD, State.WAITING_ON_OUTPUT, State.TERMINATING)
_FOREIGN: Final = "Another site has sent this request; open the application by its own address"
_TWO_LOGINS: Final = (
    "Your browser has sent the logins of two people, one of which another site must have set:"
    " delete the cookies of this site, and log in again."
)
_NO_SERVICE_WORKERS: Final = "A service worker could stand before the login page of this host"
_NO_RIGHT: Final = (
    "You are logged in, and may not see this job's web application: who may is said by"
    " httpsApp.shared_access of its executable"
)


class _Visit(NamedTuple):
    """Who may go in, to which socket, and what goes out with the answer."""

    session: Session
    way: Way
    headers: app_headers.Headers


class WebApps:
    """Serves the hosts of jobs."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._known: dict[tuple[str, str], tuple[int, int]] = {}

    def place_of(self, scope: Scope) -> Place | None:
        """Return which job's host a request is for; None if it is for the platform itself."""
        domain = self._platform.limits.web_app_domain
        if not domain or scope["type"] not in ("http", "websocket"):
            return None
        host = app_headers.value_of(scope["headers"], b"host")
        return None if host is None else https_app.place_of(host, domain)

    async def serve(self, scope: Scope, receive: Receive, send: Send, place: Place) -> None:
        """Answer one request, or serve one websocket, of a job's host."""
        scope["headers"] = [(name.lower(), value) for name, value in scope["headers"]]
        scope["scheme"] = self._scheme(scope)
        is_websocket = scope["type"] == "websocket"
        try:
            page = await (self._websocket if is_websocket else self._http)(
                scope, receive, send, place
            )
        except NotListeningError:
            looks_again = scope.get("method") in ("GET", "HEAD")
            page = app_pages.not_ready(place.job, "running", looks_again=looks_again)
        except NoAnswerError as error:
            why = f"The application of {place.job} got the request and did not answer it: {error}."
            page = app_pages.refused(502, "No answer", why)
        if page is None:
            return
        if is_websocket:
            await app_websocket.deny(send)
            return
        start = {"status": page.status, "headers": list(page.headers)}
        await send({"type": "http.response.start", **start})
        content = b"" if scope["method"] == "HEAD" else page.content
        await send({"type": "http.response.body", "body": content})

    # ------------------------------------------------------------------------ what is relayed

    async def _http(
        self, scope: Scope, receive: Receive, send: Send, place: Place
    ) -> app_pages.Page | None:
        problem = app_headers.problem(scope["headers"])
        if problem is not None:
            return app_pages.refused(problem[0], "This request is not clear", problem[1])
        if scope["raw_path"].startswith(_OWN_PATHS):
            return await self._own(scope, receive, place)
        if app_headers.is_service_worker(scope["headers"]):
            return app_pages.refused(403, "No service workers here", _NO_SERVICE_WORKERS)
        visit = await self._visit(scope, place)
        if not isinstance(visit, _Visit):
            return visit
        await app_relay.forward(scope, receive, send, way=visit.way, headers=visit.headers)
        return None

    async def _websocket(
        self, scope: Scope, receive: Receive, send: Send, place: Place
    ) -> app_pages.Page | None:
        problem = app_headers.problem(scope["headers"])
        if problem is not None:
            return app_pages.refused(problem[0], "This request is not clear", problem[1])
        visit = await self._visit(scope, place)
        if not isinstance(visit, _Visit):
            return visit
        noted = self._noted(receive, visit.session)
        await app_websocket.forward(scope, noted, send, way=visit.way)
        return None

    def _noted(self, receive: Receive, session: Session) -> Receive:
        """Return a receiver that notes the use of a session: what is typed into it counts."""

        async def noted() -> Any:
            message = await receive()
            self._platform.app_sessions.use(session, self._platform.now_ms())
            return message

        return noted

    # --------------------------------------------------------------------------- who may go in

    async def _visit(self, scope: Scope, place: Place) -> _Visit | app_pages.Page:
        """Return what a request is led to, or the page that it gets instead."""
        now_ms = self._platform.now_ms()
        sessions = self._sessions_of(scope, place, now_ms)
        if len({each.token_hash for each in sessions}) != 1:
            wrong = _TWO_LOGINS if sessions else ""
            return app_pages.login(place.job, going_to=_going_to(scope), wrong=wrong)
        session = sessions[0]
        if self._is_from_elsewhere(scope):
            return app_pages.refused(403, "Not from here", _FOREIGN)
        row = await jobs.find_job(self._platform.database.reader, session.job)
        if row is None:
            return app_pages.refused(404, "No such job", f"There is no job {place.job} any more.")
        verdict = await self._verdict(session, row, now_ms)
        if verdict == _ENDED:
            return app_pages.login(row.id, going_to=_going_to(scope), wrong="Your token has ended.")
        if verdict == _REFUSED:
            return app_pages.refused(403, "Not for you", _NO_RIGHT)
        return self._led_to(scope, place, row, session=session)

    def _led_to(
        self, scope: Scope, place: Place, row: JobRow, *, session: Session
    ) -> _Visit | app_pages.Page:
        if job_states.is_terminal(row.state) or row.state in _ENDED_IN:
            return app_pages.over(row.id, row.state)
        port = https_app.port_of(row.settings[https_app.FIELD], place.port)
        if port is None:
            why = f"The executable of {row.id} does not declare port {place.port} in httpsApp."
            return app_pages.refused(404, "No such port", why)
        socket = (row.settings.get("doors") or {}).get("appSocket")
        if row.state != State.RUNNING or not socket:
            return app_pages.not_ready(row.id, row.state)
        renewed = self._platform.app_sessions.use(session, self._platform.now_ms())
        headers = [] if renewed is None else [self._cookie(scope, renewed)]
        way = Way(Path(f"{socket}.{port}"), functools.partial(self._forbidden, session))
        return _Visit(session, way, headers)

    async def _verdict(self, session: Session, row: JobRow, now_ms: int) -> int:
        """Return what is known of a permission, asked anew every few seconds."""
        key = (session.token_hash, row.id)
        known = self._known.get(key)
        if known is not None and 0 <= now_ms - known[0] < PERMISSION_MS:
            return known[1]
        reader = self._platform.database.reader
        actor = await tokens.find_actor(reader, session.token_hash, now_ms)
        verdict = _ENDED
        if actor is not None:
            call = Call(self._platform, actor, Request(), now_ms=now_ms)
            verdict = _ALLOWED if await web_apps.may_open(call, row) else _REFUSED
        if len(self._known) >= KNOWN_MAX:
            self._known.clear()
        self._known[key] = (now_ms, verdict)
        return verdict

    async def _forbidden(self, session: Session) -> str:
        """Return, and say why, once what was allowed to go on is not allowed any more.

        A page that keeps a connection open is in use, so being idle is no reason.
        """
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            now_ms = self._platform.now_ms()
            row = await jobs.find_job(self._platform.database.reader, session.job)
            if row is None or row.state != State.RUNNING:
                return "The job has ended"
            if self._platform.app_sessions.has_lasted(session, now_ms):
                return "Log in again: this has lasted as long as it may"
            if await self._verdict(session, row, now_ms) != _ALLOWED:
                return "You may not see this web application any more"

    def _sessions_of(self, scope: Scope, place: Place, now_ms: int) -> list[Session]:
        """Return the sessions at this host; a cookie of another job's counts for nothing.

        There is one for us. Without TLS a page of another job can have set one more, of its author.
        """
        found = []
        for value in app_headers.cookies(scope["headers"], scheme=scope["scheme"]):
            session = self._platform.app_sessions.read(value, now_ms)
            if session is not None and session.job.lower() == place.job:
                found.append(session)
        return found

    def _is_from_elsewhere(self, scope: Scope) -> bool:
        headers, scheme = scope["headers"], scope["scheme"]
        if scope["type"] == "websocket":
            return not app_headers.is_own_origin(headers, scheme=scheme)
        return app_headers.is_from_elsewhere(scope["method"], headers, scheme=scheme)

    # -------------------------------------------------------------------------------- the login

    async def _own(self, scope: Scope, receive: Receive, place: Place) -> app_pages.Page:
        """Answer a request for one of the pages that are ours at every job's host."""
        asked = (scope["method"], scope["raw_path"].decode("latin-1"))
        if asked == ("GET", web_apps.OPEN_PATH):
            return self._open_by_code(scope, place)
        if asked == ("POST", app_pages.LOGIN_PATH):
            if self._is_from_elsewhere(scope):
                return app_pages.refused(403, "Not from here", _FOREIGN)
            return await self._log_in(scope, await _form(receive), place)
        return app_pages.refused(404, "No such page", "Nothing is here.")

    def _open_by_code(self, scope: Scope, place: Place) -> app_pages.Page:
        """Begin the session that a link for one use stands for."""
        now_ms = self._platform.now_ms()
        code = parse_qs(scope["query_string"].decode("latin-1")).get("code", [""])[0]
        opening = self._platform.app_sessions.take(code, now_ms)
        if opening is None or opening.job.lower() != place.job:
            why = "This link was used already, or is older than a minute; make a new one."
            return app_pages.login(place.job, wrong=why)
        return self._begin(scope, opening, "/")

    async def _log_in(self, scope: Scope, form: dict[str, str], place: Place) -> app_pages.Page:
        """Begin a session with a token that was pasted."""
        now_ms = self._platform.now_ms()
        going_to = form.get("next", "/")
        token = form.get("token", "").strip()
        actor = None
        client = scope.get("client")
        try:
            # whose token it is, nobody says: that page counts as one account
            login = self._platform.logins.begin(client[0] if client else "", place.job, now_ms)
            if token and token.isascii():
                actor = await tokens.find_actor(
                    self._platform.database.reader, tokens.hash_of(token), now_ms
                )
            if actor is None:
                wrong = "This is no token of this site, or it has ended."
                return app_pages.login(place.job, going_to=going_to, wrong=wrong)
            self._platform.logins.succeeded(login)
            await self._platform.rates.admit(actor, now_ms)
        except errors.RateLimitConditional as error:
            return app_pages.refused(429, "Too often", error.message)
        call = Call(self._platform, actor, Request(), now_ms=now_ms)
        row = await web_apps.find_job(call, place)
        if row is None or not await web_apps.may_open(call, row):
            return app_pages.refused(403, "Not for you", _NO_RIGHT)
        return self._begin(scope, Opening(row.id, actor.token_hash, now_ms), going_to)

    def _begin(self, scope: Scope, opening: Opening, going_to: str) -> app_pages.Page:
        session = self._platform.app_sessions.begin(opening, self._platform.now_ms())
        safe = going_to if _PATH.fullmatch(going_to) else "/"
        headers = (
            (b"location", safe.encode()),
            (b"content-length", b"0"),
            (b"cache-control", b"no-store"),
            (b"referrer-policy", b"no-referrer"),
            self._cookie(scope, session),
        )
        return app_pages.Page(303, b"", headers)

    def _cookie(self, scope: Scope, session: Session) -> tuple[bytes, bytes]:
        is_secure = scope["scheme"] == "https"
        name = app_headers.cookie_name(scope["scheme"])
        value = self._platform.app_sessions.cookie(session)
        attributes = "; Path=/; HttpOnly; SameSite=Lax" + ("; Secure" if is_secure else "")
        return b"set-cookie", f"{name}={value}{attributes}".encode()

    def _scheme(self, scope: Scope) -> str:
        """Return how browsers reach us: what stands before us may do the TLS."""
        given = self._platform.public_url.partition(":")[0]
        return given or ("https" if scope["scheme"] in ("https", "wss") else "http")


def _going_to(scope: Scope) -> str:
    """Return where a login leads to: where its visitor wanted to go."""
    if scope["type"] != "http" or scope["method"] != "GET":
        return "/"
    return app_relay.target_of(scope).decode("latin-1")


async def _form(receive: Receive) -> dict[str, str]:
    """Return the fields of a form; nothing of one that is too large."""
    content = b""
    while True:
        message = await receive()
        content += message.get("body", b"")
        if message["type"] == "http.disconnect" or len(content) > FORM_BYTES_MAX:
            return {}
        if not message.get("more_body"):
            break
    try:
        fields = parse_qs(content.decode("latin-1"), max_num_fields=10)
    except ValueError:
        return {}
    return {name: values[0] for name, values in fields.items()}
