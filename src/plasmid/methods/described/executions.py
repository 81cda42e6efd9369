"""Runs and jobs."""

from __future__ import annotations

from typing import Final

from plasmid.domain import failures
from plasmid.methods.described.shared import (
    DESCRIBE_KEYS,
    DESCRIBED,
    DETAILS,
    FOLDER,
    NONCE,
    NOTHING,
    PROPERTIES,
    PROPERTY_CHANGES,
    REF,
    TAGS,
    TAGS_GIVEN,
)
from plasmid.methods.described.values import (
    Told,
    Value,
    an_id,
    array,
    boolean,
    choice,
    free,
    hash_of,
    integer,
    map_of,
    number,
    shared,
    text,
    time,
    without,
    words,
)

RANK: Final = integer("Which tree is placed first: the one with the higher rank", least=-1024,
    most=1023)  # fmt: skip
ALLOW_SSH: Final = words(
    "From which addresses, or ranges of them, its launcher may log in; * is all"
)
_DEBUG: Final = hash_of(
    "Which failures hold a job for a look",
    {"debugOn": array("reasons", Value({"type": "string", "enum": sorted(failures.ALL)}))},
)
# What every run may say, of an applet or a workflow, or of an entry point by /job/new.
OPTIONS: Final[dict[str, Value]] = {
    "name": text("Its name; else that of the executable", nonempty=True),
    "tags": TAGS,
    "properties": PROPERTIES,
    "details": DETAILS,
    "dependsOn": array("Jobs and objects that have to be done or closed before it starts",
        Value({"type": "string"})),
    "priority": choice("Its priority", "low", "normal", "high"),
    "systemRequirements": shared("SystemRequirements", "What it needs, by entry point"),
    "systemRequirementsByExecutable": map_of("The same for all below it, by executable, or *",
        shared("SystemRequirements", "")),
    "timeoutPolicyByExecutable": map_of("How long jobs may run, by executable, or *",
        shared("TimeoutPolicy", "")),
    "executionPolicy": shared("ExecutionPolicy", "What is tried again"),
    "delayWorkspaceDestruction": boolean("Keep the workspace after the end, to look at it"),
    "allowSSH": ALLOW_SSH,
    "debug": _DEBUG,
    "ignoreReuse": boolean("Run it even if the same has been run before"),
    "headJobOnDemand": boolean("Kept, and without effect here"),
    "costLimit": number("Kept, and without effect: nothing costs anything here", above=0),
    "maxTreeSpotWaitTime": integer("Kept, and without effect here", least=0),
    "maxJobSpotWaitTime": integer("Kept, and without effect here", least=0),
    "detailedJobMetrics": boolean("Measure more of it"),
    "preserveJobOutputs": free("Keep the outputs of all jobs of the tree in the project"),
    "singleContext": boolean("Kept, and without effect here"),
    "nonce": NONCE,
}  # fmt: skip
RUN: Final[dict[str, Value]] = {
    "input": free("The fields of its input", required=True),
    "project": an_id("Where it runs and its output goes; of a job: where the job runs", "project"),
    "folder": FOLDER,
    "detach": boolean("Of a job: not as part of its tree"),
    "rank": RANK,
    **OPTIONS,
}
_LOG_LINE: Final = {
    "msg": text("what it says", required=True),
    "level": text("its level", required=True),
    "timestamp": time("when it was written", required=True),
}
ROUTES: Final = {
    "/applet-xxxx/run": Told(RUN, REF),
    "/app-xxxx/run": Told(RUN, REF),
    "/job/new": Told(
        {
            "function": text("The entry point to run", nonempty=True, required=True),
            "input": free("The fields of its input", required=True),
            **without(OPTIONS, ()),
        },
        REF,
    ),
    "/job-xxxx/describe": Told(
        {
            **DESCRIBE_KEYS,
            "try": integer("Which try of it; the last if nothing is said", least=0),
        },
        DESCRIBED,
    ),
    "/job-xxxx/terminate": Told(NOTHING, REF),
    "/job-xxxx/update": Told({"allowSSH": ALLOW_SSH, "rank": RANK}, REF),
    "/job-xxxx/addTags": Told({"tags": TAGS_GIVEN}, REF),
    "/job-xxxx/removeTags": Told({"tags": TAGS_GIVEN}, REF),
    "/job-xxxx/setProperties": Told({"properties": PROPERTY_CHANGES}, REF),
    "/job-xxxx/getLog": Told(
        {
            "try": integer("Which try"),
            "starting": text("Where to go on: what `next` was"),
            "numRecentMessages": integer("Begin with so many of the last messages"),
            "levels": array("Only these levels", Value({"type": "string"})),
            "limit": integer("How many messages at most", least=1, most=1000),
        },
        hash_of(
            "Messages",
            {
                "results": array("the messages", hash_of("", _LOG_LINE, required=True),
                    required=True),
                "next": Value({"description": "where to go on; null if all is told"},
                    is_required=True),
            },
            required=True,
        ),
    ),
    "/job-xxxx/openHttpsApp": Told(
        {"port": integer("Which of its ports; the first if nothing is said")},
        hash_of(
            "A link for a browser, good once, for a minute",
            {"url": text("the link", required=True), "expires": time("until when", required=True)},
            required=True,
        ),
    ),
    "/job-xxxx/getIdentityToken": Told(
        {
            "audience": text("For whom it is", nonempty=True, required=True),
            "subject_claims": words("Which claims make its subject"),
        },
        hash_of("The token", {"Token": text("a signed JWT", required=True)}, required=True),
    ),
}  # fmt: skip
