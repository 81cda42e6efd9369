"""Who may log in to which of a worker's tries, as the platform has said it last."""

from __future__ import annotations

import asyncio
import collections
import secrets
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from plasmid.domain import assignments, ssh_access

# Who has connected and not shown a key yet, at all doors together.
STRANGERS_MAX: Final = 100


class Stranger(Protocol):
    """A connection whose owner has not shown a key yet."""

    @property
    def address(self) -> str:
        """From where it comes."""
        ...

    def turn_away(self) -> None:
        """End it at once."""
        ...


class Lobby:
    """Limits how many connections wait for their owner's key.

    One too many takes the place of another from where most of them come, any one of these: a flood
    keeps out nobody who comes from elsewhere, and who shares its address gets in by a few tries,
    however fast it is. Of IPv6, addresses of one network of 64 bits count as the same.
    """

    def __init__(
        self,
        strangers_max: int,
        *,
        choose: Callable[[Sequence[Stranger]], Stranger] = secrets.choice,
    ) -> None:
        self._strangers_max = strangers_max
        self._choose = choose
        self._strangers: dict[Stranger, str] = {}

    def enter(self, stranger: Stranger) -> None:
        """Let a connection wait."""
        if len(self._strangers) >= self._strangers_max:
            ((most, _),) = collections.Counter(self._strangers.values()).most_common(1)
            leaving = self._choose([one for one, at in self._strangers.items() if at == most])
            del self._strangers[leaving]
            leaving.turn_away()
        self._strangers[stranger] = ssh_access.source_of(stranger.address)

    def leave(self, stranger: Stranger) -> None:
        """Forget one that has logged in or ended; nothing happens if that is known."""
        self._strangers.pop(stranger, None)


class Grants:
    """The latest word of the platform; those who wait for changes see the last, not each."""

    def __init__(self) -> None:
        self.told: list[assignments.SshAccess] = []
        self.lobby = Lobby(STRANGERS_MAX)
        self._news = asyncio.Event()

    def put(self, told: Sequence[assignments.SshAccess]) -> None:
        """Take the platform's word: what it leaves out is granted no more."""
        self.told = list(told)
        news, self._news = self._news, asyncio.Event()
        news.set()

    def get(self, held: assignments.HeldTry) -> assignments.SshAccess | None:
        """Return who may log in to a try; None: nobody."""
        for access in self.told:
            if (access.job, access.attempt) == (held.job, held.attempt):
                return access
        return None

    async def changed(
        self, held: assignments.HeldTry, known: assignments.SshAccess | None
    ) -> assignments.SshAccess | None:
        """Return who may log in to a try, as soon as that is not what is known."""
        while (latest := self.get(held)) == known:
            await self._news.wait()
        return latest
