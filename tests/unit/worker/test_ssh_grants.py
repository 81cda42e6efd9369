"""What the worker knows of who may log in, and how many strangers wait at its doors."""

from __future__ import annotations

import asyncio

import pytest

from plasmid.domain.assignments import HeldTry, SshAccess
from plasmid.worker import ssh_grants

HELD = HeldTry("job-1", 0)


def access(*addresses: str, job: str = "job-1", attempt: int = 0) -> SshAccess:
    return SshAccess(job, attempt, "ssh-ed25519 AAAA", addresses)


async def test_who_waits_sees_the_latest_word_only() -> None:
    grants = ssh_grants.Grants()
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
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
    def __init__(self, address: str = "192.0.2.1") -> None:
        self.address = address
        self.is_away = False

    def turn_away(self) -> None:
        self.is_away = True


def test_a_stranger_too_many_takes_the_place_of_any_other() -> None:
    chosen: list[int] = [1, 0]
    lobby = ssh_grants.Lobby(2, choose=lambda waiting: waiting[chosen.pop()])
    first, second, third, fourth = (Stranger() for _ in range(4))
    lobby.enter(first)
    lobby.enter(second)
    lobby.leave(first)  # has shown a key
    lobby.enter(third)
    assert not any(each.is_away for each in (first, second, third))
    lobby.enter(fourth)
    assert [each.is_away for each in (first, second, third, fourth)] == [False, True, False, False]
    lobby.leave(second)
    lobby.enter(Stranger())
    assert (third.is_away, fourth.is_away) == (False, True)


@pytest.mark.parametrize("flood", [["192.0.2.1"], [f"2001:db8::{each}" for each in range(1, 99)]])
def test_a_flood_turns_away_nobody_from_elsewhere(flood: list[str]) -> None:
    lobby = ssh_grants.Lobby(20)
    owner = Stranger("198.51.100.7")
    lobby.enter(owner)
    for each in range(2_000):
        lobby.enter(Stranger(flood[each % len(flood)]))
    assert not owner.is_away


def test_in_a_flood_from_the_same_address_the_oldest_is_not_the_next_to_go() -> None:
    stayed = 0
    for _ in range(100):
        lobby = ssh_grants.Lobby(20)
        owner = Stranger()
        lobby.enter(owner)
        for _ in range(40):
            lobby.enter(Stranger())
        stayed += not owner.is_away
    assert stayed > 0  # each has 34 of 100
