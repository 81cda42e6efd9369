"""A client whose reply is cut off makes its call again with the same nonce: one effect, one id."""

from __future__ import annotations

import json
import random
import socket
from typing import Any, Final

import msgspec

from tests.faults import ground, processes

CUT_SECONDS_MAX: Final = 0.006


class Retried(msgspec.Struct):
    """What cut calls have made; `landed` of them had taken effect before they were repeated."""

    calls: int = 0
    landed: int = 0
    troubles: list[str] = msgspec.field(default_factory=list)


def creates(place: ground.Ground, count: int, *, seed: int) -> Retried:
    """Create records, each by a call that is cut after a random moment and then repeated."""
    rng = random.Random(seed)
    project = place.call("/project/new", {"name": "retries"})["id"]
    result = Retried(calls=count)
    made: list[str] = []
    for number in range(count):
        body = {"project": project, "name": f"record {number}", "nonce": place.new_nonce()}
        _call_and_hang_up(
            place, body, share=rng.choice((0.5, 1.0, 1.0)), seconds=rng.uniform(0, CUT_SECONDS_MAX)
        )
        result.landed += _count(place, project, f"record {number}")
        made.append(place.call("/record/new", body)["id"])
        if place.call("/record/new", body)["id"] != made[-1]:
            result.troubles.append(f"{body['nonce']} gave two ids")
        if number % 50 == 0:
            result.troubles += _refuses_another(place, body)
    found = _count(place, project)
    if found != count or len(set(made)) != count:
        result.troubles.append(f"{count} calls, {len(set(made))} ids, {found} records")
    return result


def _call_and_hang_up(
    place: ground.Ground, body: dict[str, Any], *, share: float, seconds: float
) -> None:
    """Send a share of a call, wait a moment, and be gone."""
    content = json.dumps(body).encode()
    head = (
        f"POST /record/new HTTP/1.1\r\nHost: p\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {place.keys['user_token']}\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", place.port)) as client:
        client.sendall(head.encode() + content[: int(len(content) * share)])
        processes.pause(seconds)


def _count(place: ground.Ground, project: str, name: str | None = None) -> int:
    body: dict[str, Any] = {"scope": {"project": project, "folder": "/"}, "limit": 1000}
    if name is not None:
        body["name"] = name
    count = 0
    while True:
        page = place.call("/system/findDataObjects", body)
        count += len(page["results"])
        if not page.get("next"):
            return count
        body["starting"] = page["next"]


def _refuses_another(place: ground.Ground, body: dict[str, Any]) -> list[str]:
    try:
        place.call("/record/new", body | {"name": "another"})
    except ground.RefusedError as error:
        return [] if error.type == "InvalidInput" else [str(error)]
    return [f"{body['nonce']} was taken for another input"]
