"""An asynchronous client of the API, as small as a worker needs it (contract A.6-A.8).

Unreachable         no answer after the last try; the call may or may not have taken effect
errors.ApiError     the platform's own answer, as the class of its type

Every route that this client is used for may be repeated, so connection failures, 5xx and 429 are
tried again, with growing pauses and a bounded number of tries.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, Self, TypeVar
from urllib.parse import urlsplit

import httpx2
import msgspec

from plasmid.domain import errors

T = TypeVar("T")

LOOPBACK_HOSTS: Final = frozenset({"127.0.0.1", "localhost", "::1"})

_ERROR_CLASSES: Final[dict[str, type[errors.ApiError]]] = {
    error.__name__: error for error in errors.ApiError.__subclasses__()
}


class Unreachable(Exception):  # noqa: N818 - it says how the server is
    """The server gave no usable answer."""


class Retry(msgspec.Struct, frozen=True):
    """How often and how patiently a call is repeated; pauses double, with jitter, up to a limit."""

    tries_max: int = 5
    first_pause_ms: int = 100
    pause_ms_max: int = 5_000

    def pause_seconds(self, failed_tries: int) -> float:
        """Return how long to wait after so many failures in a row (1 or more)."""
        doubled = self.first_pause_ms * 2 ** min(failed_tries - 1, 20)
        jitter = random.uniform(0.5, 1)  # noqa: S311
        return float(min(doubled, self.pause_ms_max) / 1000 * jitter)


NO_RETRY: Final = Retry(tries_max=1)


class _Answered(Exception):  # noqa: N818
    """An answer that a later try may better: 5xx or 429."""

    def __init__(self, error: errors.ApiError, retry_after_seconds: float | None) -> None:
        super().__init__(error.message)
        self.error = error
        self.retry_after_seconds = retry_after_seconds


class ApiClient:
    """Calls one server with one token; connections are kept open between calls."""

    def __init__(
        self,
        server_url: str,
        token: str,
        *,
        transport: httpx2.AsyncBaseTransport | None = None,
        ca_bundle: Path | None = None,
        retry: Retry | None = None,
    ) -> None:
        self._server_url = server_url.rstrip("/")
        self._token = token
        self._retry = retry or Retry()
        self._http = httpx2.AsyncClient(
            transport=transport or _network_transport(ca_bundle),
            timeout=httpx2.Timeout(30, connect=5),
            # A worker and its server are on one machine or one network: no proxy between them.
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def call(
        self,
        route: str,
        body: Any,
        *,
        token: str | None = None,
        retry: Retry | None = None,
        answer_seconds_max: float = 30,
    ) -> dict[str, Any]:
        """Return the answer to a POST of a JSON body; raises ApiError or Unreachable."""
        return await self.ask(
            route,
            body,
            dict[str, Any],
            token=token,
            retry=retry,
            answer_seconds_max=answer_seconds_max,
        )

    async def ask(
        self,
        route: str,
        body: Any,
        answer_type: type[T],
        *,
        token: str | None = None,
        retry: Retry | None = None,
        answer_seconds_max: float = 30,
    ) -> T:
        """Return the answer to a POST as a value of a type; otherwise as `call`.

        A body of bytes is sent as it is.
        """
        request = self._http.build_request(
            "POST",
            self._server_url + route,
            content=body if isinstance(body, bytes) else msgspec.json.encode(body),
            headers=self._headers(token) | {"Content-Type": "application/json"},
            timeout=httpx2.Timeout(answer_seconds_max, connect=5),
        )
        content = await self._repeated(request, retry or self._retry)
        try:
            return msgspec.json.decode(content, type=answer_type)
        except msgspec.DecodeError as error:
            raise Unreachable(f"{route} was answered with something else: {error}") from error

    async def put(self, url: str, content: AsyncIterator[bytes], size_bytes: int) -> None:
        """Put bytes to a URL that an upload was given; raises ApiError or Unreachable."""
        try:
            response = await self._http.put(
                self._own_address(url),
                content=content,
                headers={"Content-Length": str(size_bytes)},
                timeout=httpx2.Timeout(600, connect=5),
            )
            _raise_for(response.status_code, response.headers, response.content)
        except httpx2.TransportError as error:
            raise Unreachable(f"{self._server_url} broke off the upload: {error}") from error
        except _Answered as answered:
            raise answered.error from None

    async def download(
        self, file_id: str, target: Path, *, token: str, project: str | None = None
    ) -> int:
        """Write a file's content to a path and return its size; `token` is one that may read it.

        A cut transfer goes on where it stopped; tries are counted anew whenever bytes came.
        """
        body = {"preauthenticated": False} | ({"project": project} if project else {})
        place = await self.call(f"/{file_id}/download", body, token=token)
        url = self._own_address(str(place["url"]))
        headers = {str(key): str(value) for key, value in (place.get("headers") or {}).items()}
        # Offsets count the bytes as they are kept, not as they could be packed on the way.
        headers = self._headers(token) | {"Accept-Encoding": "identity"} | headers
        failed_tries = 0
        with target.open("wb", buffering=0) as sink:
            while True:
                before = sink.tell()
                try:
                    await self._fetch(url, headers, sink.fileno(), before)
                    return sink.seek(0, os.SEEK_END)
                except (httpx2.TransportError, _Answered) as error:
                    failed_tries = 1 if sink.tell() > before else failed_tries + 1
                    if failed_tries >= self._retry.tries_max:
                        raise Unreachable(f"The download of {file_id} failed: {error}") from error
                await asyncio.sleep(self._retry.pause_seconds(failed_tries))

    async def _repeated(self, request: httpx2.Request, retry: Retry) -> bytes:
        """Return the body of the first good answer within the allowed tries."""
        failed_tries = 0
        while True:
            try:
                response = await self._http.send(request)
                _raise_for(response.status_code, response.headers, response.content)
                return response.content
            except httpx2.TransportError as error:
                failed_tries += 1
                pause = None
                if failed_tries >= retry.tries_max:
                    problem = str(error) or type(error).__name__
                    raise Unreachable(f"{self._server_url} does not answer: {problem}") from error
            except _Answered as answered:
                failed_tries += 1
                pause = answered.retry_after_seconds
                if failed_tries >= retry.tries_max:
                    raise answered.error from None
            await asyncio.sleep(pause or retry.pause_seconds(failed_tries))

    async def _fetch(self, url: str, headers: dict[str, str], sink: int, offset: int) -> None:
        """Append the bytes of a URL from an offset on to an open file."""
        wanted = headers | ({"Range": f"bytes={offset}-"} if offset else {})
        async with self._opened(url, wanted) as response:
            if offset and response.status_code == HTTPStatus.OK:
                os.ftruncate(sink, 0)  # the server knows no ranges: from the start again
                os.lseek(sink, 0, os.SEEK_SET)
            async for chunk in response.aiter_raw():
                await asyncio.to_thread(_write_all, sink, chunk)

    @asynccontextmanager
    async def _opened(self, url: str, headers: dict[str, str]) -> AsyncIterator[httpx2.Response]:
        async with self._http.stream("GET", url, headers=headers) as response:
            if response.status_code >= HTTPStatus.BAD_REQUEST:
                _raise_for(response.status_code, response.headers, await response.aread())
            yield response

    def _headers(self, token: str | None) -> dict[str, str]:
        return {"Authorization": f"Bearer {token or self._token}"}

    def _own_address(self, url: str) -> str:
        """Return the URL as this machine reaches it: loopback addresses are the server itself."""
        parts = urlsplit(url)
        if parts.hostname not in LOOPBACK_HOSTS:
            return url
        return self._server_url + (f"{parts.path}?{parts.query}" if parts.query else parts.path)


def _network_transport(ca_bundle: Path | None) -> httpx2.AsyncBaseTransport:
    return httpx2.AsyncHTTPTransport(
        verify=str(ca_bundle) if ca_bundle else True,
        limits=httpx2.Limits(max_connections=64, max_keepalive_connections=16, keepalive_expiry=60),
        trust_env=False,
    )


def _write_all(sink: int, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[os.write(sink, view) :]


def _raise_for(status: int, headers: Mapping[str, str], content: bytes) -> None:
    """Raise the error that an answer carries, if it does."""
    if status < HTTPStatus.BAD_REQUEST:
        return
    error = _error_in(status, content)
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise _Answered(error, _retry_after(headers))
    raise error


def _error_in(status: int, content: bytes) -> errors.ApiError:
    try:
        body = msgspec.json.decode(content, type=dict[str, Any])
    except msgspec.DecodeError:
        body = {}
    found = body.get("error")
    if not isinstance(found, dict):
        return errors.ApiError(f"The server answered with status {status} and no error body")
    error_class = _ERROR_CLASSES.get(str(found.get("type")), errors.ApiError)
    return error_class(str(found.get("message")), found.get("details"))


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return how long the server asks to wait, at most a minute; None if it does not say."""
    value = headers.get("retry-after", "")
    return min(float(value), 60.0) if value.isdecimal() else None
