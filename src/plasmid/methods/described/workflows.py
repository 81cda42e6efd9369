"""Workflows and global workflows, analyses, batches of inputs."""

from __future__ import annotations

from typing import Final

from plasmid.methods.described.executables import TEXTS, VERBS
from plasmid.methods.described.executions import ALLOW_SSH, RANK, RUN
from plasmid.methods.described.objects import SOURCE
from plasmid.methods.described.shared import (
    BILL_TO,
    CONTAINER,
    DESCRIBE_KEYS,
    DESCRIBED,
    DETAILS,
    FOLDER,
    NEW_OBJECT,
    NONCE,
    NOTHING,
    PROPERTY_CHANGES,
    REF,
    TAGS_GIVEN,
    for_classes,
)
from plasmid.methods.described.values import (
    Told,
    Value,
    an_id,
    anything,
    array,
    boolean,
    either,
    free,
    hash_of,
    integer,
    map_of,
    shared,
    text,
    without,
    words,
)

_STAGE: Final[dict[str, Value]] = {
    "name": text("its name"),
    "folder": text("where its output goes, below that of the workflow"),
    "input": free("what is bound to its fields: values, and links to fields of other stages"),
    "executionPolicy": shared("ExecutionPolicy", "what is tried again"),
    "systemRequirements": shared("SystemRequirements", "what it needs, by entry point"),
}
_NEW_STAGE: Final[dict[str, Value]] = {
    "id": text("its id; a new one if there is none"),
    "executable": text("the applet, app or workflow that it runs", required=True),
    **_STAGE,
}
_IGNORED: Final = either(
    "Stages that are run even if the same has been run before; true is all",
    boolean("all or none"),
    words("ids of stages"),
)
_SETTINGS: Final[dict[str, Value]] = {
    "title": text("Its title"),
    "summary": text("A line about it"),
    "description": text("More about it"),
    "dxapi": text("The version of the API that it is written for"),
    "outputFolder": text("Where output goes if a run says nothing"),
    "inputs": shared("IoSpec", "Its own inputs, to which those of stages are bound"),
    "outputs": array("Its own outputs, each with a link to one of a stage", free("a field")),
    "ignoreReuse": _IGNORED,
    "treeTurnaroundTimeThreshold": integer("How long a tree of it may take, in seconds"),
}
_VERSION: Final = integer("Which version of it is to be changed", required=True)
_STAGE_ID: Final = text("Which stage", required=True)
_EXECUTABLE: Final = text("The applet, app or workflow that it is to run", required=True)
_EDITED: Final = hash_of(
    "The new version",
    {
        "id": text("the workflow", required=True),
        "editVersion": integer("the version", required=True),
        "stage": text("the id of the new stage"),
    },
    required=True,
)
_RUN: Final[dict[str, Value]] = {
    **RUN,
    "editVersion": integer("Run it only if it is at this version"),
    "stageFolders": map_of("Where output goes, by stage, or *", text("", required=True)),
    "stageSystemRequirements": map_of(
        "What stages need, by stage, or *", shared("SystemRequirements", "")
    ),
    "rerunStages": words("Stages to run even if the same has been run before; * is all"),
}
_STARTED: Final = hash_of(
    "The analysis and the executions of its stages",
    {
        "id": text("the analysis", required=True),
        "stages": array("jobs and analyses, in the order of the stages", Value({"type": "string"}),
            required=True),
    },
    required=True,
)  # fmt: skip
BATCH: Final = Told(
    {
        "batchInput": map_of("Values for the runs of the batch, by field", array("", Value({}),
            required=True), required=True),
        "commonInput": free("Values that are the same in all runs"),
        "files": array("For each run the files that it takes", Value({})),
        "instanceTypes": array("For each run the instance type", Value({})),
    },
    hash_of(
        "The input of each run",
        {"expandedBatch": array("the inputs", Value({"type": "object"}), required=True)},
        required=True,
    ),
)  # fmt: skip
_PLACED_BATCH: Final = Told({**BATCH.takes, "project": CONTAINER}, BATCH.gives)
_REGIONAL: Final = {
    "workflow": an_id("the workflow that it is made from", "workflow"),
    "resources": words("kept, and without effect here"),
    "pricingPolicy": free("kept, and without effect here"),
}
_GLOBAL: Final[dict[str, Value]] = {
    **TEXTS,
    "details": DETAILS,
    "treeTurnaroundTimeThreshold": anything("How long a tree of it may take, in seconds"),
    "regionalOptions": map_of("What it is made from, by region", hash_of("", _REGIONAL)),
}
_WORKFLOWS: Final = {
    "/workflow/new": Told(
        {
            **NEW_OBJECT,
            **_SETTINGS,
            "stages": array("What it runs, in order", hash_of("a stage", _NEW_STAGE)),
            "temporary": boolean("It is to be run once, and hidden"),
            "initializeFrom": SOURCE,
            "nonce": NONCE,
        },
        _EDITED,
    ),
    "/workflow-xxxx/update": Told(
        {
            **_SETTINGS,
            "editVersion": _VERSION,
            "stages": map_of("Changes of stages, by id", hash_of("changes", _STAGE)),
        },
        _EDITED,
    ),
    "/workflow-xxxx/addStage": Told({"editVersion": _VERSION, **_NEW_STAGE}, _EDITED),
    "/workflow-xxxx/removeStage": Told({"editVersion": _VERSION, "stage": _STAGE_ID}, _EDITED),
    "/workflow-xxxx/moveStage": Told(
        {
            "editVersion": _VERSION,
            "stage": _STAGE_ID,
            "newIndex": integer("Its new place, from 0", required=True, least=0),
        },
        _EDITED,
    ),
    "/workflow-xxxx/updateStageExecutable": Told(
        {
            "editVersion": _VERSION,
            "stage": _STAGE_ID,
            "executable": _EXECUTABLE,
            "force": boolean("Also if it takes or gives other fields"),
        },
        _EDITED,
    ),
    "/workflow-xxxx/isStageCompatible": Told(
        {
            "editVersion": _VERSION,
            "stage": _STAGE_ID,
            "executable": _EXECUTABLE,
            "project": CONTAINER,
        },
        hash_of(
            "Whether it could",
            {
                "id": text("the workflow", required=True),
                "compatible": boolean("whether it could", required=True),
                "incompatibilities": words("why not"),
            },
            required=True,
        ),
    ),
    "/workflow-xxxx/overwrite": Told(
        {
            "editVersion": _VERSION,
            "from": hash_of(
                "What it is to be like: a workflow or an analysis",
                {
                    "id": text("its id", required=True),
                    "project": an_id("where it lies", "project", "container"),
                },
                required=True,
            ),
        },
        _EDITED,
    ),
    "/workflow-xxxx/run": Told(_RUN, _STARTED),
    "/workflow-xxxx/dryRun": Told(without(_RUN, ("nonce",)), DESCRIBED),
    **for_classes(("app", "globalworkflow"), {"validateBatch": BATCH}),
    **for_classes(("applet", "workflow"), {"validateBatch": _PLACED_BATCH}),
    "/system/generateBatchInputs": Told(
        {
            "project": an_id("Where to look", "project", "container", required=True),
            "folder": FOLDER,
            "inputs": map_of(
                "For each field a regular expression for names of files, with a group",
                text("", required=True),
                required=True,
            ),
        },
        hash_of(
            "Inputs, one for each text that the groups have taken out",
            {"batchInputs": array("the inputs", Value({}), required=True)},
            required=True,
        ),
    ),
}
_GLOBAL_WORKFLOWS: Final = {
    **for_classes(("globalworkflow",), VERBS),
    "/globalworkflow-xxxx/describe": Told(
        {**DESCRIBE_KEYS, "stages": boolean("Add the stages to the default fields")}, DESCRIBED
    ),
    "/globalworkflow/new": Told(
        {
            **_GLOBAL,
            "name": text("Its name, for all versions", nonempty=True, required=True),
            "version": text("Its version, such as 1.0.0", nonempty=True, required=True),
            "dxapi": text("The version of the API that it is written for"),
            "billTo": BILL_TO,
            "nonce": NONCE,
        },
        REF,
    ),
    "/globalworkflow-xxxx/update": Told(_GLOBAL, REF),
    "/globalworkflow-xxxx/run": Told(_RUN, _STARTED),
}
_ANALYSES: Final = {
    "/analysis-xxxx/describe": Told(
        {**DESCRIBE_KEYS, "io": boolean("Input and output of its stages, which is so anyhow")},
        DESCRIBED,
    ),
    "/analysis-xxxx/terminate": Told(NOTHING, REF),
    "/analysis-xxxx/update": Told({"allowSSH": ALLOW_SSH, "rank": RANK}, REF),
    "/analysis-xxxx/addTags": Told({"tags": TAGS_GIVEN}, REF),
    "/analysis-xxxx/removeTags": Told({"tags": TAGS_GIVEN}, REF),
    "/analysis-xxxx/setProperties": Told({"properties": PROPERTY_CHANGES}, REF),
}
ROUTES: Final = {**_WORKFLOWS, **_GLOBAL_WORKFLOWS, **_ANALYSES}
