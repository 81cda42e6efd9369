"""How many bytes have gone into one sandbox and out of it."""

from __future__ import annotations


class Traffic:
    """A sandbox's bytes, as its programs sent and received them, for as long as this object lives.

    All that leaves or enters through us counts, calls of the API included; lookups of names do not.
    """

    __slots__ = ("received_bytes", "sent_bytes")

    def __init__(self) -> None:
        self.received_bytes = 0
        self.sent_bytes = 0

    def receive(self, count: int) -> None:
        """Count bytes that go into the sandbox."""
        self.received_bytes += count

    def send(self, count: int) -> None:
        """Count bytes that come out of it."""
        self.sent_bytes += count
