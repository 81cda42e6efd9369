"""A local file reaches the platform part by part, bit by bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from plasmid.client import api, upload


class Platform(httpx2.AsyncBaseTransport):
    """Answers as the platform does, and keeps what it is given."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.parts: dict[str, bytes] = {}

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        content = await request.aread()
        path = request.url.path
        if request.method == "PUT":
            assert int(request.headers["content-length"]) == len(content)
            self.parts[path] = content
            return httpx2.Response(200)
        body = msgspec.json.decode(content)
        self.calls.append((path, body))
        if path.endswith("/upload"):
            return httpx2.Response(200, json={"url": f"http://127.0.0.1:1/part/{body['index']}"})
        return httpx2.Response(200, json={"id": "file-1"})


async def sent(path: Path) -> Platform:
    platform = Platform()
    async with api.ApiClient("http://127.0.0.1:1", "token", transport=platform) as client:
        file_id = await upload.upload(
            client, path, project="project-1", folder="/in", name="reads.fastq.gz"
        )
    assert file_id == "file-1"
    return platform


@pytest.mark.parametrize("size_bytes", [0, 1, 10, 11, 35])
async def test_every_byte_arrives_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size_bytes: int
) -> None:
    monkeypatch.setattr(upload, "PART_BYTES", 10)
    monkeypatch.setattr(upload, "READ_BYTES", 4)
    content = bytes(range(size_bytes))
    path = tmp_path / "reads"
    path.write_bytes(content)
    platform = await sent(path)
    assert b"".join(platform.parts.values()) == content
    assert len(platform.parts) == max(1, -(-size_bytes // 10))


async def test_a_file_is_made_named_filled_and_closed(tmp_path: Path) -> None:
    path = tmp_path / "reads"
    path.write_bytes(b"ACGT")
    platform = await sent(path)
    assert [route for route, _ in platform.calls] == [
        "/file/new",
        "/file-1/upload",
        "/file-1/close",
    ]
    new, part, _ = (body for _, body in platform.calls)
    assert (new["project"], new["folder"], new["name"]) == ("project-1", "/in", "reads.fastq.gz")
    assert part == {"index": 1, "size": 4}
