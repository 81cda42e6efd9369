"""Wait for a change: topics that a committed transaction named wake those who wait for them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator


class Subscription:
    """Remembers which of its topics were named since it was last asked."""

    def __init__(self) -> None:
        self.topics: set[str] = set()
        self._event = asyncio.Event()
        # a set that keeps the order
        self._named: dict[str, None] = {}

    def wake(self, topic: str) -> None:
        """Note a change."""
        self._named[topic] = None
        self._event.set()

    def take_named(self) -> list[str]:
        """Return the topics that were named since this was last called, first named first."""
        named = list(self._named)
        self._named.clear()
        return named

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
            subscription.wake(topic)

    def topics(self) -> list[str]:
        """Return the topics that somebody waits for."""
        return sorted(self._subscriptions)

    def wake_all(self) -> None:
        """Wake every subscription."""
        for topic in self.topics():
            self.publish(topic)

    def follow(self, subscription: Subscription, topic: str) -> None:
        """Let a subscription that has not ended follow one more topic."""
        subscription.topics.add(topic)
        self._subscriptions.setdefault(topic, set()).add(subscription)

    def leave(self, subscription: Subscription, topic: str) -> None:
        """Let a subscription follow a topic no longer; one that it did not follow is fine."""
        if topic not in subscription.topics:
            return
        subscription.topics.remove(topic)
        members = self._subscriptions[topic]
        members.discard(subscription)
        if not members:
            del self._subscriptions[topic]

    @contextlib.contextmanager
    def subscribe(self, *topics: str) -> Iterator[Subscription]:
        """Give a subscription to topics for the length of a block."""
        subscription = Subscription()
        for topic in topics:
            self.follow(subscription, topic)
        try:
            yield subscription
        finally:
            for topic in list(subscription.topics):
                self.leave(subscription, topic)
