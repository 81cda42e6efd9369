"""A job that is equal to one that is done is given its outputs and does not run (contract F.11)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from plasmid.domain.access import Actor, Level
from plasmid.executions import reuse
from plasmid.metadata import objects
from tests.worlds import ALICE, BOB, World

SPEC: dict[str, Any] = {
    "inputSpec": [
        {"name": "reads", "class": "file"},
        {"name": "n", "class": "int", "default": 1},
        {"name": "more", "class": "array:file", "optional": True},
    ],
    "outputSpec": [{"name": "out", "class": "file"}, {"name": "count", "class": "int"}],
}
ASKED = {"plasmid.reuse": "true"}
REFUSED = {"plasmid.reuse": "false"}
WHY = "it was removed or archived, or may not be seen or cloned"


def link(object_id: str, project: str | None = None) -> dict[str, Any]:
    return {"$dnanexus_link": {"project": project, "id": object_id} if project else object_id}


@pytest.fixture(autouse=True)
def site_reuses(world: World) -> None:
    world.platform.limits = msgspec.structs.replace(world.platform.limits, reuse=True)


def site_does_not(world: World) -> None:
    world.platform.limits = msgspec.structs.replace(world.platform.limits, reuse=False)


async def end(world: World, job: str, folder: str = "/deep") -> str:
    """Let a job put out a file and a number; return the file's id."""
    if job not in world.assignments:
        await world.lease(job)
    workspace = (await world.job_row(job)).workspace
    file = await world.a_closed_file(
        workspace, as_=world.token_of(job), folder=folder, parents=True, name="out.txt"
    )
    assert await world.finish(job, {"out": link(file), "count": 3}) == "done"
    return file


