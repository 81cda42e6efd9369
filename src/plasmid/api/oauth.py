"""The token endpoint of OAuth 2.0: it says that it grants nothing (RFC 6749, 5.2)."""

from __future__ import annotations

from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

PATH: Final = "/oauth2/token"
_REFUSAL: Final = {
    "error": "unsupported_grant_type",
    "error_description": "There are no OAuth clients here: /system/newAuthToken makes tokens",
}


async def refuse(_: Request) -> Response:
    """Answer every request for a token with the protocol's own error, which is no API error."""
    return Response(msgspec.json.encode(_REFUSAL), 400, media_type="application/json")
