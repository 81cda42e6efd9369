"""What verifiers of identity tokens read: who issues them and by which keys (contract F.10)."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from plasmid.methods import identity
from plasmid.methods.call import Platform


class Discovery:
    """The two documents under /.well-known; anybody may read them."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def configuration(self, request: Request) -> Response:
        """Say where the keys are and how tokens are signed."""
        base_url = f"{request.url.scheme}://{request.headers.get('host', '')}"
        return _document(identity.discovery(identity.issuer(self._platform, base_url)))

    async def keys(self, _: Request) -> Response:
        """Give the public keys."""
        return _document(await identity.published_keys(self._platform.database.reader))


def _document(content: dict[str, Any]) -> Response:
    return Response(msgspec.json.encode(content), media_type="application/json")
