"""generateBatchInputs and validateBatch through the door (contract B.8)."""

from __future__ import annotations

from typing import Any

import pytest

from plasmid.methods import batch
from tests.worlds import BOB, World

SPEC = [
    {"name": "n", "class": "int"},
    {"name": "reads", "class": "array:file", "optional": True},
    {"name": "word", "class": "string", "default": "x"},
]


async def generated(world: World, project: str, **body: Any) -> Any:
    answer = await world.call("/system/generateBatchInputs", {"project": project, **body})
    assert list(answer) == ["batchInputs"]
    return answer["batchInputs"]


async def test_files_are_joined_by_what_the_first_groups_take_out(world: World) -> None:
    project = await world.a_project()
    first = await world.a_closed_file(project, name="s1_R1.gz")
    second = await world.a_closed_file(project, name="s1_R2.gz")
    alone = await world.a_closed_file(project, name="s2_R1.gz")
    await world.a_closed_file(project, name="s3_R1.gz", hidden=True)
    await world.a_closed_file(project, name="s4_R1.gz", folder="/below", parents=True)
    await world.a_record(project, name="s5_R1.gz")
    inputs = {"left": "(.*)_R1.gz", "right": "(.*)_R2.gz"}
    assert await generated(world, project, folder="/", inputs=inputs) == [
        {
            "batchPattern": "s1",
            "inputs": {
                "left": {"name": "s1_R1.gz", "ids": [first]},
                "right": {"name": "s1_R2.gz", "ids": [second]},
            },
        },
        {
            "batchPattern": "s2",
            "inputs": {"left": {"name": "s2_R1.gz", "ids": [alone]}},
            "error": "no file for right",
        },
    ]
    [below] = await generated(world, project, folder="/below", inputs={"left": "(.*)_R1.gz"})
    assert below["batchPattern"] == "s4"


async def test_a_batch_cannot_be_made_of_what_one_does_not_see(world: World) -> None:
    project = await world.a_project()
    body = {"project": project, "inputs": {"left": "(.*)"}}
    refused = await world.refused("/system/generateBatchInputs", body, as_=BOB)
    assert refused.type == "PermissionDenied"
    refused = await world.refused("/system/generateBatchInputs", {**body, "folder": "/none"})
    assert refused.type == "ResourceNotFound"
    refused = await world.refused("/system/generateBatchInputs", {**body, "project": "x"})
    assert refused.message == 'Expected key "project" of input to be a project or container ID'


async def test_a_batch_becomes_the_inputs_of_its_runs(world: World) -> None:
    project = await world.a_project()
    applet = await world.an_applet(project, inputSpec=SPEC, outputSpec=[])
    link = {"$dnanexus_link": {"project": project, "id": await world.a_closed_file(project)}}
    body = {
        "batchInput": {"n": [1, 2], "reads": [[link], None]},
        "commonInput": {"word": "y"},
        "files": [link],
        "instanceTypes": [],
    }
    wanted = [{"word": "y", "n": 1, "reads": [link]}, {"word": "y", "n": 2}]
    for executable in (applet, await world.an_app(applet), "app-an_app", "app-an_app/1.0.0"):
        answer = await world.call(f"/{executable}/validateBatch", body)
        assert answer == {"expandedBatch": wanted}
    for row in wanted:
        await world.a_job(applet, row)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            {"batchInput": {"n": [1, "2"]}},
            'Row 2 of the batch: Expected key "n" of input to be an integer',
        ),
        (
            {"batchInput": {"word": ["a"]}},
            'Row 1 of the batch: Expected input to have property "n"',
        ),
        (
            {"batchInput": {"n": [1], "m": [2]}},
            (
                'Row 1 of the batch: Expected key "m" of input to be a field of the'
                " executable's inputSpec, which has n, reads, word"
            ),
        ),
        (
            {"batchInput": {"n": [1, 2]}, "instanceTypes": ["mem1_ssd1_v2_x2"]},
            'Expected key "instanceTypes" of input to be empty or an array of 2 values',
        ),
    ],
)
async def test_a_batch_that_could_not_run_is_refused_by_row_and_field(
    world: World, body: dict[str, Any], said: str
) -> None:
    applet = await world.an_applet(await world.a_project(), inputSpec=SPEC, outputSpec=[])
    refused = await world.refused(f"/{applet}/validateBatch", body)
    assert (refused.type, refused.message) == ("InvalidInput", said)