class Story:
    """A project with an applet, a file, and a job on it that is done; and what it has put out."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def tell(self, **applet: Any) -> Story:
        self.project = await self.world.a_project()
        self.applet = await self.world.an_applet(self.project, **{**SPEC, **applet})
        self.reads = await self.world.a_closed_file(self.project, b"reads", name="reads")
        self.job = await self.run(folder="/first")
        self.out = await end(self.world, self.job)
        return self

    async def run(self, input: dict[str, Any] | None = None, **body: Any) -> str:
        return await self.world.a_job(self.applet, input or {"reads": link(self.reads)}, **body)


async def story(world: World, **applet: Any) -> Story:
    return await Story(world).tell(**applet)


async def source(world: World, job: str) -> str | None:
    """Return from which job another has its outputs, None if it runs."""
    told = await world.describe(job)
    if told["outputReusedFrom"] is None:
        assert told["state"] != "done"
        return None
    assert told["state"] == "done"
    return str(told["outputReusedFrom"])


async def note(world: World, job: str) -> str | None:
    """Return what the log of a job that has to run says of reuse, None if nothing."""
    notes = (await world.lease(job))["notes"]
    return next((text for text in notes if text.startswith("Not reused")), None)


async def places(world: World, object_id: str) -> dict[str, str]:
    found = await objects.find_placements(world.database.reader, object_id)
    return {place.container: place.folder for place in found}


# ------------------------------------------------------------------------------ what is given


async def test_an_equal_job_is_done_at_once_with_the_outputs_of_the_earlier(world: World) -> None:
    told = await story(world)
    world.clock.advance(60_000)
    job = await told.run(folder="/second", name="again", tags=["t"], priority="high")
    row = await world.job_row(job)
    assert await source(world, job) == told.job
    assert row.output == {"out": link(told.out), "count": 3}
    assert row.state_transitions == [{"newState": "done", "setAt": world.clock.now_ms}]
    assert (row.started_running_ms, row.worker, row.attempt) == (None, None, 0)
    assert row.input["n"] == 1
    assert await world.place() == 0
    # an object lies once in a project: it stays where the first job has put it
    assert await places(world, told.out) == {told.project: "/first/deep"}


async def test_outputs_are_cloned_to_the_folder_of_the_new_job(world: World) -> None:
    told = await story(world)
    elsewhere = await world.a_project()
    job = await told.run(project=elsewhere, folder="/a/b")
    assert await source(world, job) == told.job
    assert (await places(world, told.out))[elsewhere] == "/a/b/deep"


async def test_hidden_objects_come_along(world: World) -> None:
    told = await story(world)
    second = await told.run({"reads": link(told.reads), "n": 2})
    await world.lease(second)
    workspace, token = (await world.job_row(second)).workspace, world.token_of(second)
    index = await world.a_closed_file(workspace, b"index", as_=token, hidden=True)
    out = await world.a_closed_file(workspace, b"out", as_=token, details=link(index))
    await world.finish(second, {"out": link(out), "count": 1})
    elsewhere = await world.a_project()
    job = await told.run({"reads": link(told.reads), "n": 2}, project=elsewhere)
    assert await source(world, job) == second
    assert set(await places(world, index)) == {told.project, elsewhere}


async def test_the_chain_names_the_job_that_really_ran(world: World) -> None:
    told = await story(world)
    for _ in range(3):
        world.clock.advance(1000)
        assert await source(world, await told.run()) == told.job


async def test_the_newest_of_equal_jobs_is_taken(world: World) -> None:
    told = await story(world)
    world.clock.advance(1000)
    newer = await told.run(ignoreReuse=True)
    await end(world, newer)
    world.clock.advance(1000)
    assert await source(world, await told.run()) == newer


async def test_the_log_of_the_new_job_says_where_its_outputs_are_from(world: World) -> None:
    told = await story(world)
    job = await told.run()
    log = await world.call(f"/{job}/getLog")
    assert [(line["source"], line["level"], line["line"]) for line in log["results"]] == [
        ("SYSTEM", "INFO", 0)
    ]
    assert (
        f"reused from {told.job} (an applet, done 2027-01-15 08:00:00 UTC)"
        in (log["results"][0]["msg"])
    )
    assert log["next"] is None


async def test_a_full_disk_of_logs_does_not_stop_reuse(world: World) -> None:
    told = await story(world)
    world.logs.is_full = True
    job = await told.run()
    assert await source(world, job) == told.job
    assert (await world.call(f"/{job}/getLog"))["results"] == []


async def test_who_refers_to_the_new_job_gets_its_outputs(world: World) -> None:
    told = await story(world)
    job = await told.run()
    refers = {"x": {"$dnanexus_link": {"job": job, "field": "out"}}}
    after = await world.a_job(await world.an_applet(told.project), refers)
    assert (await world.job_row(after)).input == {"x": link(told.out)}
    assert await world.state(after) == "runnable"


async def test_what_its_input_refers_to_is_known_before_jobs_are_compared(world: World) -> None:
    told = await story(world)
    maker = await world.a_job(await world.an_applet(told.project))
    job = await told.run({"reads": {"$dnanexus_link": {"job": maker, "field": "file"}}})
    other = await told.run({"reads": {"$dnanexus_link": {"job": maker, "field": "file"}}, "n": 2})
    dependent = await world.a_job(
        await world.an_applet(told.project),
        {"x": {"$dnanexus_link": {"job": job, "field": "count"}}},
    )
    assert await world.state(job) == "waiting_on_input"
    await world.lease(maker)
    await world.finish(maker, {"file": link(told.reads, told.project)})
    assert await source(world, job) == told.job
    assert await source(world, other) is None
    assert (await world.job_row(dependent)).input == {"x": 3}
    assert await world.state(dependent) == "runnable"


async def test_the_project_part_of_a_link_makes_no_difference(world: World) -> None:
    told = await story(world)
    job = await told.run({"reads": link(told.reads, told.project), "n": 1})
    assert await source(world, job) == told.job


async def test_a_job_that_another_starts_is_given_outputs_in_its_workspace(world: World) -> None:
    told = await story(world)
    parent = await world.a_job(await world.an_applet(told.project), name="parent")
    await world.lease(parent)
    token = world.token_of(parent)
    given = {"input": {"reads": link(told.reads)}, "folder": "/sub"}
    child = (await world.call(f"/{told.applet}/run", given, as_=token))["id"]
    assert await source(world, child) == told.job
    workspace = (await world.job_row(parent)).workspace
    assert (await places(world, told.out))[workspace] == "/sub/deep"
    assert await world.finish(parent, {"got": link(told.out)}) == "done"


async def test_equal_jobs_of_one_tree_share_outputs_that_lie_in_its_workspace_only(
    world: World,
) -> None:
    told = await story(world)
    parent = await world.a_job(await world.an_applet(told.project), name="parent")
    await world.lease(parent)
    given = {"input": {"reads": link(told.reads), "n": 5}}
    token = world.token_of(parent)
    first = (await world.call(f"/{told.applet}/run", given, as_=token))["id"]
    out = await end(world, first)
    second = (await world.call(f"/{told.applet}/run", given, as_=token))["id"]
    assert await source(world, second) == first
    await world.finish(parent)
    # with the tree its workspace is gone, and the outputs with it
    third = await told.run({"reads": link(told.reads), "n": 5})
    assert await source(world, third) is None
    text = await note(world, third)
    assert (
        text
        == f'Not reused: {first} is equal, but its output "out" ({out}) is not to be had: {WHY}'
    )


async def test_preserved_outputs_are_only_those_of_jobs_that_ran(world: World) -> None:
    """The client's help says so; the job that ran is one of a public project."""
    told = await story(world)
    await world.a_member(told.project, "VIEW", user="PUBLIC")
    elsewhere = await world.a_project()
    parent = await world.a_job(
        await world.an_applet(elsewhere), name="parent", preserveJobOutputs={}
    )
    await world.lease(parent)
    given = {"input": {"reads": link(told.reads)}}
    child = (await world.call(f"/{told.applet}/run", given, as_=world.token_of(parent)))["id"]
    assert await source(world, child) == told.job
    workspace = (await world.job_row(parent)).workspace
    assert set(await places(world, told.out)) == {told.project, workspace}
    await world.finish(parent)


