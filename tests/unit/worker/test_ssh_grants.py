"""What the worker knows of who may log in, and how many strangers wait at its doors."""

from __future__ import annotations

import asyncio

from plasmid.domain.assignments import HeldTry, SshAccess
from plasmid.worker import ssh_grants

HELD = HeldTry("job-1", 0)


def access(*addresses: str, job: str = "job-1", attempt: int = 0) -> SshAccess:
    return SshAccess(job, attempt, "ssh-ed25519 AAAA", addresses)


async def test_who_waits_sees_the_latest_word_only() -> None:
    grants = ssh_grants.Grants()
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        waiting = group.create_task(grants.changed(HELD, None))
        other = group.create_task(grants.changed(HeldTry("job-2", 0), None))
        grants.put([access("a", job="job-2"), access("b", attempt=1)])
        assert await other == access("a", job="job-2")
        assert not waiting.done()
        grants.put([access("a")])
        grants.put([access("b")])
        assert await waiting == access("b")
        waiting = group.create_task(grants.changed(HELD, access("b")))
        grants.put([])
        assert await waiting is None


async def test_what_is_left_out_is_granted_no_more() -> None:
    grants = ssh_grants.Grants()
    grants.put([access("a"), access("b", job="job-2")])
    grants.put([access("b", job="job-2")])
    assert grants.get(HELD) is None
    assert grants.get(HeldTry("job-2", 0)) == access("b", job="job-2")
    assert grants.told == [access("b", job="job-2")]


class Stranger:
    def __init__(self) -> None:
        self.is_away = False

    def turn_away(self) -> None:
        self.is_away = True


def test_the_oldest_stranger_makes_room_for_the_newest() -> None:
    lobby = ssh_grants.Lobby(2)
    first, second, third, fourth = (Stranger() for _ in range(4))
    lobby.enter(first)
    lobby.enter(second)
    lobby.leave(first)  # has shown a key
    lobby.enter(third)
    assert not any(each.is_away for each in (first, second, third))
    lobby.enter(fourth)
    assert [each.is_away for each in (first, second, third, fourth)] == [False, True, False, False]
    lobby.leave(second)
