"""Failed logins are slowed down by address and by account, and nobody is shut out by others."""

from __future__ import annotations

import pytest

from plasmid.auth import logins
from plasmid.auth.logins import Logins
from plasmid.domain import errors, login_tries

PER_MINUTE = 6


def failures(found: Logins, address: str, account: str, count: int, now_ms: int = 0) -> int:
    """Let logins fail; return how many were looked at."""
    done = 0
    for _ in range(count):
        try:
            found.begin(address, account, now_ms)
        except errors.RateLimitConditional:
            continue
        done += 1
    return done


def test_an_address_has_so_many_failures_whatever_accounts_it_names() -> None:
    found = Logins(PER_MINUTE)
    assert sum(failures(found, "192.0.2.1", f"user-{n}", 1) for n in range(50)) == PER_MINUTE
    assert failures(found, "192.0.2.2", "user-1", 1) == 1
    assert failures(found, "192.0.2.1", "user-1", 50, 60_000) == PER_MINUTE


def test_an_account_has_so_many_failures_whatever_addresses_they_come_from() -> None:
    """But the first try of each address: who has never failed is not made to wait for others."""
    found = Logins(PER_MINUTE)
    addresses = [f"192.0.2.{n}" for n in range(40)]
    assert sum(failures(found, address, "user-a", 1) for address in addresses) == 40
    assert sum(failures(found, address, "user-a", 5) for address in addresses) == 0
    assert sum(failures(found, address, "user-a", 5, 10_000) for address in addresses) == 1
    assert failures(found, "192.0.2.1", "user-b", 1) == 1


def test_who_has_logged_in_from_somewhere_does_so_again_beside_an_attack() -> None:
    found = Logins(PER_MINUTE)
    found.succeeded(found.begin("192.0.2.1", "user-a", 0))
    for n in range(2, 60):
        failures(found, f"192.0.2.{n}", "user-a", 9)
    failures(found, "192.0.2.1", "user-b", 50)
    assert failures(found, "192.0.2.1", "user-b", 1) == 0
    for _ in range(50):
        found.succeeded(found.begin("192.0.2.1", "user-a", 0))
    assert failures(found, "192.0.2.1", "user-a", 50) == PER_MINUTE  # it is no way to guess either


def test_logins_that_are_right_cost_nothing() -> None:
    found = Logins(PER_MINUTE)
    for n in range(100):
        found.succeeded(found.begin("192.0.2.1", f"user-{n}", 0))
    assert failures(found, "192.0.2.1", "user-x", 50) == PER_MINUTE


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("", "", True),
    ],
)
def test_an_address_is_its_network(one: str, other: str, same: bool) -> None:
    found = Logins(PER_MINUTE)
    assert failures(found, one, "user-a", 50) == PER_MINUTE
    assert failures(found, other, "user-b", 1) == (0 if same else 1)


def test_a_refusal_says_when_there_is_a_try_again() -> None:
    found = Logins(PER_MINUTE)
    failures(found, "192.0.2.1", "user-a", PER_MINUTE)
    with pytest.raises(errors.RateLimitConditional) as refused:
        found.begin("192.0.2.1", "user-a", 1)
    assert refused.value.details == {"retryAfter": 10}
    found.begin("192.0.2.1", "user-a", 10_001)


def test_a_limit_of_none_is_none() -> None:
    assert failures(Logins(0), "192.0.2.1", "user-a", 1000) == 1000


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (logins, login_tries):
        monkeypatch.setattr(module, "REMEMBERED_MAX", 100)
    found = Logins(PER_MINUTE)
    for n in range(500):
        failures(found, f"10.0.{n % 250}.{n // 250}", f"user-{n}", 1)
    sizes = [len(found._pairs), len(found._of_accounts), len(found._of_addresses)]
    assert sizes == [100, 100, 100]


def test_long_names_are_not_remembered_whole() -> None:
    """They are what somebody without a token sends, up to the longest body of a call."""
    found = Logins(PER_MINUTE)
    for n in range(PER_MINUTE):
        failures(found, "192.0.2.1", f"user-{n}" * 100_000, 1)
    kept = [*found._pairs, *found._of_accounts._left]
    assert len(kept) == 2 * PER_MINUTE
    assert max(map(len, kept)) < 1000