# ------------------------------------------------------------------------ who does not get any


async def test_a_failed_or_terminated_job_is_never_reused(world: World) -> None:
    told = await story(world)
    given = {"reads": link(told.reads), "n": 2}
    failed = await told.run(given)
    await world.fail(failed)
    ended = await told.run(given)
    await world.call(f"/{ended}/terminate")
    assert await source(world, await told.run(given)) is None


async def test_two_equal_jobs_at_the_same_time_both_run(world: World) -> None:
    told = await story(world)
    given = {"reads": link(told.reads), "n": 2}
    first, second = await told.run(given), await told.run(given)
    await end(world, first)
    await end(world, second)
    assert await source_of_done(world, first) is None
    assert await source_of_done(world, second) is None


async def source_of_done(world: World, job: str) -> str | None:
    found: str | None = (await world.describe(job))["outputReusedFrom"]
    return found


@pytest.mark.parametrize("when", ["launch", "once", "below"])
async def test_what_somebody_could_change_by_hand_is_given_to_nobody(
    world: World, when: str
) -> None:
    told = await story(world)
    allowed = {"allowSSH": ["*"]}
    given = {"reads": link(told.reads), "n": 7}
    job = await told.run(given, **(allowed if when == "launch" else {}))
    await world.lease(job)
    if when == "once":
        await world.call(f"/{job}/update", allowed)
        await world.call(f"/{job}/update", {"allowSSH": []})
    if when == "below":
        child = await world.a_subjob(job)
        await world.lease(child)
        await world.call(f"/{child}/update", allowed)
        await world.finish(child)
    await end(world, job)
    assert await source(world, await told.run(given)) is None


