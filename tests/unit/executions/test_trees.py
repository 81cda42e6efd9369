"""How a tree of jobs ends: by a failure, by termination, by its root (contract F.4, F.9, F.10)."""

from __future__ import annotations

from typing import Any

import pytest

from plasmid.domain import job_states
from plasmid.domain.job_states import Event
from plasmid.executions import advance, launch, settle, waking
from plasmid.executions.world import Moment
from plasmid.metadata import jobs, projects
from tests.worlds import World


def ref(job: str, field: str = "x") -> dict[str, Any]:
    return {"$dnanexus_link": {"job": job, "field": field}}


async def a_tree(world: World) -> dict[str, str]:
    """Return a tree with a job in every state that a job can wait in.

    root runs; `left` waits for its child `deep`, which runs; `ready` is runnable; `late` waits
    for `ready`; `other` is a master job of its own, launched by root.
    """
    project = await world.a_project()
    applet = await world.an_applet(project)
    root = await world.a_job(applet)
    await world.lease(root)
    left = await world.a_subjob(root, "left")
    await world.lease(left)
    deep = await world.a_subjob(left, "deep")
    await world.lease(deep)
    await world.finish(left, {"x": ref(deep)})
    other = await world.new(f"/{applet}/run", {"input": {}}, as_=world.token_of(root))
    await world.lease(other)
    ready = await world.a_subjob(root, "ready")
    late = await world.a_subjob(root, "late", {"in": ref(ready)})
    tree = {
        "root": root, "left": left, "deep": deep, "ready": ready, "late": late, "other": other
    }  # fmt: skip
    assert await states(world, tree) == {
        "root": "running", "left": "waiting_on_output", "deep": "running", "ready": "runnable",
        "late": "waiting_on_input", "other": "running",
    }  # fmt: skip
    return tree


async def states(world: World, tree: dict[str, str]) -> dict[str, str]:
    return {name: await world.state(job) for name, job in tree.items()}


async def stop_all(world: World, tree: dict[str, str]) -> list[str]:
    """Let the worker report what it was told to stop; return the names."""
    reply = await world.sync()
    told = {entry["job"] for entry in reply["stop"]}
    for job in told:
        await world.report(job)
    return sorted(name for name, job in tree.items() if job in told)


@pytest.mark.parametrize("first", ["root", "deep", "other"])
async def test_one_failure_fails_the_whole_tree(world: World, first: str) -> None:
    tree = await a_tree(world)
    bystander = await world.a_job(await world.an_applet(await world.a_project()))
    await world.fail(tree[first], "AppError", "the first to break")
    running = {"root", "deep", "other"} - {first}
    for name, state in (await states(world, tree)).items():
        assert state == ("terminating" if name in running else "failed"), name
    assert set(await stop_all(world, tree)) == running
    for name, job in tree.items():
        described = await world.describe(job)
        assert described["state"] == "failed"
        origin = described["failureFrom"]
        assert (origin["id"], origin["failureReason"]) == (tree[first], "AppError")
        told = f"the first to break; replay it: plasmid replay {tree[first]}"
        assert (origin["try"], origin["failureMessage"]) == (0, told)
        if name == first:
            assert described["failureReason"] == "AppError"
            assert described["failureMessage"] == told
        else:
            assert described["failureReason"] == "JobTreeFailure"
            assert tree[first] in described["failureMessage"]
            assert described["failureMessage"].endswith(f"failed first: {told}")
    assert await world.state(bystander) == "runnable"


async def test_what_fails_while_its_tree_is_being_stopped_keeps_the_first_failure(
    world: World,
) -> None:
    tree = await a_tree(world)
    await world.fail(tree["deep"], "AppError", "first")
    await world.report(tree["root"], failure_reason="AppInternalError", failure_message="second")
    await world.report(tree["other"], output={})
    for name in ("root", "other"):
        described = await world.describe(tree[name])
        assert (described["state"], described["failureReason"]) == ("failed", "JobTreeFailure")
        assert described["failureFrom"]["id"] == tree["deep"]
        assert described["output"] is None


async def test_terminating_the_root_terminates_everything_below(world: World) -> None:
    tree = await a_tree(world)
    await world.call(f"/{tree['root']}/terminate")
    running = {"root", "deep", "other"}
    for name, state in (await states(world, tree)).items():
        assert state == ("terminating" if name in running else "terminated"), name
    assert set(await stop_all(world, tree)) == running
    for job in tree.values():
        described = await world.describe(job)
        assert described["state"] == "terminated"
        assert "failureReason" not in described


