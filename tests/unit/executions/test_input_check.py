"""What is held against the input specification when a job is made, and what only later (E.1)."""

from __future__ import annotations

from typing import Any

import pytest

from plasmid.executions import input_check
from plasmid.executions.world import Moment
from tests.worlds import World

READS = {"name": "reads", "class": "file", "optional": True}


def link(object_id: str) -> dict[str, Any]:
    return {"$dnanexus_link": object_id}


def ref(job: str, field: str = "x", **more: Any) -> dict[str, Any]:
    return {"$dnanexus_link": {"job": job, "field": field, **more}}


def default(metadata: str, **more: Any) -> dict[str, Any]:
    return {"$dnanexus_link": {"input": "reads", "metadata": metadata, **more}}


def typed(wanted: Any, class_name: str = "record") -> list[dict[str, Any]]:
    return [{"name": "r", "class": class_name, "type": wanted}]


async def end_of(world: World, job: str) -> tuple[str, str | None, str]:
    row = await world.job_row(job)
    return row.state, row.failure_reason, row.failure_message or ""


# --------------------------------------------------------------------------------- its types


async def test_an_object_of_the_wrong_type_is_refused_by_the_name_of_its_field(
    world: World,
) -> None:
    project = await world.a_project()
    good = await world.a_record(project, types=["A", "B"], close=True)
    bad = await world.a_record(project, types=["A"], close=True)
    one = await world.an_applet(project, inputSpec=typed({"$and": ["A", "B"]}))
    many = await world.an_applet(project, inputSpec=typed({"$or": ["B", "C"]}, "array:record"))
    await world.a_job(one, {"r": link(good)})
    await world.a_job(many, {"r": [link(good), [link(good)]]})
    for applet, value in ((one, link(bad)), (many, [link(good), link(bad)])):
        body = {"project": project, "input": {"r": value}}
        refusal = await world.refused(f"/{applet}/run", body)
        assert refusal.type == "InvalidInput"
        assert '"r" of input' in refusal.message
        assert bad in refusal.message


@pytest.mark.parametrize(("types", "ends"), [(["A"], "runnable"), (["Z"], "failed")])
async def test_an_open_object_is_looked_at_once_it_is_closed(
    world: World, types: list[str], ends: str
) -> None:
    project = await world.a_project()
    record = await world.a_record(project)
    job = await world.a_job(
        await world.an_applet(project, inputSpec=typed("A")), {"r": link(record)}
    )
    assert await world.state(job) == "waiting_on_input"
    await world.call(f"/{record}/addTypes", {"types": types})
    await world.call(f"/{record}/close")
    state, reason, message = await end_of(world, job)
    assert state == ends
    if ends == "failed":
        assert reason == "InputError"
        assert '"r" of input' in message


@pytest.mark.parametrize(("types", "ends"), [(["A"], "runnable"), ([], "failed")])
async def test_an_object_that_a_reference_brings_is_held_against_the_type(
    world: World, types: list[str], ends: str
) -> None:
    project = await world.a_project()
    record = await world.a_record(project, types=types, close=True)
    source = await world.a_job(await world.an_applet(project))
    picky = await world.an_applet(project, inputSpec=typed("A"))
    job = await world.a_job(picky, {"r": ref(source)})
    await world.finish(source, {"x": link(record)})
    state, reason, _ = await end_of(world, job)
    assert (state, reason) == (ends, "InputError" if ends == "failed" else None)


async def test_a_sub_job_is_held_against_no_specification(world: World) -> None:
    project = await world.a_project()
    good = await world.a_record(project, types=["A"], close=True)
    bad = await world.a_record(project, close=True)
    job = await world.a_job(await world.an_applet(project, inputSpec=typed("A")), {"r": link(good)})
    await world.lease(job)
    sub = await world.a_subjob(job, "main", {"r": link(bad), "other": 1})
    assert await world.state(sub) == "runnable"


# -------------------------------------------------- defaults from another input's metadata


async def with_default(world: World, value: Any, class_name: str = "string") -> tuple[str, str]:
    project = await world.a_project()
    field = {"name": "sample", "class": class_name, "default": value}
    return project, await world.an_applet(project, inputSpec=[field, READS])


@pytest.mark.parametrize(
    ("metadata", "class_name", "expected"),
    [
        ("name", "string", "reads.fq"),
        ("size", "int", 5),
        ("properties.k", "string", "v"),
        ("properties.a.b", "string", "dotted"),
        ("details.genome.build", "string", "hg38"),
        ("details.genome", "hash", {"build": "hg38"}),
        ("types", "array:string", ["T"]),
    ],
)
async def test_a_default_is_read_from_another_inputs_metadata(
    world: World, metadata: str, class_name: str, expected: Any
) -> None:
    project, applet = await with_default(world, default(metadata), class_name)
    file = await world.a_closed_file(
        project,
        name="reads.fq",
        types=["T"],
        properties={"k": "v", "a.b": "dotted"},
        details={"genome": {"build": "hg38"}},
    )
    described = await world.describe(await world.a_job(applet, {"reads": link(file)}))
    assert described["state"] == "runnable"
    assert described["runInput"] == {"reads": link(file)}
    assert described["originalInput"] == {"reads": link(file), "sample": default(metadata)}
    assert described["input"] == {"reads": link(file), "sample": expected}


