"""What belongs to no object: who am I, greetings, retries."""

from __future__ import annotations

from typing import Any

from plasmid.domain import errors, keys, ssh_access
from plasmid.methods.call import Call
from plasmid.methods.registry import method
from plasmid.methods.targets import Access


@method("/system/whoami", access=Access.LOGIN)
async def whoami(call: Call, target: None, body: dict[str, Any]) -> dict[str, Any]:
    """Return the caller's user id, and on request their address."""
    answer = {"id": call.user}
    if (keys.hash_of(body, "fields") or {}).get("clientIp"):
        answer["clientIp"] = ssh_access.plain_address(call.request.client_ip)
    return answer


@method("/system/greet", access=Access.ANYONE)
async def greet(call: Call, target: None, body: dict[str, Any]) -> dict[str, Any]:
    """Return no messages: there is nothing to announce."""
    return {"messages": []}


@method("/system/headers", access=Access.ANYONE)
async def headers(call: Call, target: None, body: dict[str, Any]) -> dict[str, str]:
    """Return the headers of the request, but for the token."""
    return {name: value for name, value in call.request.headers.items() if name != "authorization"}


@method("/system/comeBackLater", access=Access.ANYONE)
async def come_back_later(call: Call, target: None, body: dict[str, Any]) -> dict[str, Any]:
    """Answer ServiceUnavailable until a time; clients try their retries on it (contract B.1)."""
    wait_until = body.get("waitUntil", 0)
    if not isinstance(wait_until, int):
        raise errors.InvalidInput('Expected key "waitUntil" of input to be an integer')
    if call.now_ms < wait_until:
        retry_after = 2 if body.get("setRetryAfter") else None
        raise errors.ServiceUnavailable("Come back later", {"retryAfter": retry_after})
    return {"currentTime": call.now_ms}


@method("/system/shortenURL", access=Access.LOGIN)
async def shorten_url(call: Call, target: None, body: dict[str, Any]) -> dict[str, Any]:
    """Return the URL as it is: there is no service here that would know shorter ones."""
    return {"url": keys.required_string(body, "url")}


@method("/notifications/get", access=Access.LOGIN)
async def get_notifications(call: Call, target: None, body: dict[str, Any]) -> dict[str, Any]:
    """Return no notifications: nothing sends any here."""
    return {"notifications": []}


@method("/notifications/markRead", access=Access.LOGIN)
async def mark_notifications_read(call: Call, target: None, body: dict[str, Any]) -> dict[str, Any]:
    """Do nothing, as there are no notifications."""
    return {}


@method("/system/getUserInfo", access=Access.LOGIN)
async def get_user_info(call: Call, target: None, body: dict[str, Any]) -> dict[str, Any]:
    """Return the caller's name as the client's login asks for it (contract J.3)."""
    return {"username": call.user.removeprefix("user-"), "id": call.user}
