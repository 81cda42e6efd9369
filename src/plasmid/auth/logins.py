"""Who fails to log in again and again is told to come back later, by address and by account.

A login that is right costs nothing. Nobody is shut out by what others do to their account: the
first try from an address is never refused for the account's sake, and an address from which an
account has logged in counts for itself.
"""

from __future__ import annotations

import ipaddress
from typing import Final

from plasmid.domain import errors
from plasmid.domain.login_tries import REMEMBERED_MAX, Tries

PER_MINUTE: Final = 20
_V6_PREFIX: Final = 64
# Names are given by who fails to log in, and remembered; no account has one as long as this.
_NAME_CHARS: Final = 256
_MINUTE_MS: Final = 60_000


class Try:
    """One login that goes on, and where it was counted."""

    def __init__(self, pair: str, counted: list[tuple[Tries, str]]) -> None:
        self.pair = pair
        self.counted = counted


class Logins:
    """The failed logins of a platform: at most so many a minute, from an address or of an account.

    0 is for no limit.
    """

    def __init__(self, per_minute: int = PER_MINUTE) -> None:
        self._per_minute = per_minute
        rate = max(1, per_minute)
        self._of_addresses, self._of_accounts, self._of_pairs = (
            Tries(rate, _MINUTE_MS / rate) for _ in range(3)
        )
        # by address and account: whether the last login was right; the oldest first
        self._pairs: dict[str, bool] = {}

    def begin(self, address: str, account: str, now_ms: int) -> Try:
        """Count a login as failed until it is said to be right.

        Raises RateLimitConditional, which says when to try again (contract A.8).
        """
        place, account = _network_of(address), account[:_NAME_CHARS]
        pair = f"{place} {account}"
        was_right = self._pairs.get(pair)
        if not self._per_minute:
            return Try(pair, [])
        if was_right:
            needed = [(self._of_pairs, pair)]
        else:
            needed = [(self._of_addresses, place)]
            if was_right is not None:
                needed.append((self._of_accounts, account))
        seconds = max(tries.wait_seconds(who, now_ms) for tries, who in needed)
        if seconds:
            raise errors.RateLimitConditional(
                f"Too many logins have failed from this address or to this account; try again in"
                f" {seconds} s",
                {"retryAfter": seconds},
            )
        if was_right is None:
            needed.append((self._of_accounts, account))
        for tries, who in needed:
            tries.take(who, now_ms)
        self._remember(pair, is_right=bool(was_right))
        return Try(pair, needed)

    def succeeded(self, login: Try) -> None:
        """Take back what was counted: the login was right."""
        for tries, who in login.counted:
            tries.give_back(who)
        self._remember(login.pair, is_right=True)

    def _remember(self, pair: str, *, is_right: bool) -> None:
        self._pairs.pop(pair, None)
        if len(self._pairs) >= REMEMBERED_MAX:
            del self._pairs[next(iter(self._pairs))]
        self._pairs[pair] = is_right


def _network_of(address: str) -> str:
    """Return what stands for an address: with IPv6 a household has 2**64 of them."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((int(found), _V6_PREFIX), strict=False))
