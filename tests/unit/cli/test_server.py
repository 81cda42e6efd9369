"""The server on a socket of its own."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from plasmid import config
from plasmid.cli import server

TRIES = 3
_NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def failed_login(url: str, number: int) -> int:
    """Log in wrongly, as if through a proxy for an address of one's own; return the status."""
    body = {"username": f"user{number}", "password": "wrong", "expires": 9_999_999_999_999}
    request = urllib.request.Request(
        f"{url}/system/newAuthToken",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json", "X-Forwarded-For": f"192.0.2.{number}"},
    )
    try:
        with _NO_PROXY.open(request, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@pytest.mark.parametrize(("trusted", "last"), [("", 429), ("127.0.0.1", 401)])
async def test_only_a_trusted_proxy_says_for_whom_it_calls(
    tmp_path: Path, trusted: str, last: int
) -> None:
    proxies = json.dumps([trusted] if trusted else [])
    (tmp_path / "plasmid.toml").write_text(
        f"[server]\nfailed_logins_per_minute = {TRIES}\ntrusted_proxies = {proxies}\n"
    )
    settings = config.load({"PLASMID_HOME": str(tmp_path)})
    listener = server.bind("127.0.0.1", 0)
    async with server.serving(settings, tmp_path / "data", listener) as running:
        found = [
            await asyncio.to_thread(failed_login, running.url, number)
            for number in range(TRIES + 1)
        ]
    assert found == [401] * TRIES + [last]
