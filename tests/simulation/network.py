"""A network that loses, delays, repeats and reorders messages, and whose links can be cut."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from tests.simulation.timeline import Timeline

REQUEST, REPLY = "request", "reply"


class Weather(msgspec.Struct):
    """How likely a message is to be dropped, repeated, or to take very long."""

    drop: float = 0.0
    repeat: float = 0.0
    delay: float = 0.0
    delay_ms_max: int = 20_000


class Answer(msgspec.Struct):
    """What came back: a value, or the type of an error; `refused` if nobody listens."""

    value: Any = None
    error: str | None = None
    message: str = ""
    is_refused: bool = False


Reply = Callable[[Answer], None]


class Listener(Protocol):
    """The platform's side of the network."""

    def receive(self, route: str, body: bytes, token: str, reply: Reply) -> None:
        """Take a request; `reply` may be called once, later, or never."""
        ...


class Network:
    """Links between the platform and everybody else, by the name of the other end."""

    def __init__(self, timeline: Timeline, rng: random.Random, faults: Counter[str]) -> None:
        self.timeline = timeline
        self.weather = Weather()
        self.cut: set[tuple[str, str]] = set()
        self.messages = 0
        self.platform: Listener | None = None
        self._rng = rng
        self._faults = faults

    def ask(
        self,
        end: str,
        request: tuple[str, Any, str],
        then: Callable[[Answer | None], None],
        *,
        timeout_ms: int = 10_000,
    ) -> None:
        """Send (route, body, token) from an end; `then` gets the answer once, None after a time."""
        route, body, token = request
        content = msgspec.json.encode(body)
        pending = [then]

        def settle(answer: Answer | None) -> None:
            if pending:
                pending.pop()(answer)

        def reply(answer: Answer) -> None:
            self._carry(end, REPLY, settle, answer)

        def arrive() -> None:
            if self.platform is not None:
                self.platform.receive(route, content, token, reply)

        self._carry(end, REQUEST, arrive)
        self.timeline.after(timeout_ms, settle, None)

    def _carry(self, end: str, way: str, arrive: Callable[..., None], *given: Any) -> None:
        self.messages += 1
        rng, weather = self._rng, self.weather
        if (end, way) in self.cut:
            self._faults["cut"] += 1
            return
        luck = rng.random()
        if luck < weather.drop:
            self._faults["dropped"] += 1
            return
        copies = 1
        if luck > 1 - weather.repeat:
            self._faults["repeated"] += 1
            copies = 2
        for _ in range(copies):
            delay_ms = rng.randint(1, 12)
            if rng.random() < weather.delay:
                self._faults["delayed"] += 1
                delay_ms = rng.randint(100, weather.delay_ms_max)
            self.timeline.after(delay_ms, arrive, *given)