async def test_sub_jobs_always_run(world: World) -> None:
    told = await story(world)
    parent = await told.run({"reads": link(told.reads), "n": 2})
    await world.lease(parent)
    for _ in range(2):
        child = await world.a_subjob(parent, "main", {"reads": link(told.reads)})
        assert await source(world, child) is None
        await world.finish(child, {"out": link(told.reads), "count": 1})
        assert (await world.job_row(child)).reuse_key is None


async def test_an_output_that_was_removed_is_made_again(world: World) -> None:
    told = await story(world)
    await world.call(f"/{told.project}/removeObjects", {"objects": [told.out]})
    job = await told.run()
    assert await source(world, job) is None
    text = await note(world, job)
    assert text is not None
    assert f'{told.job} is equal, but its output "out" ({told.out}) is not to be had: {WHY}' in text


async def test_an_output_that_is_archived_is_made_again(world: World) -> None:
    told = await story(world)
    await world.rows(
        f"UPDATE placements SET archival_state = 'archived' WHERE object = '{told.out}'"
    )
    assert await source(world, await told.run()) is None


async def test_an_output_that_lies_in_another_project_only_will_do(world: World) -> None:
    told = await story(world)
    kept = await world.a_project()
    await world.call(f"/{told.project}/clone", {"project": kept, "objects": [told.out]})
    await world.call(f"/{told.project}/removeObjects", {"objects": [told.out]})
    job = await told.run(folder="/new")
    assert await source(world, job) == told.job
    assert await places(world, told.out) == {kept: "/", told.project: "/new"}


async def test_outputs_have_the_name_that_they_have_in_the_project_of_the_earlier_job(
    world: World,
) -> None:
    """Whatever others call them, and however long."""
    told = await story(world)
    aside = await world.a_project()
    await world.call(f"/{told.project}/clone", {"project": aside, "objects": [told.out]})
    await world.call(f"/{told.out}/rename", {"project": aside, "name": "aside"})
    await world.call(f"/{told.project}/removeObjects", {"objects": [told.out]})
    await world.call(f"/{aside}/clone", {"project": told.project, "objects": [told.out]})
    await world.call(f"/{told.out}/rename", {"project": told.project, "name": "home"})
    elsewhere = await world.a_project()
    await told.run(project=elsewhere)
    found = await world.describe(told.out, project=elsewhere)
    assert found["name"] == "home"


async def test_an_older_equal_job_will_do_if_the_newest_has_lost_its_outputs(world: World) -> None:
    told = await story(world)
    world.clock.advance(1000)
    newer = await told.run(ignoreReuse=True)
    out = await end(world, newer)
    await world.call(f"/{told.project}/removeObjects", {"objects": [out]})
    assert await source(world, await told.run()) == told.job


@pytest.mark.parametrize("level", [None, "VIEW"])
async def test_a_job_of_somebody_else_is_reused_by_who_may_view_it(
    world: World, level: str | None
) -> None:
    told = await story(world)
    shared, own = await world.a_project(), await world.a_project(as_=BOB)
    await world.call(
        f"/{told.project}/clone", {"project": shared, "objects": [told.reads, told.applet]}
    )
    await world.a_member(shared, "VIEW")
    if level is not None:
        await world.a_member(told.project, level)
    job = await world.a_job(told.applet, {"reads": link(told.reads)}, project=own, as_=BOB)
    row = await world.job_row(job)
    assert row.settings.get("outputReusedFrom") == (told.job if level else None)
    assert row.state == ("done" if level else "runnable")
    assert (own in await places(world, told.out)) == (level is not None)
    assert "reuseNote" not in row.settings


