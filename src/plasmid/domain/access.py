"""Permission levels, what each allows, and who is calling (contract 0.3, I.9).

A job never sees or changes more than what launched it does: `Actor.grant` says what a caller can
hand on, it is kept with the job, and becomes the scope of the job's own token. So it holds along
any chain of jobs, and for what a narrowed token of a user has launched.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, Final

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


Scope = dict[str, Level]
"""The most on each container that is named, and by "*" on any other; NONE if that is missing."""

EVERY: Final = "*"


def level_in(scope: Scope, container_id: str) -> Level:
    """Return the most that a scope leaves in a container."""
    return scope.get(container_id, scope.get(EVERY, Level.NONE))


def narrowed(one: Scope | None, other: Scope | None) -> Scope | None:
    """Return the scope of what both allow; None allows everything."""
    if one is None or other is None:
        return other if one is None else one
    return {name: min(level_in(one, name), level_in(other, name)) for name in {*one, *other, EVERY}}


def asked(given: Mapping[str, Any], project: str) -> Scope:
    """Return what an executable's `access` asks for in its project and in all others (E.3)."""
    every = Level.parse(given.get("allProjects"), "access.allProjects")
    own = Level.parse(given.get("project"), "access.project")
    return {project: max(own, every), EVERY: every}


def kept_scope(kept: Mapping[str, str] | None) -> Scope | None:
    """Return a scope from the names of its levels, as it is kept with a job."""
    return None if kept is None else {name: Level[level] for name, level in kept.items()}


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """The most that a caller can hand on to what it launches."""

    scope: Scope | None = None
    may_create_projects: bool = True
    may_develop: bool = True


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """Who is calling, and the most that their token lets them do.

    `job` and `attempt` are set for the token of a job's try, and `tree` is its root execution;
    `containers` are then the levels on the containers it was given, `elsewhere` the most it has on
    any other. `scope` narrows any token, but not on the containers that belong to a job itself.
    `context_hash` is that of the secret with which calls come out of the job's own sandbox, for a
    token that is good there only. `is_operator` is for the token that only the owner of the data
    folder can read. `token_hash` and `expires_ms` are those of the token that was shown.
    """

    user: str | None = None
    job: str | None = None
    attempt: int = 0
    tree: str | None = None
    worker: str | None = None
    containers: Scope = msgspec.field(default_factory=dict)
    elsewhere: Level = Level.ADMINISTER
    scope: Scope | None = None
    may_create_projects: bool = True
    may_develop: bool = True
    context_hash: str = ""
    is_operator: bool = False
    token_hash: str = ""
    expires_ms: int | None = None

    def ceiling(self, container_id: str) -> Level:
        """Return the most this token may do in a container, whatever its user may."""
        own = Level.ADMINISTER
        if self.job is not None:
            own = self.containers.get(container_id, self.elsewhere)
        return own if self.scope is None else min(own, level_in(self.scope, container_id))

    @property
    def grant(self) -> Grant:
        """What it can hand on."""
        own = None
        if self.job is not None:
            projects = {n: lv for n, lv in self.containers.items() if n.startswith("project-")}
            own = {**projects, EVERY: self.elsewhere}
        return Grant(
            scope=narrowed(own, self.scope),
            may_create_projects=self.may_create_projects,
            may_develop=self.may_develop,
        )


ANONYMOUS = Actor(elsewhere=Level.NONE, scope={}, may_create_projects=False, may_develop=False)
