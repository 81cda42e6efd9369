"""Who calls too often is told to come back later: the jobs of one tree together, or a user."""

from __future__ import annotations

import asyncio
from typing import Final

from plasmid.domain import errors
from plasmid.domain.access import Actor
from plasmid.domain.rates import Buckets

PAUSE_SECONDS: Final = 0.25


class Rates:
    """The limits of a platform, in calls a second over ten seconds; 0: none.

    Workers are never refused. A refusal takes `pause_seconds`: who does not heed it would else
    take more of the server's time by being refused than by being answered.
    """

    def __init__(
        self, *, jobs: int = 0, users: int = 0, pause_seconds: float = PAUSE_SECONDS
    ) -> None:
        self._jobs, self._users = jobs, users
        self._of_trees, self._of_users = Buckets(jobs), Buckets(users)
        self._pause_seconds = pause_seconds

    async def admit(self, actor: Actor, now_ms: int) -> None:
        """Count a call; raises RateLimitConditional, which says when to try again (A.8)."""
        if actor.job is not None:
            seconds = self._of_trees.take(actor.tree or actor.job, now_ms)
        elif actor.user is not None:
            seconds = self._of_users.take(actor.user, now_ms)
        else:
            return
        if seconds:
            await asyncio.sleep(self._pause_seconds)
            raise errors.RateLimitConditional(
                f"{self._told(actor)} calls a second; try again in {seconds} s",
                {"retryAfter": seconds},
            )

    def _told(self, actor: Actor) -> str:
        if actor.job is None:
            return f"{actor.user} makes more than {self._users}"
        return f"The jobs of the tree of {actor.tree or actor.job} make more than {self._jobs}"
