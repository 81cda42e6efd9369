"""Whoever waits for a topic is woken by it, also by a change that came before the wait."""

from __future__ import annotations

from plasmid.metadata.changes import Changes


async def test_a_change_wakes_who_waits_for_its_topic() -> None:
    changes = Changes()
    with changes.subscribe("job-1", "jobs") as news:
        changes.publish("jobs")
        assert await news.wait(60)


async def test_a_change_of_another_topic_wakes_nobody() -> None:
    changes = Changes()
    with changes.subscribe("job-1") as news:
        changes.publish("job-2")
        assert not await news.wait(0.001)


async def test_one_change_wakes_once() -> None:
    changes = Changes()
    with changes.subscribe("job-1") as news:
        changes.publish("job-1")
        changes.publish("job-1")
        assert await news.wait(60)
        assert not await news.wait(0.001)


async def test_all_are_woken_when_the_server_stops() -> None:
    changes = Changes()
    with changes.subscribe("a") as first, changes.subscribe("b") as second:
        changes.wake_all()
        assert await first.wait(60)
        assert await second.wait(60)


async def test_nothing_is_kept_of_a_subscription_that_has_ended() -> None:
    changes = Changes()
    with changes.subscribe("a"), changes.subscribe("a"):
        pass
    assert changes.topics() == []


async def test_who_is_woken_is_told_by_which_topics_in_order_and_once() -> None:
    changes = Changes()
    with changes.subscribe("a") as news:
        for topic in ("b", "c"):
            changes.follow(news, topic)
        for topic in ("c", "a", "c", "d"):
            changes.publish(topic)
        assert news.take_named() == ["c", "a"]
        changes.leave(news, "c")
        changes.leave(news, "c")
        changes.publish("c")
        assert news.take_named() == []
        assert changes.topics() == ["a", "b"]
    assert changes.topics() == []