async def test_a_token_that_sees_one_project_reuses_nothing_of_others(world: World) -> None:
    told = await story(world)
    own = await world.a_project()
    await world.call(
        f"/{told.project}/clone", {"project": own, "objects": [told.reads, told.applet]}
    )
    narrow = await world.add_token(
        "narrow", Actor(user="user-alice", scope={own: Level.ADMINISTER})
    )
    given = {"project": own, "input": {"reads": link(told.reads)}}
    job = (await world.call(f"/{told.applet}/run", given, as_=narrow))["id"]
    assert await source(world, job) is None
    assert await source(world, await told.run(project=own)) == told.job


async def test_nothing_is_cloned_out_of_a_restricted_project(world: World) -> None:
    told = await story(world)
    elsewhere = await world.a_project()
    own = {"project": elsewhere, "objects": [told.reads]}
    await world.call(f"/{told.project}/clone", own)
    await world.call(f"/{told.project}/update", {"restricted": True})
    assert await source(world, await told.run(project=elsewhere)) is None
    assert await source(world, await told.run()) == told.job


async def test_an_output_that_the_launcher_may_not_see_is_made_again(world: World) -> None:
    """Bob sees the job, but what it has put out lies in a project of Alice's now."""
    told = await story(world)
    await world.a_member(told.project, "CONTRIBUTE")
    hidden = await world.a_project()
    await world.call(f"/{told.project}/clone", {"project": hidden, "objects": [told.out]})
    await world.call(f"/{told.project}/removeObjects", {"objects": [told.out]})
    job = await told.run(as_=BOB)
    assert (await world.job_row(job)).state == "runnable"


# ------------------------------------------------------------------------------ who is asked


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"ignoreReuse": True}, "the run says ignoreReuse"),
        ({"allowSSH": ["*"]}, "the run allows SSH"),
    ],
)
async def test_a_run_may_want_to_run(world: World, body: dict[str, Any], words: str) -> None:
    told = await story(world)
    job = await told.run(**body)
    assert await source(world, job) is None
    assert words in (await note(world, job) or "")
    assert await source(world, await told.run(ignoreReuse=False)) == told.job


@pytest.mark.parametrize(
    ("applet", "words"),
    [
        ({"ignoreReuse": True}, "says ignoreReuse"),
        ({"httpsApp": {"ports": [443]}}, "is a web application"),
    ],
)
async def test_an_executable_may_want_to_run_always(
    world: World, applet: dict[str, Any], words: str
) -> None:
    told = await story(world, **applet)
    job = await told.run()
    assert await source(world, job) is None
    assert f"{told.applet} {words}" in (await note(world, job) or "")


async def test_nothing_is_reused_unless_somebody_asks(world: World) -> None:
    site_does_not(world)
    told = await story(world)
    job = await told.run()
    assert await source(world, job) is None
    assert await note(world, job) is None


async def test_what_ran_before_reuse_was_asked_for_is_reused(world: World) -> None:
    site_does_not(world)
    told = await story(world)
    assert await source(world, await told.run(properties=ASKED)) == told.job


@pytest.mark.parametrize("value", [True, False, None])
async def test_an_org_asks_for_the_projects_that_are_billed_to_it(
    world: World, value: bool | None
) -> None:
    site_does_not(world)
    told = await story(world)
    org = await world.new("/org/new", {"handle": "lab", "name": "Lab"})
    if value is not None:
        await world.call(f"/{org}/update", {"policies": {"jobReuse": value}})
    await world.call(f"/{told.project}/update", {"billTo": org})
    assert (await source(world, await told.run()) == told.job) == bool(value)


async def test_the_nearest_who_says_anything_decides(world: World) -> None:
    """A run before its project, a project before the site."""
    told = await story(world)
    await world.call(f"/{told.project}/setProperties", {"properties": REFUSED})
    assert await source(world, await told.run()) is None
    assert await source(world, await told.run(properties=ASKED)) == told.job
    site_does_not(world)
    await world.call(f"/{told.project}/setProperties", {"properties": ASKED})
    assert await source(world, await told.run()) == told.job
    assert await source(world, await told.run(properties=REFUSED)) is None


