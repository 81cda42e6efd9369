"""The questions of the find methods, as the client sends them and as they are refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from plasmid.domain import conditions, errors, filters, globs
from plasmid.domain.access import Level

PROJECT = "project-" + "P" * 24
CONTAINER = "container-" + "P" * 24
FILE = "file-" + "B" * 24
JOB = "job-" + "J" * 24
ANALYSIS = "analysis-" + "K" * 24
APPLET = "applet-" + "Q" * 24


def test_an_empty_question_has_the_defaults() -> None:
    assert filters.read_data_objects({}) == filters.DataObjects(
        page=filters.Page(1000, None, False)
    )
    assert filters.read_projects({}) == filters.Projects(page=filters.Page())
    assert filters.read_executions({}) == filters.Executions(page=filters.Page())
    assert filters.read_apps({}) == filters.Apps(page=filters.Page())
    assert filters.read_data_objects({}).hidden is False
    assert filters.read_executions({}).include_subjobs is True


def test_a_question_for_data_objects_is_read_whole() -> None:
    body = {
        "class": "file",
        "state": "closed",
        "visibility": "hidden",
        "name": {"glob": "*.bam"},
        "id": [FILE],
        "type": {"$or": ["A", "B"]},
        "tag": "old",
        "tags": {"$and": ["x"]},
        "properties": {"k": True},
        "link": FILE,
        "scope": {"project": PROJECT, "folder": "/a//b/", "recurse": False},
        "level": "CONTRIBUTE",
        "region": "aws:us-east-1",
        "archivalState": "live",
        "created": {"after": 1, "before": 2},
        "modified": {"after": 3},
        "sortBy": {"field": "name", "ordering": "descending"},
        "describe": {"fields": {"id": True}},
        "starting": {"project": PROJECT, "id": FILE},
        "limit": 7,
        "unknown": "ignored",
    }
    words = conditions.Word
    assert filters.read_data_objects(body) == filters.DataObjects(
        page=filters.Page(7, {"project": PROJECT, "id": FILE}, {"fields": {"id": True}}),
        class_name="file",
        state="closed",
        hidden=True,
        name=globs.NamePattern("glob", "*.bam"),
        ids=(FILE,),
        types=conditions.Either((words("A"), words("B"))),
        tags=conditions.Every((conditions.Every((words("x"),)), words("old"))),
        properties=conditions.Every((conditions.Property("k", True),)),
        link=FILE,
        scope=filters.Scope(PROJECT, "/a/b", recurse=False),
        level=Level.CONTRIBUTE,
        regions=("aws:us-east-1",),
        archival_state="live",
        created=filters.Times(1, 2),
        modified=filters.Times(3, None),
        sort=filters.Sort("name", descending=True),
    )


@pytest.mark.parametrize(
    ("body", "field", "value"),
    [
        ({"state": "any"}, "state", None),
        ({"archivalState": "any"}, "archival_state", None),
        ({"visibility": "either"}, "hidden", None),
        ({"name": "exact*"}, "name", globs.NamePattern("exact", "exact*")),
        ({"id": FILE}, "ids", (FILE,)),
        ({"scope": {"project": CONTAINER}}, "scope", filters.Scope(CONTAINER, "/", recurse=True)),
        ({"scope": {"project": PROJECT, "folder": "/a"}}, "scope", filters.Scope(PROJECT, "/a")),
        ({"region": ["a", "b"]}, "regions", ("a", "b")),
        ({"id": [FILE] * 1000}, "ids", (FILE,) * 1000),
        ({"sortBy": {}}, "sort", filters.Sort("modified", descending=False)),
        ({"limit": 2000}, "page", filters.Page(limit=1000)),
        ({"describe": {}}, "page", filters.Page(describe={})),
        ({"describe": True}, "page", filters.Page(describe=True)),
    ],
)
def test_single_keys_of_a_question_for_data_objects(
    body: dict[str, Any], field: str, value: Any
) -> None:
    assert getattr(filters.read_data_objects(body), field) == value


def test_a_question_for_projects_is_read_whole() -> None:
    body = {
        "name": {"regexp": "^x", "flags": "i"},
        "id": PROJECT,
        "tags": {"$and": ["t"]},
        "properties": {"k": "v"},
        "level": "ADMINISTER",
        "explicitPermission": True,
        "public": False,
        "region": ["azure:westus"],
        "billTo": "user-alice",
        "containsPHI": False,
        "externalUploadRestricted": True,
        "created": {"before": 5},
        "describe": True,
    }
    assert filters.read_projects(body) == filters.Projects(
        page=filters.Page(describe=True),
        name=globs.NamePattern("regexp", "^x", ignore_case=True),
        ids=(PROJECT,),
        tags=conditions.Every((conditions.Word("t"),)),
        properties=conditions.Every((conditions.Property("k", "v"),)),
        level=Level.ADMINISTER,
        explicit_permission=True,
        public=False,
        regions=("azure:westus",),
        bill_to="user-alice",
        contains_phi=False,
        external_upload_restricted=True,
        created=filters.Times(None, 5),
    )


def test_a_question_for_apps_is_read_whole() -> None:
    body = {
        "name": {"glob": "x*"},
        "category": "Reports",
        "allVersions": True,
        "published": False,
        "billTo": "org-x",
        "createdBy": "user-alice",
        "developer": "user-bob",
        "authorizedUser": "PUBLIC",
        "created": {"after": 1},
        "modified": {"before": 2},
    }
    assert filters.read_apps(body) == filters.Apps(
        page=filters.Page(),
        name=globs.NamePattern("glob", "x*"),
        category="Reports",
        all_versions=True,
        published=False,
        bill_to="org-x",
        created_by="user-alice",
        developer="user-bob",
        authorized_user="PUBLIC",
        created=filters.Times(1, None),
        modified=filters.Times(None, 2),
    )


def test_a_question_for_executions_is_read_whole() -> None:
    body = {
        "class": "job",
        "launchedBy": "self",
        "executable": APPLET,
        "project": PROJECT,
        "state": "waiting_on_input",
        "originJob": [JOB],
        "rootExecution": [JOB, ANALYSIS],
        "parentJob": None,
        "parentAnalysis": ANALYSIS,
        "name": {"glob": "?est*"},
        "tags": {"$and": ["t"]},
        "properties": {"k": True},
        "created": {"after": 1},
        "includeSubjobs": False,
        "includeRestarted": True,
        "describe": {"io": False},
        "starting": "job-x",
    }
    assert filters.read_executions(body) == filters.Executions(
        page=filters.Page(1000, "job-x", {"io": False}),
        class_name="job",
        launched_by="self",
        executable=APPLET,
        project=PROJECT,
        state="waiting_on_input",
        origin_jobs=(JOB,),
        root_executions=(JOB, ANALYSIS),
        parent_job=None,
        parent_analysis=ANALYSIS,
        name=globs.NamePattern("glob", "?est*"),
        tags=conditions.Every((conditions.Word("t"),)),
        properties=conditions.Every((conditions.Property("k", True),)),
        created=filters.Times(1, None),
        include_subjobs=False,
        include_restarted=True,
    )


def test_no_parent_is_another_question_than_any_parent() -> None:
    assert filters.read_executions({}).parent_job is msgspec.UNSET
    assert filters.read_executions({"parentJob": None}).parent_job is None
    assert filters.read_executions({"parentJob": JOB}).parent_job == JOB


def test_find_jobs_fixes_the_class() -> None:
    assert filters.read_executions({"class": "analysis"}, class_name="job").class_name == "job"


@pytest.mark.parametrize(
    ("read", "body", "message"),
    [
        (filters.read_data_objects, [], "input is not a hash"),
        (filters.read_data_objects, {"state": {"invalid": "oops"}}, 'key "state" of input'),
        (filters.read_data_objects, {"state": "done"}, 'key "state" of input to be one of "open"'),
        (filters.read_data_objects, {"class": "job"}, 'key "class"'),
        (filters.read_data_objects, {"visibility": "all"}, 'key "visibility"'),
        (filters.read_data_objects, {"name": 3}, 'key "name"'),
        (filters.read_data_objects, {"id": ["x"]}, 'key "id" of input to be an id, got "x"'),
        (filters.read_data_objects, {"id": [FILE] * 1001}, 'key "id" of input to be at most 1000'),
        (filters.read_data_objects, {"type": {}}, 'key "type"'),
        (filters.read_data_objects, {"tag": 1}, 'key "tag"'),
        (filters.read_data_objects, {"tags": ["x"]}, 'key "tags"'),
        (filters.read_data_objects, {"properties": {"": "x"}}, "nonempty strings"),
        (filters.read_data_objects, {"link": PROJECT}, 'key "link" of input to be an id of class'),
        (filters.read_data_objects, {"scope": PROJECT}, 'key "scope" of input to be a hash'),
        (filters.read_data_objects, {"scope": {}}, 'Expected scope to have property "project"'),
        (filters.read_data_objects, {"scope": {"project": FILE}}, 'key "project" of scope'),
        (
            filters.read_data_objects,
            {"scope": {"project": PROJECT, "folder": "a"}},
            'key "folder"',
        ),
        (
            filters.read_data_objects,
            {"scope": {"project": PROJECT, "recurse": 1}},
            'key "recurse" of scope to be a boolean',
        ),
        (filters.read_data_objects, {"level": "SUPER"}, 'key "level"'),
        (filters.read_data_objects, {"region": 3}, 'key "region"'),
        (filters.read_data_objects, {"archivalState": "x"}, 'key "archivalState"'),
        (filters.read_data_objects, {"created": 3}, 'key "created" of input to be a hash'),
        (filters.read_data_objects, {"created": {"after": "-1d"}}, 'key "after" of created'),
        (filters.read_data_objects, {"modified": {"before": []}}, 'key "before" of modified'),
        (filters.read_data_objects, {"sortBy": {"field": "size"}}, 'key "field" of sortBy'),
        (filters.read_data_objects, {"sortBy": {"ordering": "up"}}, 'key "ordering" of sortBy'),
        (filters.read_data_objects, {"limit": 0}, 'key "limit" of input to be at least 1'),
        (filters.read_data_objects, {"limit": "9"}, 'key "limit" of input to be an integer'),
        (filters.read_data_objects, {"describe": 1}, 'key "describe"'),
        (filters.read_projects, {"public": "yes"}, 'key "public" of input to be a boolean'),
        (filters.read_projects, {"billTo": "alice"}, 'key "billTo"'),
        (filters.read_projects, {"level": 3}, 'key "level"'),
        (filters.read_executions, {"state": "closed"}, 'key "state"'),
        (filters.read_executions, {"class": "file"}, 'key "class"'),
        (filters.read_executions, {"launchedBy": "me"}, 'key "launchedBy"'),
        (filters.read_executions, {"project": APPLET}, 'key "project"'),
        (filters.read_executions, {"originJob": ANALYSIS}, 'key "originJob"'),
        (filters.read_executions, {"parentJob": "none"}, 'key "parentJob"'),
        (filters.read_executions, {"rootExecution": [1]}, 'key "rootExecution"'),
        (filters.read_executions, {"includeSubjobs": 1}, 'key "includeSubjobs"'),
        (filters.read_executions, {"executable": []}, 'key "executable"'),
    ],
)
def test_a_wrong_key_is_named(read: Callable[[Any], Any], body: Any, message: str) -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        read(body)
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("times", "moment_ms", "holds"),
    [
        (filters.ALWAYS, 0, True),
        (filters.Times(5, None), 5, True),
        (filters.Times(5, None), 4, False),
        (filters.Times(None, 5), 5, True),
        (filters.Times(None, 5), 6, False),
        (filters.Times(4, 6), 5, True),
    ],
)
def test_the_ends_of_a_time_are_included(times: filters.Times, moment_ms: int, holds: bool) -> None:
    assert times.hold(moment_ms) is holds
