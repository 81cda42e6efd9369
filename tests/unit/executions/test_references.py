"""What a job waits for and what its references become (contract F.5)."""

from __future__ import annotations

from typing import Any

import pytest

from plasmid.domain.failures import JobFailure
from plasmid.executions import references
from plasmid.metadata import jobs, schema
from tests.worlds import World

FILE_NAME = "reads.txt"


def ref(job: str, field: str = "x", **more: Any) -> dict[str, Any]:
    return {"$dnanexus_link": {"job": job, "field": field, **more}}


def link(object_id: str) -> dict[str, Any]:
    return {"$dnanexus_link": object_id}


# JOB and FILE are put in when the test has them.
JOB = "<job>"
FILE = "<file>"
FORMS = {
    "plain": (ref(JOB), 5, 5),
    "of null's neighbour zero": (ref(JOB), 0, 0),
    "of false": (ref(JOB), False, False),
    "of an empty array": (ref(JOB), [], []),
    "legacy": ({"job": JOB, "field": "x"}, "text", "text"),
    "a whole array": (ref(JOB), [1, 2], [1, 2]),
    "a hash": (ref(JOB), {"a": {"b": None}}, {"a": {"b": None}}),
    "by index": (ref(JOB, index=1), ["a", "b"], "b"),
    "first by index": (ref(JOB, index=0), ["a", "b"], "a"),
    "in an array": ([1, ref(JOB), 3], 2, [1, 2, 3]),
    "spliced": ([1, ref(JOB), 4], [2, 3], [1, 2, 3, 4]),
    "spliced empty": ([1, ref(JOB)], [], [1]),
    "spliced by index": ([ref(JOB, index=0), ref(JOB, index=1)], [[1], [2, 3]], [1, 2, 3]),
    "twice": ([ref(JOB), ref(JOB)], 7, [7, 7]),
    "legacy in an array": ([{"job": JOB, "field": "x"}], [1, 2], [1, 2]),
    "in a hash": ({"a": {"b": [ref(JOB)], "c": 1}}, 9, {"a": {"b": [9], "c": 1}}),
    "of a file": (ref(JOB), link(FILE), link(FILE)),
    "of files, by index": (ref(JOB, index=0), [link(FILE)], link(FILE)),
    "the name of a file": (ref(JOB, metadata="name"), link(FILE), FILE_NAME),
    "the size of a file": (ref(JOB, metadata="size"), link(FILE), 5),
    "a property of a file": (ref(JOB, metadata="properties.k"), link(FILE), "v"),
    "details of a file": (ref(JOB, metadata="details"), link(FILE), {"d": 1}),
    "a key of a file's details": (ref(JOB, metadata="details.d"), link(FILE), 1),
    "the names of files": (ref(JOB, metadata="name"), [link(FILE)], [FILE_NAME]),
    "names spliced": (["a", ref(JOB, metadata="name")], [link(FILE)], ["a", FILE_NAME]),
    "the name of one of files": (ref(JOB, index=0, metadata="name"), [link(FILE)], FILE_NAME),
}


def put_in(value: Any, job: str, file: str) -> Any:
    if isinstance(value, dict):
        return {key: put_in(inner, job, file) for key, inner in value.items()}
    if isinstance(value, list):
        return [put_in(inner, job, file) for inner in value]
    return {JOB: job, FILE: file}.get(value, value) if isinstance(value, str) else value


@pytest.mark.parametrize("is_done_first", [False, True], ids=["source pending", "source done"])
@pytest.mark.parametrize("form", FORMS)
async def test_a_reference_becomes_the_output_it_names(
    world: World, form: str, *, is_done_first: bool
) -> None:
    project = await world.a_project()
    file = await world.a_closed_file(
        project, b"hello", name=FILE_NAME, properties={"k": "v"}, details={"d": 1}
    )
    applet = await world.an_applet(project)
    source = await world.a_job(applet)
    written, output, expected = (put_in(value, source, file) for value in FORMS[form])
    if is_done_first:
        await world.finish(source, {"x": output})
    job = await world.a_job(applet, {"in": written})
    if not is_done_first:
        assert await world.state(job) == "waiting_on_input"
        assert (await world.describe(job))["input"] == {"in": written}
        await world.finish(source, {"x": output})
    described = await world.describe(job)
    assert described["input"] == {"in": expected}
    assert described["runInput"] == {"in": written}
    assert described["originalInput"] == {"in": written}
    assert described["state"] == "runnable"


async def test_values_appear_as_soon_as_their_source_is_done(world: World) -> None:
    applet = await world.an_applet(await world.a_project())
    first, second = await world.a_job(applet), await world.a_job(applet)
    both = {"a": ref(first), "b": ref(second), "c": [ref(first), 0, ref(second)]}
    job = await world.a_job(applet, both)
    await world.finish(second, {"x": [2]})
    described = await world.describe(job)
    assert described["input"] == {"a": ref(first), "b": [2], "c": [ref(first), 0, 2]}
    assert described["state"] == "waiting_on_input"
    await world.finish(first, {"x": 1})
    described = await world.describe(job)
    assert described["input"] == {"a": 1, "b": [2], "c": [1, 0, 2]}
    assert described["state"] == "runnable"