async def test_terminating_a_subtree_leaves_the_rest(world: World) -> None:
    tree = await a_tree(world)
    await world.call(f"/{tree['left']}/terminate")
    assert await stop_all(world, tree) == ["deep"]
    assert await states(world, tree) == {
        "root": "running", "left": "terminated", "deep": "terminated", "ready": "runnable",
        "late": "waiting_on_input", "other": "running",
    }  # fmt: skip
    for name in ("other", "ready", "late", "root"):
        await world.finish(tree[name], {"x": 1})
    assert await world.state(tree["root"]) == "done"


async def test_a_dependent_of_a_terminated_sibling_fails_the_tree(world: World) -> None:
    tree = await a_tree(world)
    await world.call(f"/{tree['ready']}/terminate")
    described = await world.describe(tree["late"])
    assert (described["state"], described["failureReason"]) == ("failed", "JobTreeFailure")
    assert set(await stop_all(world, tree)) == {"root", "deep", "other"}
    expected = dict.fromkeys(tree, "failed") | {"ready": "terminated"}
    assert await states(world, tree) == expected


async def test_an_output_that_refers_to_a_terminated_sub_job_fails_the_tree(world: World) -> None:
    root = await world.a_job(await world.an_applet(await world.a_project()))
    await world.lease(root)
    child, other = await world.a_subjob(root), await world.a_subjob(root)
    await world.lease(other)
    await world.finish(root, {"y": ref(child)})
    await world.call(f"/{child}/terminate")
    await world.report(child)
    assert (await world.job_row(root)).failure_reason == "JobTreeFailure"
    await world.sync()
    await world.report(other)
    assert (await world.job_row(other)).failure_reason == "JobTreeFailure"


async def test_terminating_twice_is_the_same_as_once(world: World) -> None:
    job = await world.a_job(await world.an_applet(await world.a_project()))
    await world.lease(job)
    await world.call(f"/{job}/terminate")
    await world.call(f"/{job}/terminate")
    moves = [move["newState"] for move in (await world.describe(job))["stateTransitions"]]
    assert moves == ["runnable", "running", "terminating"]
    await world.report(job)
    before = await world.describe(job)
    await world.call(f"/{job}/terminate")
    assert await world.describe(job) == before
    assert before["state"] == "terminated"


async def test_a_failure_elsewhere_does_not_rename_a_termination_that_came_first(
    world: World,
) -> None:
    tree = await a_tree(world)
    await world.call(f"/{tree['other']}/terminate")
    await world.fail(tree["deep"])
    await stop_all(world, tree)
    assert await world.state(tree["other"]) == "terminated"
    assert await world.state(tree["root"]) == "failed"


async def test_a_termination_does_not_rename_a_failure_that_came_first(world: World) -> None:
    tree = await a_tree(world)
    await world.fail(tree["deep"])
    await world.call(f"/{tree['root']}/terminate")
    await stop_all(world, tree)
    assert (await world.job_row(tree["root"])).failure_reason == "JobTreeFailure"


@pytest.mark.parametrize("end", ["done", "failed", "terminated"])
@pytest.mark.parametrize("delays", [False, True])
async def test_workspaces_go_with_the_tree_unless_they_are_to_stay(
    world: World, end: str, *, delays: bool
) -> None:
    project = await world.a_project()
    applet = await world.an_applet(project)
    root = await world.a_job(applet, delayWorkspaceDestruction=delays)
    await world.lease(root)
    workspace = (await world.job_row(root)).workspace
    file = await world.a_closed_file(workspace, b"1", as_=world.token_of(root))
    other = await world.new(f"/{applet}/run", {"input": {}}, as_=world.token_of(root))
    inner = (await world.job_row(other)).workspace
    await world.finish(other)
    for container in (workspace, inner):
        assert await projects.find_container(world.database.reader, container) is not None
    if end == "done":
        await world.finish(root)
    elif end == "failed":
        await world.fail(root)
    else:
        await world.call(f"/{root}/terminate")
        await world.report(root)
    assert await world.state(root) == end
    found = await projects.find_container(world.database.reader, workspace)
    assert (found is not None) == delays
    if delays:
        assert await world.read(file, project=workspace) == b"1"
    else:
        refusal = await world.refused(f"/{file}/describe")
        assert refusal.type == "ResourceNotFound"


