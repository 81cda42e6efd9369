"""Tries run out, come back with time, and are remembered of so many only."""

from __future__ import annotations

from plasmid.domain import login_tries
from plasmid.domain.login_tries import Tries


def test_tries_run_out_and_come_back_one_by_one() -> None:
    tries = Tries(3, 2000)
    for _ in range(3):
        assert tries.wait_seconds("a", 0) == 0
        tries.take("a", 0)
    assert [tries.wait_seconds("a", at) for at in (0, 500, 1999, 2000)] == [2, 2, 1, 0]
    assert tries.wait_seconds("b", 0) == 0
    tries.take("a", 2000)
    assert tries.wait_seconds("a", 2000) == 2
    assert tries.wait_seconds("a", 1_000_000) == 0


def test_what_is_given_back_was_never_taken_and_no_more() -> None:
    tries = Tries(1, 1000)
    tries.take("a", 0)
    tries.give_back("a")
    tries.give_back("a")
    tries.take("a", 0)
    assert tries.wait_seconds("a", 0) == 1


def test_a_try_that_there_is_not_makes_nobody_wait_longer() -> None:
    tries = Tries(1, 1000)
    for _ in range(50):
        tries.take("a", 0)
    assert tries.wait_seconds("a", 0) == 1


def test_a_clock_that_goes_back_gives_nothing_and_takes_nothing() -> None:
    tries = Tries(2, 1000)
    tries.take("a", 5000)
    assert tries.wait_seconds("a", 0) == 0
    tries.take("a", 0)
    assert tries.wait_seconds("a", 0) == 1


def test_a_clock_that_goes_back_shuts_nobody_out_until_it_has_caught_up() -> None:
    tries = Tries(1, 1000)
    tries.take("a", 1_000_000)
    assert tries.wait_seconds("a", 0) == 1
    assert tries.wait_seconds("a", 1000) == 0


def test_only_so_many_are_remembered_and_the_latest_are() -> None:
    tries = Tries(1, 1000)
    tries.take("first", 0)
    for number in range(login_tries.REMEMBERED_MAX + 5):
        tries.take(f"n{number}", 0)
    assert len(tries) == login_tries.REMEMBERED_MAX
    assert tries.wait_seconds("first", 0) == 0
    assert tries.wait_seconds(f"n{login_tries.REMEMBERED_MAX + 4}", 0) == 1
