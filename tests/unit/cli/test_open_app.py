"""`plasmid open`: which server is asked, and what is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import pytest

from plasmid.cli import open_app
from plasmid.cli.trouble import CommandError
from plasmid.domain import errors

JOB = "job-" + "0" * 24


class Client:
    """A server that answers as it is told, and remembers who was asked what."""

    asked: list[Any]
    answer: Any

    def __init__(self, url: str, token: str, **_: Any) -> None:
        self.asked.append((url, token))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def call(self, path: str, body: Any) -> Any:
        self.asked.append((path, body))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> type[Client]:
    """What the DX_ variables name, but for a port."""
    Client.asked = []
    Client.answer = {"url": "http://there"}
    monkeypatch.setattr(open_app, "ApiClient", Client)
    monkeypatch.setenv("DX_SECURITY_CONTEXT", '{"auth_token": "secret"}')
    monkeypatch.setenv("DX_APISERVER_HOST", "plasmid.test")
    for name in ("DX_APISERVER_PORT", "DX_APISERVER_PROTOCOL"):
        monkeypatch.delenv(name, raising=False)
    return Client


async def opened(**given: Any) -> None:
    wanted: dict[str, Any] = {"data": None, "default": Path("/nowhere"), "port": None}
    await open_app.show(JOB, in_browser=False, **{**wanted, **given})


async def test_it_asks_the_server_that_all_commands_ask(
    server: type[Client], capsys: pytest.CaptureFixture[str]
) -> None:
    await opened(port=8080)
    where = ("https://plasmid.test:443", "secret")
    assert server.asked == [where, (f"/{JOB}/openHttpsApp", {"port": 8080})]
    assert capsys.readouterr().out == "http://there\n"


async def test_a_refusal_is_said_in_one_line(server: type[Client]) -> None:
    server.answer = errors.PermissionDenied("Only user-bob may open it")
    with pytest.raises(CommandError, match="Only user-bob"):
        await opened()


async def test_a_folder_without_a_server_is_named(server: type[Client], tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=str(tmp_path)):
        await opened(data=tmp_path)
    assert server.asked == []
