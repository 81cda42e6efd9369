"""Schemas that stand once in the document and are named wherever they are meant."""

from __future__ import annotations

from typing import Any, Final

from plasmid.domain import io_spec, orgs, requirements, run_spec
from plasmid.methods.described.shared import LEVELS
from plasmid.methods.described.values import (
    Value,
    anything,
    array,
    boolean,
    choice,
    either,
    free,
    hash_of,
    integer,
    map_of,
    shared,
    text,
    words,
)

_TIME: Final = hash_of(
    "a length of time",
    {unit: integer(f"how many {unit}", least=0) for unit in requirements.TIME_UNITS_MS},
)
_NEEDED: Final = hash_of(
    "What an entry point needs",
    {
        "instanceType": text("the name of an instance type"),
        "instanceTypeSelector": hash_of(
            "in the executable only: the first of these that there is",
            {"allowedInstanceTypes": words("names of instance types", required=True)},
        ),
        "clusterSpec": hash_of(
            "kept, and not made here",
            {"initialInstanceCount": integer("how many machines", least=1)},
        ),
        "fpgaDriver": text("kept, and without effect here"),
        "nvidiaDriver": text("kept, and without effect here"),
    },
)
_PACKAGE: Final = hash_of(
    "a package",
    {
        "name": text("its name", nonempty=True, required=True),
        "package_manager": choice("what installs it: apt", *run_spec.PACKAGE_MANAGERS),
        "version": text("its version"),
        "stages": words("only for these entry points"),
        "url": text("of git: where it is cloned from"),
        "tag": text("of git: which branch, tag or commit"),
        "destdir": text("of git: into which folder"),
        "build_commands": text("of git: what is run in that folder"),
    },
)
_BUNDLE: Final = hash_of(
    "a bundle",
    {
        "name": text("under which name it is unpacked", required=True),
        "id": anything("a link to the file or record", required=True),
        "stages": words("only for these entry points"),
    },
)
_FIELD: Final = hash_of(
    "a field",
    {
        "name": text("its name", pattern=io_spec.NAME_PATTERN, required=True),
        "class": choice("its class", *io_spec.CLASSES, required=True),
        "optional": boolean("whether it may be absent"),
        "default": anything("what it is if it is absent"),
        "choices": array("the only values", Value({})),
        "suggestions": array("values to offer", Value({})),
        "patterns": either("what files are called", words("globs"), free("globs, class and tags")),
        "type": anything("of objects: their types"),
        "label": text("a title"),
        "help": text("what it is for"),
        "group": text("under which heading it is shown"),
    },
)
_RUN_SPEC: Final = hash_of(
    "What is run, and in what",
    {
        "interpreter": choice("what runs it", *run_spec.INTERPRETERS, required=True),
        "code": text("the program itself", required=True),
        "distribution": text("of Linux: Ubuntu"),
        "release": text("of the distribution: 24.04, 20.04"),
        "version": text("of the release: 0"),
        "execDepends": array("Packages to install", _PACKAGE),
        "bundledDepends": array("Files to unpack", _BUNDLE),
        "bundledDependsByRegion": free("the same by region"),
        "systemRequirements": shared("SystemRequirements", "by entry point"),
        "timeoutPolicy": shared("TimeoutPolicy", "by entry point"),
        "executionPolicy": shared("ExecutionPolicy", "what is tried again"),
        "restartableEntryPoints": choice("which may be tried again", *run_spec.RESTARTABLE),
        "headJobOnDemand": boolean("kept, and without effect here"),
        "inheritParentRestartOnPolicy": boolean("take restartOn from the job that launches it"),
    },
)
_EXECUTION_POLICY: Final = hash_of(
    "What is tried again",
    {
        "restartOn": map_of(
            "how often, by reason of failure, or *", integer("times", least=0, most=9)
        ),
        "maxRestarts": integer("how often at all", least=0, most=9),
        "onNonRestartableFailure": choice("what else fails then", *requirements.ON_FAILURE),
    },
)
_ACCESS: Final = hash_of(
    "What its jobs may do",
    {
        "network": words("which hosts they reach; * is all"),
        "project": choice("their level on the project that they run in", *LEVELS),
        "allProjects": choice("their level on all the launcher's projects", *LEVELS),
        "developer": boolean("whether they may make and change apps"),
        "projectCreation": boolean("whether they may make projects"),
    },
)
_HTTPS_APP: Final = hash_of(
    "A web application of its jobs",
    {
        "enabled": boolean("false: none"),
        "ports": array("on which ports", Value({"type": "integer"})),
        "shared_access": text("who may open it: a level, or NONE for the launcher alone"),
        "dns": hash_of("its name", {"hostname": text("the first part of its host name")}),
    },
)
_POLICIES: Final = hash_of(
    "What an org allows",
    {
        "memberListVisibility": choice(
            "who sees its members", orgs.ADMIN, orgs.MEMBER, orgs.PUBLIC
        ),
        "restrictProjectTransfer": choice("who gives its projects away", orgs.ADMIN, orgs.MEMBER),
        "jobReuse": boolean("Whether jobs of its projects are given the outputs of equal ones"),
        "detailedJobMetricsCollectDefault": boolean("kept, and without effect here"),
    },
)
COMPONENTS: Final[dict[str, Value]] = {
    "RunSpec": _RUN_SPEC,
    "IoSpec": array("The fields of an input or an output", _FIELD),
    "SystemRequirements": map_of("By entry point, or *", _NEEDED),
    "TimeoutPolicy": map_of("How long a job may run, by entry point, or *", _TIME),
    "ExecutionPolicy": _EXECUTION_POLICY,
    "Access": _ACCESS,
    "HttpsApp": _HTTPS_APP,
    "Policies": _POLICIES,
}


def schemas() -> dict[str, Any]:
    """Return them as the document holds them."""
    return {name: value.schema for name, value in COMPONENTS.items()}