async def test_an_instance_type_of_a_batch_has_to_exist(world: World) -> None:
    applet = await world.an_applet(await world.a_project(), inputSpec=SPEC, outputSpec=[])
    body = {"batchInput": {"n": [1]}, "instanceTypes": ["mem1_ssd1_x3"]}
    refused = await world.refused(f"/{applet}/validateBatch", body)
    assert refused.type == "InvalidInput"
    assert 'Expected key "instanceTypes" of input' in refused.message


async def test_a_batch_names_only_files_that_its_caller_sees(world: World) -> None:
    project = await world.a_project()
    applet = await world.an_applet(project, inputSpec=SPEC, outputSpec=[])
    await world.a_member(project, "VIEW")
    hidden = {"$dnanexus_link": await world.a_closed_file(await world.a_project())}
    for body in ({"files": [hidden]}, {"commonInput": {"reads": [hidden]}}):
        given = {"batchInput": {"n": [1]}, **body}
        await world.call(f"/{applet}/validateBatch", given)
        refused = await world.refused(f"/{applet}/validateBatch", given, as_=BOB)
        assert refused.type == "ResourceNotFound"


async def test_an_executable_without_a_specification_has_no_batches(world: World) -> None:
    applet = await world.an_applet(await world.a_project())
    refused = await world.refused(f"/{applet}/validateBatch", {"batchInput": {"n": [1]}})
    assert refused.message == "The executable has no inputSpec, by which a batch is checked"


async def test_a_batch_has_no_more_rows_than_one_call_can_check(world: World) -> None:
    applet = await world.an_applet(await world.a_project(), inputSpec=SPEC, outputSpec=[])
    for body, said in (
        ({"batchInput": {"n": [1] * 10_001}}, "an array of at most 10000 values"),
        ({"batchInput": {"n": [1] * 700}, "commonInput": {"word": "x" * 100_000}}, "700 rows"),
    ):
        refused = await world.refused(f"/{applet}/validateBatch", body)
        assert refused.type == "InvalidInput"
        assert said in refused.message
        assert refused.message.endswith("make several batches")
    wide = [{"name": f"f{i}", "class": "int", "optional": True} for i in range(1000)]
    applet = await world.an_applet(await world.a_project(), inputSpec=wide, outputSpec=[])
    body = {"batchInput": {"f1": [1] * 2001}}
    refused = await world.refused(f"/{applet}/validateBatch", body)
    assert refused.message.startswith("Expected a batch of at most 2000 rows of 1000 fields each")


async def test_expressions_are_few_and_short(world: World) -> None:
    project = await world.a_project()
    for inputs, said in (
        ({f"i{number}": "(.*)" for number in range(101)}, "to name at most 100 inputs"),
        ({"left": "(.*)" * 251}, "a regular expression of at most 1000 characters"),
    ):
        body = {"project": project, "inputs": inputs}
        refused = await world.refused("/system/generateBatchInputs", body)
        assert (refused.type, said in refused.message) == ("InvalidInput", True)


async def test_expressions_that_take_too_long_are_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = await world.a_project()
    for _ in range(2):
        await world.a_closed_file(project, name="x_R1.gz")
    monkeypatch.setattr(batch, "SECONDS_MAX", -1.0)
    body = {"project": project, "inputs": {"left": "(.*)_R1.gz"}}
    refused = await world.refused("/system/generateBatchInputs", body)
    assert refused.type == "InvalidInput"
    assert refused.message.startswith("Only 0 of the 2 files of the folder could be held against")
