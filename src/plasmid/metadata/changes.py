"""Wait for a change: topics that a committed transaction named wake those who wait for them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator


class Subscription:
    """Remembers that one of its topics was named since it was last asked."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def wake(self) -> None:
        """Note a change."""
        self._event.set()

    async def wait(self, seconds: float) -> bool:
        """Return True at the next change (also a past one), False after the time."""
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return True


class Changes:
    """Topics of this process; PostgreSQL's LISTEN takes its place where servers are several."""

    def __init__(self) -> None:
        self._subscriptions: dict[str, set[Subscription]] = {}

    def publish(self, topic: str) -> None:
        """Wake the subscriptions of a topic."""
        for subscription in self._subscriptions.get(topic, ()):
            subscription.wake()

    def topics(self) -> list[str]:
        """Return the topics that somebody waits for."""
        return sorted(self._subscriptions)

    def wake_all(self) -> None:
        """Wake every subscription."""
        for topic in self.topics():
            self.publish(topic)

    @contextlib.contextmanager
    def subscribe(self, *topics: str) -> Iterator[Subscription]:
        """Give a subscription to topics for the length of a block."""
        subscription = Subscription()
        for topic in topics:
            self._subscriptions.setdefault(topic, set()).add(subscription)
        try:
            yield subscription
        finally:
            for topic in topics:
                members = self._subscriptions[topic]
                members.discard(subscription)
                if not members:
                    del self._subscriptions[topic]
