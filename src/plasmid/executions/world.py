"""What the logic of executions is given: a transaction, the time and randomness, never taken."""

from __future__ import annotations

from collections.abc import Callable

from plasmid.auth.tokens import Authenticator
from plasmid.domain import ids
from plasmid.metadata.database import Transaction


class Moment:
    """One transaction at one time: every change of executions happens in one.

    `to_wake` names jobs that ended and objects that closed; `waking` looks at who waits for them.
    """

    def __init__(
        self,
        tx: Transaction,
        *,
        now_ms: int,
        randomness: Callable[[int], bytes],
        authenticator: Authenticator,
    ) -> None:
        self.tx = tx
        self.now_ms = now_ms
        self.randomness = randomness
        self.authenticator = authenticator
        self.to_wake: list[str] = []

    def mint(self, class_name: str) -> str:
        """Return a new id."""
        return ids.mint(class_name, self.randomness(15))
