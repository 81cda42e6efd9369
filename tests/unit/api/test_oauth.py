"""The token endpoint of OAuth refuses as the protocol says, which is no error of the API."""

from __future__ import annotations

from plasmid.api import oauth
from tests.worlds import World


async def test_no_grant_is_given_and_the_error_is_the_protocols(world: World) -> None:
    asked = {"grant_type": "authorization_code", "client_id": "apiserver"}
    for body in ({"json": asked}, {"data": asked}):
        answer = await world.http.post(oauth.PATH, **body)  # type: ignore[arg-type]
        assert answer.status_code == 400
        assert answer.json()["error"] == "unsupported_grant_type"
        assert answer.headers["x-content-type-options"] == "nosniff"
