"""A client whose reply is cut off makes its call again with the same nonce: one effect, one id."""

from __future__ import annotations

import json
import random
import select
import socket
import statistics
import time
from typing import Any, Final

import msgspec

from tests.faults import ground, processes

MEASURE_EVERY: Final = 50
CALLS_MEASURED: Final = 9


class Retried(msgspec.Struct):
    """What cut calls have made: how far each had come when its client was gone.

    Of those `whole` were sent to the end, of which the client of `unanswered` was gone before there
    was an answer; `landed` had taken effect before they were made again.
    """

    calls: int = 0
    whole: int = 0
    unanswered: int = 0
    landed: int = 0
    troubles: list[str] = msgspec.field(default_factory=list)


def creates(place: ground.Ground, count: int, *, seed: int) -> Retried:
    """Create records, each by a call that is cut after a random moment and then repeated.

    The moment is up to twice as long after the call as an answer takes here and now.
    """
    rng = random.Random(seed)
    project = place.call("/project/new", {"name": "retries"})["id"]
    aside = place.call("/project/new", {"name": "how long a call takes"})["id"]
    result = Retried(calls=count)
    made: list[str] = []
    cut_seconds_max = 0.0
    for number in range(count):
        if number % MEASURE_EVERY == 0:
            cut_seconds_max = 2 * _seconds_of_call(place, aside)
        body = {"project": project, "name": f"record {number}", "nonce": place.new_nonce()}
        share, seconds = rng.choice((0.5, 1.0, 1.0)), rng.uniform(0, cut_seconds_max)
        is_answered = _call_and_hang_up(place, body, share=share, seconds=seconds)
        landed = _count(place, project, f"record {number}")
        result.landed += landed
        if share == 1.0:
            result.whole += 1
            result.unanswered += not is_answered
        elif landed:
            result.troubles.append(f"half of the call {body['nonce']} has had an effect")
        made.append(place.call("/record/new", body)["id"])
        if place.call("/record/new", body)["id"] != made[-1]:
            result.troubles.append(f"{body['nonce']} gave two ids")
        if number % MEASURE_EVERY == 0:
            result.troubles += _refuses_another(place, body)
    found = _count(place, project)
    if found != count or len(set(made)) != count:
        result.troubles.append(f"{count} calls, {len(set(made))} ids, {found} records")
    return result


def _seconds_of_call(place: ground.Ground, project: str) -> float:
    """Return how long a call that writes usually takes on this machine."""
    took = []
    for _ in range(CALLS_MEASURED):
        begun = time.monotonic()
        place.call("/record/new", {"project": project, "nonce": place.new_nonce()})
        took.append(time.monotonic() - begun)
    return statistics.median(took)


def _call_and_hang_up(
    place: ground.Ground, body: dict[str, Any], *, share: float, seconds: float
) -> bool:
    """Send a share of a call, wait a moment, and be gone; say whether an answer had come."""
    content = json.dumps(body).encode()
    head = (
        f"POST /record/new HTTP/1.1\r\nHost: p\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {place.keys['user_token']}\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", place.port)) as client:
        client.sendall(head.encode() + content[: int(len(content) * share)])
        processes.pause(seconds)
        return bool(select.select([client], [], [], 0)[0])


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