async def test_a_file_that_only_a_finished_tree_had_takes_its_waiting_jobs_with_it(
    world: World,
) -> None:
    """An open file in the workspace of another tree that ends before it is closed."""
    project = await world.a_project()
    applet = await world.an_applet(project)
    root = await world.a_job(applet)
    await world.lease(root)
    workspace = (await world.job_row(root)).workspace
    file = await world.an_open_file(workspace, as_=world.token_of(root))
    waiting = await world.a_job(applet, {"in": {"$dnanexus_link": file}})
    assert await world.state(waiting) == "waiting_on_input"
    await world.finish(root)
    assert (await world.job_row(waiting)).failure_reason == "InputError"


@pytest.mark.parametrize("before", ["waiting_on_input", "runnable", "running", "waiting_on_output"])
@pytest.mark.parametrize("how", ["terminate", "tree failure"])
async def test_a_job_of_every_state_can_be_ended(world: World, before: str, how: str) -> None:
    root = await world.a_job(await world.an_applet(await world.a_project()))
    await world.lease(root)
    source = await world.a_subjob(root)
    given = {"in": ref(source)} if before == "waiting_on_input" else {}
    job = await world.a_subjob(root, "work", given)
    if before == "running":
        await world.lease(job)
    if before == "waiting_on_output":
        await world.lease(job)
        await world.a_subjob(job)
        await world.finish(job)
    assert await world.state(job) == before
    if how == "terminate":
        await world.call(f"/{job}/terminate")
    else:
        await world.fail(root)
    if before == "running":
        assert await world.state(job) == "terminating"
        await world.report(job)
    assert await world.state(job) == ("terminated" if how == "terminate" else "failed")


async def test_a_scatter_of_100_is_gathered_without_looking_at_all_of_it_each_time(
    world: World,
) -> None:
    """Each end of one sub-job touches a bounded number of rows, or wide trees take for ever."""
    world.dispatcher.machine = type(world.dispatcher.machine)(1 << 60, 1000)
    root = await world.a_job(await world.an_applet(await world.a_project()))
    await world.lease(root)
    children = [await world.a_subjob(root) for _ in range(100)]
    gather = await world.a_subjob(root, "gather", {"in": [ref(child) for child in children]})
    await world.finish(root, {"y": ref(gather)})
    await world.lease(children[0])
    await world.finish(children[0], {"x": 0})
    counted = 0

    def count(_: str) -> None:
        nonlocal counted
        counted += 1

    world.database._writer.set_trace_callback(count)
    await world.report(children[1], output={"x": 1})
    world.database._writer.set_trace_callback(None)
    assert counted < 60
    for number, child in enumerate(children[2:], 2):
        await world.finish(child, {"x": number})
    assert (await world.describe(gather))["input"] == {"in": list(range(100))}
    await world.finish(gather, {"x": "all"})
    assert (await world.describe(root))["output"] == {"y": "all"}


async def test_a_move_that_the_table_lacks_is_refused(world: World) -> None:
    job = await world.a_job(await world.an_applet(await world.a_project()))
    row = await world.job_row(job)
    async with world.dispatcher.moment(world.clock.now_ms) as moment:
        with pytest.raises(job_states.IllegalMoveError):
            await advance.apply(moment, row, Event.EXITED)
        await settle.terminate_tree(moment, row)
    row = await world.job_row(job)
    async with world.dispatcher.moment(world.clock.now_ms) as moment:
        with pytest.raises(job_states.IllegalMoveError):
            await advance.apply(moment, row, Event.LEASED)


async def test_nothing_of_a_moment_that_breaks_is_kept(world: World) -> None:
    job = await world.a_job(await world.an_applet(await world.a_project()))
    row = await world.job_row(job)

    class OnPurposeError(Exception):
        pass

    async def broken() -> None:
        async with world.dispatcher.moment(world.clock.now_ms) as moment:
            await settle.terminate_tree(moment, row)
            assert (await jobs.find_job(moment.tx, job)) != row
            raise OnPurposeError

    with pytest.raises(OnPurposeError):
        await broken()
    assert await world.job_row(job) == row


async def test_waking_ends_when_nothing_more_follows(world: World) -> None:
    """Names that nobody waits for, and names given twice, are no work."""
    async with (
        world.database.transaction() as tx,
        waking.following(
            Moment(
                tx,
                now_ms=world.clock.now_ms,
                randomness=world.platform.randomness,
                authenticator=world.platform.authenticator,
                logs=world.logs,
            )
        ) as moment,
    ):
        moment.to_wake += ["job-" + "B" * 24, "job-" + "B" * 24]
        assert moment.mint("job") != moment.mint("job")
    assert moment.to_wake == []


def test_main_is_the_entry_point_of_master_jobs() -> None:
    assert launch.MAIN == "main"
