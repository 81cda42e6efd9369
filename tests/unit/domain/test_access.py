"""Permission levels and what a token allows at most."""

from __future__ import annotations

import msgspec
import pytest

from plasmid.domain import errors
from plasmid.domain.access import ANONYMOUS, Actor, Level

HERE, THERE = "project-" + "B" * 24, "project-" + "F" * 24
WORKSPACE = "container-" + "B" * 24


def test_each_level_includes_those_below() -> None:
    assert sorted(Level) == [
        Level.NONE,
        Level.VIEW,
        Level.UPLOAD,
        Level.CONTRIBUTE,
        Level.ADMINISTER,
    ]


@pytest.mark.parametrize("level", list(Level))
def test_a_level_is_read_by_its_name(level: Level) -> None:
    assert Level.parse(level.name) is level


def test_null_is_no_level() -> None:
    assert Level.parse(None) is Level.NONE


@pytest.mark.parametrize("value", ["view", "", "OWNER", 1, True, ["VIEW"], {}, "__members__"])
def test_anything_else_is_refused_by_its_key(value: object) -> None:
    with pytest.raises(errors.InvalidInput, match=r'"access\.project".*NONE, VIEW, UPLOAD'):
        Level.parse(value, "access.project")


JOB = Actor(
    user="user-a",
    job="job-" + "B" * 24,
    containers={WORKSPACE: Level.CONTRIBUTE, HERE: Level.VIEW},
    elsewhere=Level.NONE,
)


@pytest.mark.parametrize(
    ("actor", "container", "level"),
    [
        (Actor(user="user-a"), HERE, Level.ADMINISTER),
        (Actor(user="user-a", scope={HERE: Level.VIEW}), HERE, Level.VIEW),
        (Actor(user="user-a", scope={HERE: Level.VIEW}), THERE, Level.NONE),
        (Actor(user="user-a", scope={"*": Level.UPLOAD}), THERE, Level.UPLOAD),
        (Actor(user="user-a", scope={"*": Level.UPLOAD, HERE: Level.VIEW}), HERE, Level.VIEW),
        (Actor(user="user-a", scope={}), HERE, Level.NONE),
        (JOB, WORKSPACE, Level.CONTRIBUTE),
        (JOB, HERE, Level.VIEW),
        (JOB, THERE, Level.NONE),
        (msgspec.structs.replace(JOB, elsewhere=Level.VIEW), THERE, Level.VIEW),
        (ANONYMOUS, HERE, Level.NONE),
    ],
)
def test_the_most_a_token_allows(actor: Actor, container: str, level: Level) -> None:
    assert actor.ceiling(container) is level


def test_an_actor_is_kept_as_json_and_read_back() -> None:
    for actor in (JOB, ANONYMOUS, Actor(worker="local"), Actor(user="u", scope={"*": Level.VIEW})):
        assert msgspec.json.decode(msgspec.json.encode(actor), type=Actor) == actor


def test_nobody_may_create_projects_without_a_token() -> None:
    assert not ANONYMOUS.may_create_projects
    assert ANONYMOUS.user is ANONYMOUS.job is ANONYMOUS.worker is None