# --------------------------------------------------------------------------------- stages


async def a_chain(world: World, **workflow: Any) -> tuple[Story, str, str]:
    """Return a story, a workflow of its applet and one more, and an analysis that is done."""
    told = await story(world)
    counts = await world.an_applet(
        told.project,
        name="counts",
        inputSpec=[{"name": "of", "class": "file"}],
        outputSpec=[{"name": "n", "class": "int"}],
    )
    of = {"$dnanexus_link": {"stage": "first", "outputField": "out"}}
    stages = [
        {"id": "first", "executable": told.applet},
        {"id": "second", "executable": counts, "input": {"of": of}},
    ]
    made = await world.call(
        "/workflow/new", {"project": told.project, "name": "w", "stages": stages, **workflow}
    )
    analysis, (first, second) = await run_chain(world, told, made["id"], n=8)
    await end(world, first)
    await world.finish(second, {"n": 1})
    assert (await world.describe(analysis))["state"] == "done"
    return told, made["id"], analysis


async def run_chain(
    world: World, told: Story, workflow: str, *, n: int, **body: Any
) -> tuple[str, list[str]]:
    given = {"first.reads": link(told.reads), "first.n": n}
    made = await world.call(f"/{workflow}/run", {"project": told.project, "input": given, **body})
    return made["id"], made["stages"]


async def test_the_stages_of_a_workflow_are_reused_one_after_the_other(world: World) -> None:
    told, workflow, analysis = await a_chain(world)
    before = [one["execution"]["id"] for one in (await world.describe(analysis))["stages"]]
    again, jobs = await run_chain(world, told, workflow, n=8, folder="/again")
    assert [await source(world, job) for job in jobs] == before
    described = await world.describe(again)
    assert (described["state"], described["output"]["second.n"]) == ("done", 1)


async def test_only_what_has_changed_of_a_workflow_runs(world: World) -> None:
    """Stage two has another applet: its log says so, once it is its turn."""
    told, workflow, analysis = await a_chain(world)
    stages = (await world.describe(analysis))["stages"]
    other = await world.an_applet(
        told.project,
        name="counts",
        inputSpec=[{"name": "of", "class": "file"}],
        outputSpec=[{"name": "n", "class": "int"}],
    )
    version = (await world.describe(workflow))["editVersion"]
    edit = {"editVersion": version, "stage": "second", "executable": other}
    await world.call(f"/{workflow}/updateStageExecutable", edit)
    _, (first, second) = await run_chain(world, told, workflow, n=8)
    assert await source(world, first) == stages[0]["execution"]["id"]
    assert await source(world, second) is None
    ran = stages[1]["execution"]["id"]
    assert f"{ran} ran " in (await note(world, second) or "")


@pytest.mark.parametrize(
    ("workflow", "body", "reused"),
    [
        ({}, {"ignoreReuse": ["first"]}, [False, True]),
        ({}, {"ignoreReuse": ["*"]}, [False, False]),
        ({}, {"rerunStages": ["first"]}, [False, True]),
        ({"ignoreReuse": ["first"]}, {}, [False, True]),
        ({}, {"properties": REFUSED}, [False, False]),
    ],
)
async def test_a_stage_runs_if_its_analysis_or_workflow_wants_it_to(
    world: World, workflow: dict[str, Any], body: dict[str, Any], reused: list[bool]
) -> None:
    told, made, _ = await a_chain(world, **workflow)
    analysis, (first, second) = await run_chain(world, told, made, n=8, **body)
    assert (await source(world, first) is not None) == reused[0]
    if not reused[0]:
        row = await world.job_row(first)
        asked = "properties" not in body
        expected = "Not reused: the run or the workflow says ignoreReuse" if asked else None
        assert row.settings.get("reuseNote") == expected
        # the same file comes out of it, as in the analysis before
        await world.lease(first)
        earlier = await world.rows("SELECT output FROM jobs WHERE stage = 'first' AND output != ''")
        output = msgspec.json.decode(earlier[0][0])
        assert await world.finish(first, output) == "done"
    assert (await world.describe(second))["state"] == ("done" if reused[1] else "runnable")
    if not reused[1]:
        await world.finish(second, {"n": 1})
    assert (await world.describe(analysis))["state"] == "done"