async def test_a_field_that_outputs_nothing_yet_keeps_its_dependent_waiting(world: World) -> None:
    applet = await world.an_applet(await world.a_project())
    source = await world.a_job(applet)
    await world.lease(source)
    child = await world.a_subjob(source)
    job = await world.a_job(applet, {"in": ref(source)})
    await world.finish(source, {"x": 1})
    assert await world.state(source) == "waiting_on_output"
    assert await world.state(job) == "waiting_on_input"
    await world.finish(child)
    assert [await world.state(job), (await world.describe(job))["input"]] == ["runnable", {"in": 1}]


@pytest.mark.parametrize("is_done_first", [False, True], ids=["source pending", "source done"])
@pytest.mark.parametrize(
    ("reference", "output", "words"),
    [
        ({"field": "y"}, {"x": 1}, 'no field "y"'),
        ({"field": "x"}, {"x": None}, 'no field "x"'),
        ({"field": "x", "index": 2}, {"x": [1, 2]}, "has 2 elements"),
        ({"field": "x", "index": 0}, {"x": []}, "has 0 elements"),
        ({"field": "x", "index": 0}, {"x": 1}, "is not an array"),
        ({"field": "x", "metadata": "name"}, {"x": 1}, "no object"),
        ({"field": "x", "metadata": "colour"}, {"x": link(FILE)}, '"colour" is no metadata'),
    ],
)
async def test_a_reference_to_what_is_not_put_out_is_an_input_error(
    world: World,
    reference: dict[str, Any],
    output: dict[str, Any],
    words: str,
    *,
    is_done_first: bool,
) -> None:
    project = await world.a_project()
    file = await world.a_closed_file(project)
    applet = await world.an_applet(project)
    source = await world.a_job(applet)
    if is_done_first:
        await world.finish(source, put_in(output, source, file))
    job = await world.a_job(applet, {"in": {"$dnanexus_link": {"job": source, **reference}}})
    if not is_done_first:
        await world.finish(source, put_in(output, source, file))
    described = await world.describe(job)
    assert (described["state"], described["failureReason"]) == ("failed", "InputError")
    assert words in described["failureMessage"]
    assert await world.state(source) == "done"


async def end_badly(world: World, job: str, how: str) -> None:
    if how == "fails":
        await world.fail(job)
    elif how == "is terminated":
        await world.call(f"/{job}/terminate")
    else:
        await world.lease(job)
        await world.call(f"/{job}/terminate")
        assert await world.state(job) == "terminating"


@pytest.mark.parametrize("is_over_first", [False, True], ids=["source pending", "source over"])
@pytest.mark.parametrize("by", ["reference", "dependsOn"])
@pytest.mark.parametrize("how", ["fails", "is terminated", "is terminated while it runs"])
async def test_a_source_of_another_tree_that_cannot_end_well_fails_its_dependent(
    world: World, how: str, by: str, *, is_over_first: bool
) -> None:
    applet = await world.an_applet(await world.a_project())
    source = await world.a_job(applet, name="the source")
    if is_over_first:
        await end_badly(world, source, how)
    given: dict[str, Any] = {"in": ref(source)} if by == "reference" else {}
    depends_on = [source] if by == "dependsOn" else []
    job = await world.a_job(applet, given, dependsOn=depends_on)
    if not is_over_first:
        await end_badly(world, source, how)
    if await world.state(source) == "terminating":
        await world.report(source)
    described = await world.describe(job)
    assert (described["state"], described["failureReason"]) == (
        "failed",
        "DependencyUnsatisfiable",
    )
    assert source in described["failureMessage"]
    assert "the source" in described["failureMessage"]
    assert described["failureFrom"]["id"] == job


async def test_a_chain_of_200_waiting_jobs_runs_to_its_end(world: World) -> None:
    applet = await world.an_applet(await world.a_project())
    chain = [await world.a_job(applet)]
    for _ in range(199):
        chain.append(await world.a_job(applet, {"in": ref(chain[-1])}))
    for number, job in enumerate(chain):
        await world.finish(job, {"x": number})
    assert (await world.describe(chain[-1]))["input"] == {"in": 198}
    assert {await world.state(job) for job in chain} == {"done"}


async def test_a_chain_of_200_waiting_jobs_fails_at_once_with_its_first(world: World) -> None:
    applet = await world.an_applet(await world.a_project())
    chain = [await world.a_job(applet)]
    for _ in range(199):
        chain.append(await world.a_job(applet, {"in": ref(chain[-1])}))
    await world.fail(chain[0])
    assert {await world.state(job) for job in chain} == {"failed"}
    reasons = {(await world.job_row(job)).failure_reason for job in chain[1:]}
    assert reasons == {"DependencyUnsatisfiable"}


async def test_a_source_that_vanished_is_an_input_error(world: World) -> None:
    applet = await world.an_applet(await world.a_project())
    source = await world.a_job(applet)
    job = await world.a_job(applet, {"in": ref(source)})
    await world.finish(source, {"x": 1})
    row = await world.job_row(job)
    async with world.database.transaction() as tx:
        await tx.execute(schema.jobs.delete().where(schema.jobs.c.id == source))
        assert await jobs.find_job(tx, source) is None
    async with world.dispatcher.moment(world.clock.now_ms) as moment:
        with pytest.raises(JobFailure, match=r"InputError.*is gone"):
            await references.sources_of(moment, row, [source])