async def test_the_name_is_that_of_the_project_in_which_the_file_was_named(world: World) -> None:
    project, applet = await with_default(world, default("name"))
    file = await world.a_closed_file(project, name="here")
    other = await world.a_project()
    await world.call(f"/{project}/clone", {"objects": [file], "project": other})
    await world.call(f"/{file}/rename", {"project": other, "name": "there"})
    job = await world.a_job(applet, {"reads": link(file)}, project=other)
    assert (await world.describe(job))["input"]["sample"] == "there"
    named = {"$dnanexus_link": {"project": project, "id": file}}
    job = await world.a_job(applet, {"reads": named}, project=other)
    assert (await world.describe(job))["input"]["sample"] == "here"


async def test_a_default_waits_for_what_a_reference_brings(world: World) -> None:
    project, applet = await with_default(world, default("name"))
    source = await world.a_job(await world.an_applet(project))
    job = await world.a_job(applet, {"reads": ref(source)})
    file = await world.a_closed_file(project, name="later")
    await world.finish(source, {"x": link(file)})
    described = await world.describe(job)
    assert (described["state"], described["input"]["sample"]) == ("runnable", "later")


async def test_of_an_array_it_is_that_of_each_or_of_one(world: World) -> None:
    project = await world.a_project()
    spec = [
        {"name": "reads", "class": "array:file"},
        {"name": "names", "class": "array:string", "default": default("name")},
        {"name": "second", "class": "string", "default": default("name", index=1)},
    ]
    applet = await world.an_applet(project, inputSpec=spec)
    files = [await world.a_closed_file(project, name=name) for name in ("a", "b")]
    job = await world.a_job(applet, {"reads": [link(file) for file in files]})
    found = (await world.describe(job))["input"]
    assert (found["names"], found["second"]) == (["a", "b"], "b")


@pytest.mark.parametrize(
    ("metadata", "class_name", "words"),
    [
        ("name", "int", '"sample" of input to be an integer'),
        ("nonsense", "string", '"nonsense" is no metadata'),
        ("name.x", "string", '"name.x" is no metadata'),
        ("properties.absent", "string", 'to have property "sample"'),
        ("details.absent.deeper", "string", 'to have property "sample"'),
    ],
)
async def test_a_default_that_is_not_there_or_does_not_fit_is_an_input_error(
    world: World, metadata: str, class_name: str, words: str
) -> None:
    project, applet = await with_default(world, default(metadata), class_name)
    file = await world.a_closed_file(project, name="reads.fq")
    state, reason, message = await end_of(world, await world.a_job(applet, {"reads": link(file)}))
    assert (state, reason, words in message) == ("failed", "InputError", True), message


async def test_a_required_field_whose_default_has_nothing_to_be_read_from_is_missing(
    world: World,
) -> None:
    project, applet = await with_default(world, default("name"))
    refusal = await world.refused(f"/{applet}/run", {"project": project, "input": {}})
    assert (refusal.type, '"sample"' in refusal.message) == ("InvalidInput", True)


async def test_a_job_whose_applet_is_gone_is_held_against_nothing(world: World) -> None:
    """It fails when it is to start, for that reason and not for its input."""
    project, applet = await with_default(world, default("name"))
    file = await world.an_open_file(project)
    job = await world.a_job(applet, {"reads": link(file)})
    await world.call(f"/{project}/removeObjects", {"objects": [applet]})
    row = await world.job_row(job)
    async with world.database.transaction() as tx:
        moment = Moment(
            tx,
            now_ms=world.clock.now_ms,
            randomness=world.platform.randomness,
            authenticator=world.platform.authenticator,
            logs=world.logs,
        )
        assert await input_check.fit(moment, row, {"reads": 1}) == {"reads": 1}


# ------------------------------------------------------------------------ other forms of input


async def test_a_hash_holds_links_and_references_at_any_depth(world: World) -> None:
    project = await world.a_project()
    file = await world.a_closed_file(project)
    source = await world.a_job(await world.an_applet(project))
    spec = [{"name": "h", "class": "hash"}]
    given = {
        "h": {
            "a": [{"file": {"$dnanexus_link": {"project": project, "id": file}}}],
            "b": {"c": ref(source), "d": [ref(source, "many"), {"job": source, "field": "x"}]},
        }
    }
    job = await world.a_job(await world.an_applet(project, inputSpec=spec), given)
    await world.finish(source, {"x": link(file), "many": [1, 2]})
    described = await world.describe(job)
    assert described["input"]["h"]["a"] == given["h"]["a"]
    assert described["input"]["h"]["b"] == {"c": link(file), "d": [1, 2, link(file)]}
    assert described["originalInput"] == given
    assignment = await world.lease(job)
    assert await world.read(file, as_=assignment["token"]) == b"hello"


async def test_a_choice_is_given_by_value_or_brought_by_a_reference(world: World) -> None:
    project = await world.a_project()
    chosen, other = [await world.a_closed_file(project) for _ in range(2)]
    choices = [{"name": "the good one", "value": link(chosen)}]
    spec = [{"name": "f", "class": "file", "choices": choices}]
    applet = await world.an_applet(project, inputSpec=spec)
    named = {"$dnanexus_link": {"project": project, "id": chosen}}
    assert await world.state(await world.a_job(applet, {"f": named})) == "runnable"
    body = {"project": project, "input": {"f": link(other)}}
    assert '"f"' in (await world.refused(f"/{applet}/run", body)).message
    source = await world.a_job(await world.an_applet(project))
    good, bad = [await world.a_job(applet, {"f": ref(source, field)}) for field in ("x", "y")]
    await world.finish(source, {"x": link(chosen), "y": link(other)})
    assert await world.state(good) == "runnable"
    assert (await end_of(world, bad))[:2] == ("failed", "InputError")