async def test_a_run_of_a_workflow_asks_for_its_stages(world: World) -> None:
    told, workflow, _ = await a_chain(world)
    site_does_not(world)
    _, (first, _) = await run_chain(world, told, workflow, n=8)
    assert await source(world, first) is None
    analysis, _ = await run_chain(world, told, workflow, n=8, properties=ASKED)
    assert (await world.describe(analysis))["state"] == "done"


# -------------------------------------------------------------------------- what is different


async def test_the_log_names_the_input_that_differs(world: World) -> None:
    told = await story(world)
    other = await world.a_closed_file(told.project, b"other")
    job = await told.run({"reads": link(other)})
    assert await note(world, job) == (
        f'Not reused: compared with {told.job}, input "reads" is {other}, was {told.reads}'
    )


async def test_another_version_of_an_app_is_another_executable(world: World) -> None:
    told = await story(world)
    given = {"project": told.project, "input": {"reads": link(told.reads)}}
    one = await world.an_app(told.applet, name="loud", version="1.0.0")
    ran = await world.new("/app-loud/1.0.0/run", given)
    assert await source(world, ran) is None
    await end(world, ran)
    assert await source(world, await world.new(f"/{one}/run", given)) == ran
    two = await world.an_app(told.applet, name="loud", version="1.0.1")
    job = await world.new(f"/{two}/run", given)
    assert f"{ran} ran {one}, this job runs {two}" in (await note(world, job) or "")


async def test_of_several_jobs_the_most_similar_is_compared_with(world: World) -> None:
    told = await story(world)
    other = await world.a_closed_file(told.project, b"other")
    world.clock.advance(1)
    far = await told.run({"reads": link(other), "n": 9})
    await end(world, far)
    job = await told.run({"reads": link(told.reads), "n": 2})
    assert await note(world, job) == f'Not reused: compared with {told.job}, input "n" is 2, was 1'


async def test_the_log_says_that_the_executable_was_built_again(world: World) -> None:
    told = await story(world)
    rebuilt = await world.an_applet(told.project, **SPEC)
    job = await world.a_job(rebuilt, {"reads": link(told.reads)})
    assert await note(world, job) == (
        f"Not reused: {told.job} ran {told.applet}, this job runs {rebuilt}: another executable"
    )


async def test_a_job_that_is_like_no_other_says_nothing(world: World) -> None:
    told = await story(world)
    strange = await world.an_applet(told.project, name="strange")
    assert await note(world, await world.a_job(strange)) is None


async def test_a_second_try_does_not_say_it_again(world: World) -> None:
    told = await story(world)
    job = await told.run(
        {"reads": link(told.reads), "n": 2}, executionPolicy={"restartOn": {"ExecutionError": 1}}
    )
    assert await note(world, job) is not None
    await world.fail(job, "ExecutionError")
    assert (await world.job_row(job)).attempt == 1
    assert await note(world, job) is None


# ----------------------------------------------------------------------------------- crashes


async def test_all_of_it_is_in_one_transaction(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash after the outputs were cloned leaves no job, no clone and no line."""
    told = await story(world)
    elsewhere = await world.a_project()

    take_over = reuse.take_over

    async def crash(*given: Any) -> None:
        await take_over(*given)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(reuse, "take_over", crash)
        with pytest.raises(KeyboardInterrupt):
            await told.run(project=elsewhere, as_=ALICE)
    assert elsewhere not in await places(world, told.out)
    found = await world.call("/system/findJobs", {"project": elsewhere})
    assert found["results"] == []
