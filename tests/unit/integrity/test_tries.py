"""I2, I7 and I9: a try too many, too few, with an output or a token, is found."""

from __future__ import annotations

from tests.unit.integrity.conftest import Damaged
from tests.worlds import World


async def restarted(world: World) -> str:
    """Return a job in its second try."""
    job = await world.a_job(
        await world.an_applet(
            await world.a_project(),
            runSpec={"executionPolicy": {"restartOn": {"ExecutionError": 2}}},
        )
    )
    await world.lease(job)
    await world.report(job, failure_reason="ExecutionError", failure_message="broke")
    await world.lease(job)
    assert (await world.job_row(job)).attempt == 1
    return job


async def test_a_restarted_job_is_sound(damaged: Damaged) -> None:
    await restarted(damaged.world)
    assert await damaged.find() == []


async def test_a_try_that_was_not_kept_is_found(damaged: Damaged) -> None:
    job = await restarted(damaged.world)
    await damaged.falsify("DELETE FROM tries")
    assert ("I2", job) in await damaged.found()
    assert "nothing is kept of its try 0" in await damaged.details()


async def test_a_try_too_many_is_found(damaged: Damaged) -> None:
    job = await restarted(damaged.world)
    await damaged.falsify(f"INSERT INTO tries SELECT job, 5, row FROM tries WHERE job = '{job}'")
    assert "its try 5 is kept" in await damaged.details()


async def test_a_try_that_was_done_and_went_on_is_found(damaged: Damaged) -> None:
    job = await restarted(damaged.world)
    await damaged.falsify("UPDATE tries SET row = replace(row, '\"restarted\"', '\"done\"')")
    assert ("I2", job) in await damaged.found()
    assert "ended as done" in await damaged.details()


async def test_a_given_up_try_with_an_output_is_found(damaged: Damaged) -> None:
    job = await restarted(damaged.world)
    await damaged.falsify("UPDATE tries SET row = replace(row, '\"output\":null', '\"output\":{}')")
    assert await damaged.found() == [("I2", job)]


async def test_a_running_job_with_the_output_of_another_try_is_found(damaged: Damaged) -> None:
    job = await restarted(damaged.world)
    await damaged.falsify("UPDATE jobs SET output = '{}'")
    assert await damaged.found() == [("I2", job)]


async def test_failures_that_were_miscounted_are_found_and_counted_again(damaged: Damaged) -> None:
    job = await restarted(damaged.world)
    await damaged.falsify("UPDATE jobs SET failure_counts = '{\"ExecutionError\":3}'")
    assert await damaged.found() == [("I7", job)]
    assert await damaged.repair() == 0
    assert (await damaged.world.job_row(job)).failure_counts == {"ExecutionError": 1}


async def test_the_token_of_an_ended_job_is_found_and_revoked(damaged: Damaged) -> None:
    job = await restarted(damaged.world)
    await damaged.falsify("CREATE TABLE kept AS SELECT * FROM tokens")
    await damaged.world.finish(job)
    await damaged.falsify(f"INSERT INTO tokens SELECT * FROM kept WHERE job = '{job}'")
    assert await damaged.found() == [("I9", job)]
    assert await damaged.repair() == 0


async def test_the_token_of_an_earlier_try_is_found(damaged: Damaged) -> None:
    job = await restarted(damaged.world)
    await damaged.falsify(
        f"UPDATE tokens SET actor = replace(actor, '\"attempt\":1', '\"attempt\":0')"
        f" WHERE job = '{job}'"
    )
    assert await damaged.found() == [("I9", job)]


async def test_two_tokens_of_one_try_are_found(damaged: Damaged) -> None:
    job = await restarted(damaged.world)
    columns = "user, actor, job, label, created_ms, expires_ms"
    await damaged.falsify(
        f"INSERT INTO tokens (hash, {columns}) SELECT 'x', {columns} FROM tokens"
        f" WHERE job = '{job}'"
    )
    assert await damaged.found() == [("I2", job)]


async def test_tries_of_a_job_that_is_gone_are_found_and_go(damaged: Damaged) -> None:
    job = await restarted(damaged.world)
    await damaged.falsify(
        f"INSERT INTO tries SELECT 'job-x', 0, row FROM tries WHERE job = '{job}'"
    )
    assert await damaged.found() == [("places", "job-x")]
    assert await damaged.repair() == 0
