"""The workers of this machine."""

from __future__ import annotations

from plasmid.backends.backend import Backend
from plasmid.backends.local import LEASE_MS, LocalBackend


def test_a_worker_is_known_from_its_calls_and_only_for_a_while() -> None:
    backend: Backend = LocalBackend()
    assert backend.workers(0) == []
    assert backend.last_seen_ms("a") is None
    backend.seen("a", 1000)
    backend.seen("b", 2000)
    assert backend.workers(1000 + LEASE_MS - 1) == ["a", "b"]
    assert backend.workers(1000 + LEASE_MS) == ["b"]
    assert backend.last_seen_ms("a") == 1000
    backend.seen("a", 5000)
    assert backend.last_seen_ms("a") == 5000
    assert backend.workers(5000 + LEASE_MS - 1) == ["a"]
