"""Buckets: a burst passes, what goes on is held to the rate, and nobody pays for others."""

from __future__ import annotations

import pytest

from plasmid.domain import rates
from plasmid.domain.rates import BURST_SECONDS, Buckets


def calls(buckets: Buckets, caller: str, now_ms: int, count: int) -> int:
    """Return how many of so many calls at one time pass."""
    return sum(not buckets.take(caller, now_ms) for _ in range(count))


def test_a_burst_passes_and_then_the_rate_holds() -> None:
    buckets = Buckets(20)
    assert calls(buckets, "a", 0, 1000) == 20 * BURST_SECONDS
    assert calls(buckets, "a", 1000, 1000) == 20
    assert calls(buckets, "a", 1500, 1000) == 10
    assert calls(buckets, "a", 3_600_000, 1000) == 20 * BURST_SECONDS


def test_one_caller_takes_nothing_from_another() -> None:
    buckets = Buckets(1)
    assert calls(buckets, "a", 0, 1000) == calls(buckets, "b", 0, 1000) == BURST_SECONDS


@pytest.mark.parametrize(("rate", "seconds"), [(200, 1), (1, 1), (2, 1)])
def test_a_refusal_says_when_to_come_back(rate: int, seconds: int) -> None:
    buckets = Buckets(rate)
    calls(buckets, "a", 0, rate * BURST_SECONDS)
    assert buckets.take("a", 0) == seconds
    assert buckets.take("a", 999) == (0 if rate > 1 else 1)
    assert buckets.take("a", 1000 * seconds) == 0


def test_being_refused_costs_nothing() -> None:
    buckets = Buckets(1)
    calls(buckets, "a", 0, 500)
    assert [bool(buckets.take("a", now_ms)) for now_ms in (300, 600, 900, 1200)] == [1, 1, 1, 0]


def test_a_clock_that_goes_back_gives_and_takes_nothing() -> None:
    buckets = Buckets(1)
    calls(buckets, "a", 10_000, 5)
    assert calls(buckets, "a", 0, 100) == BURST_SECONDS - 5


def test_without_a_rate_everything_passes() -> None:
    assert calls(Buckets(0), "a", 0, 10_000) == 10_000


def test_who_has_not_called_lately_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "BUCKETS_MAX", 10)
    buckets = Buckets(1)
    for number in range(100):
        buckets.take(f"{number}", number * 2000)
    assert len(buckets._left) <= 11
