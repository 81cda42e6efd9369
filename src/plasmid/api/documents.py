"""`GET /openapi.json`: the API's document, which anybody may read, for this server's address."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from plasmid import __version__
from plasmid.methods import openapi
from plasmid.methods.call import Platform

FRESH_SECONDS: Final = 300


class Documents:
    """Gives the document; whoever has it already is told so."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def openapi(self, request: Request) -> Response:
        """Give the OpenAPI document, with the address at which the caller reached us."""
        reached = f"{request.url.scheme}://{request.headers.get('host', '')}"
        servers = [{"url": self._platform.public_url or reached}]
        content = msgspec.json.encode({**_document(), "servers": servers})
        tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        headers = {"etag": tag, "cache-control": f"public, max-age={FRESH_SECONDS}"}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(content, headers=headers, media_type="application/json")


@cache
def _document() -> dict[str, Any]:
    """Return the document for no address: its parts are encoded once."""
    made = openapi.document(__version__, "/")
    return {
        name: msgspec.Raw(msgspec.json.encode(part)) if name in ("paths", "components") else part
        for name, part in made.items()
    }
