"""Permission levels, what each allows, and who is calling (contract 0.3, I.9)."""

from __future__ import annotations

from enum import IntEnum

import msgspec

from plasmid.domain import errors


class Level(IntEnum):
    """A permission level on a container; each includes those below."""

    NONE = 0
    VIEW = 1
    UPLOAD = 2
    CONTRIBUTE = 3
    ADMINISTER = 4

    @classmethod
    def parse(cls, value: object, key: str = "level") -> Level:
        """Return the level a name stands for; null is NONE; raises InvalidInput naming the key."""
        if value is None:
            return cls.NONE
        if isinstance(value, str) and value in cls.__members__:
            return cls[value]
        names = ", ".join(cls.__members__)
        raise errors.InvalidInput(f'Expected key "{key}" of input to be one of {names}')


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """Who is calling, and the most that their token lets them do.

    `job` and `attempt` are set for the token of a job's try; `containers` are then the levels on
    the containers it was given, `elsewhere` the most it has on any other. `scope` narrows a
    user's token. `is_operator` is for the token that only the owner of the data folder can read.
    """

    user: str | None = None
    job: str | None = None
    attempt: int = 0
    worker: str | None = None
    containers: dict[str, Level] = msgspec.field(default_factory=dict)
    elsewhere: Level = Level.ADMINISTER
    scope: dict[str, Level] | None = None
    may_create_projects: bool = True
    is_operator: bool = False
    token_hash: str = ""

    def ceiling(self, container_id: str) -> Level:
        """Return the most this token may do in a container, whatever its user may."""
        if self.scope is not None:
            return self.scope.get(container_id, self.scope.get("*", Level.NONE))
        if self.job is not None:
            return self.containers.get(container_id, self.elsewhere)
        return Level.ADMINISTER


ANONYMOUS = Actor(elsewhere=Level.NONE, scope={}, may_create_projects=False)
