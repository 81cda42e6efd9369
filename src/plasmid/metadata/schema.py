"""All tables. JSON columns are text; times are integer milliseconds (ending in `_ms`).

The same objects make the database of PostgreSQL later, so nothing here belongs to one dialect,
but for the conditions of some indexes.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from plasmid.metadata.columns import integer as _integer
from plasmid.metadata.columns import key as _key
from plasmid.metadata.columns import later_hash as _hash
from plasmid.metadata.columns import text as _text

tables = sa.MetaData()


settings = sa.Table("settings", tables, _key("key"), _text("value"))

users = sa.Table(
    "users",
    tables,
    _key("id"),
    _text("handle"),
    _text("first"),
    _text("last"),
    _text("email"),
    _text("bill_to"),
    _text("ssh_public_key", null=True),
    _integer("created_ms"),
    _hash("settings"),
)

orgs = sa.Table(
    "orgs",
    tables,
    _key("id"),
    _text("handle"),
    _text("name"),
    _text("policies"),
    _text("settings"),
    _text("created_by"),
    _integer("created_ms"),
)

org_members = sa.Table(
    "org_members",
    tables,
    _key("org"),
    _key("user"),
    _text("level"),
    _text("access"),
    sa.Index("org_members_user", "user"),
)

tokens = sa.Table(
    "tokens",
    tables,
    _key("hash"),
    _text("user", null=True),
    _text("actor"),
    _text("job", null=True),
    _text("label"),
    _integer("created_ms"),
    _integer("expires_ms", null=True),
    sa.Index("tokens_job", "job"),
)

containers = sa.Table(
    "containers",
    tables,
    _key("id"),
    _text("class_name"),
    _text("name"),
    _text("region"),
    _text("summary"),
    _text("description"),
    _text("bill_to"),
    _text("created_by"),
    _integer("created_ms"),
    _integer("modified_ms"),
    _integer("version"),
    _text("flags"),
    _text("tags"),
    _text("properties"),
    _text("project", null=True),
    _text("kind", null=True),
    _text("app", null=True),
    _integer("destroy_at_ms", null=True),
    sa.Index("containers_name", "name"),
    sa.Index("containers_app", "app"),
    sa.Index("containers_destroy_at", "destroy_at_ms"),
    sa.Index("containers_project", "project", "app"),
    sa.Index("containers_bill_to", "bill_to", sqlite_where=sa.text("class_name = 'project'")),
)

members = sa.Table(
    "members",
    tables,
    _key("container"),
    _key("member"),
    _integer("level"),
    sa.Index("members_member", "member"),
)

folders = sa.Table("folders", tables, _key("container"), _key("path"))

OPEN, HIDDEN = sa.text("state != 'closed'"), sa.text("hidden = 1")

objects = sa.Table(
    "objects",
    tables,
    _key("id"),
    _text("class_name"),
    _text("state"),
    _integer("hidden"),
    _text("types"),
    _text("details"),
    _text("links"),
    _integer("created_ms"),
    _text("created_by"),
    _text("created_by_job", null=True),
    _text("created_by_executable", null=True),
    _text("media", null=True),
    _integer("size_bytes", null=True),
    _text("body"),
    sa.Index("objects_created", "created_ms"),
    sa.Index("objects_class", "class_name"),
    sa.Index("objects_open", "id", sqlite_where=OPEN),
    sa.Index("objects_hidden", "id", sqlite_where=HIDDEN),
)

TAGGED, DESCRIBED = sa.text("tags != '[]'"), sa.text("properties != '{}'")
_LATEST = sa.text("modified_ms DESC")

placements = sa.Table(
    "placements",
    tables,
    _key("container"),
    _key("object"),
    _text("folder"),
    _text("name"),
    _text("tags"),
    _text("properties"),
    _integer("modified_ms"),
    _text("archival_state", null=True),
    _integer("archival_until_ms", null=True),
    sa.Index("placements_folder", "container", "folder", "name"),
    sa.Index("placements_name", "container", "name", "object"),
    sa.Index("placements_object", "object"),
    # what findDataObjects walks: the latest first, of all or of those with tags or properties
    *(
        sa.Index(f"placements_{name}", "container", _LATEST, "object", "name", sqlite_where=only)
        for name, only in (("modified", None), ("tagged", TAGGED), ("described", DESCRIBED))
    ),
)

links = sa.Table(
    "links", tables, _key("source"), _key("target"), sa.Index("links_target", "target")
)

parts = sa.Table(
    "parts",
    tables,
    _key("object"),
    sa.Column("part", sa.BigInteger, primary_key=True, nullable=False),
    _text("state"),
    _integer("size_bytes"),
    _text("md5"),
    _text("blob", null=True),
    sa.Index("parts_orphan", "object", "part", sqlite_where=sa.text("state = 'orphan'")),
)

# Name, leading columns and, where it holds only some of the jobs, which.
FINDING: Final = (
    ("project", ("project",), None),
    ("state", ("project", "state"), None),
    ("launched_by", ("project", "launched_by"), None),
    ("executable", ("project", "executable"), None),
    ("name", ("project", "name"), None),
    ("roots", ("project",), sa.text("parent_job IS NULL")),
    ("masters", ("project",), sa.text("(function = 'main' OR parent_job IS NULL)")),
    ("retried", ("project",), sa.text("attempt > 0")),
    ("tree", ("root_execution",), None),
    ("origin", ("origin_job",), None),
    ("parent", ("parent_job",), sa.text("parent_job IS NOT NULL")),
    ("analysis", ("parent_analysis",), sa.text("parent_analysis IS NOT NULL")),
)

jobs = sa.Table(
    "jobs",
    tables,
    _key("id"),
    _text("state"),
    _text("name"),
    _text("function"),
    _text("executable"),
    _text("executable_name"),
    _text("project"),
    _text("folder"),
    _text("workspace"),
    _text("region"),
    _text("bill_to"),
    _text("launched_by"),
    _text("parent_job", null=True),
    _text("origin_job"),
    _text("root_execution"),
    _text("detached_from", null=True),
    _integer("created_ms"),
    _integer("modified_ms"),
    _integer("started_running_ms", null=True),
    _integer("stopped_running_ms", null=True),
    _integer("attempt"),
    _integer("attempt_created_ms"),
    _text("priority"),
    _integer("rank"),
    _text("instance_type"),
    _text("tags"),
    _text("properties"),
    _text("state_transitions"),
    _text("run_input"),
    _text("original_input"),
    _text("input"),
    _text("output", null=True),
    _text("depends_on"),
    _text("failure_reason", null=True),
    _text("failure_message", null=True),
    _text("failure_from", null=True),
    _text("failure_counts"),
    _text("worker", null=True),
    _text("settings"),
    _text("parent_analysis", null=True),
    _text("stage", null=True),
    _text("reuse_key", null=True),
    sa.CheckConstraint(
        "state IN ('idle','waiting_on_input','runnable','running','waiting_on_output',"
        "'debug_hold','restartable','done','failed','terminating','terminated')",
        name="jobs_state",
    ),
    sa.CheckConstraint("(state = 'failed') = (failure_reason IS NOT NULL)", name="jobs_failure"),
    # what trees and the queue ask for
    sa.Index("jobs_state_created", "state", "created_ms"),
    sa.Index("jobs_root", "root_execution", "state"),
    sa.Index("jobs_parent", "parent_job", "state", sqlite_where=sa.text("parent_job IS NOT NULL")),
    sa.Index("jobs_worker", "worker", "state"),
    sa.Index(
        "jobs_queue",
        "launched_by",
        "priority",
        "instance_type",
        sa.text("(parent_job IS NULL AND detached_from IS NULL)"),
        sa.text("rank DESC"),
        "created_ms",
        "id",
        sqlite_where=sa.text("state = 'runnable'"),
    ),
    sa.Index(
        "jobs_queue_age", "priority", "created_ms", sqlite_where=sa.text("state = 'runnable'")
    ),
    sa.Index("jobs_detached", "detached_from", sqlite_where=sa.text("detached_from IS NOT NULL")),
    sa.Index(
        "jobs_reuse", "reuse_key", "created_ms", sqlite_where=sa.text("reuse_key IS NOT NULL")
    ),
    # what findExecutions asks for: each gives the newest first, and a page goes on behind a job
    *(
        sa.Index(f"jobs_find_{name}", *columns, "created_ms", "id", sqlite_where=only)
        for name, columns, only in FINDING
    ),
)

# A run of a workflow: `stages` name the executions of its stages, `workflow` is what was run.
analyses = sa.Table(
    "analyses",
    tables,
    _key("id"),
    _text("state"),
    _text("name"),
    _text("executable"),
    _text("executable_name"),
    _text("project"),
    _text("folder"),
    _text("workspace"),
    _text("region"),
    _text("bill_to"),
    _text("launched_by"),
    _text("parent_job", null=True),
    _text("parent_analysis", null=True),
    _text("stage", null=True),
    _text("root_execution"),
    _text("detached_from", null=True),
    _integer("created_ms"),
    _integer("modified_ms"),
    _text("priority"),
    _integer("rank"),
    _text("tags"),
    _text("properties"),
    _text("state_transitions"),
    _text("run_input"),
    _text("original_input"),
    _text("input"),
    _text("output", null=True),
    _text("depends_on"),
    _text("stages"),
    _text("workflow"),
    _text("settings"),
    sa.CheckConstraint(
        "state IN ('in_progress','partially_failed','done','failed','terminating','terminated')",
        name="analyses_state",
    ),
    sa.Index("analyses_find_project", "project", "created_ms", "id"),
    sa.Index("analyses_root", "root_execution", "state"),
    sa.Index("analyses_executable", "executable", "created_ms", "id"),
    sa.Index("analyses_parent_job", "parent_job", sqlite_where=sa.text("parent_job IS NOT NULL")),
    sa.Index(
        "analyses_parent_analysis",
        "parent_analysis",
        sqlite_where=sa.text("parent_analysis IS NOT NULL"),
    ),
)

tries = sa.Table(
    "tries",
    tables,
    _key("job"),
    sa.Column("attempt", sa.BigInteger, primary_key=True, nullable=False),
    _text("row"),
)

waits = sa.Table(
    "waits",
    tables,
    _key("job"),
    _key("target"),
    _text("wanted", null=True),
    sa.Index("waits_target", "target"),
)

nonces = sa.Table(
    "nonces",
    tables,
    _key("user"),
    _key("route"),
    _key("nonce"),
    _text("input_hash"),
    _text("response"),
    _integer("created_ms"),
    sa.Index("nonces_created", "created_ms"),
)

# What all versions of an app have in common.
app_names = sa.Table(
    "app_names",
    tables,
    _key("name"),
    _text("bill_to"),
    _text("developers"),
    _text("authorized_users"),
    _text("categories"),
)

# What is run lies in `objects`, under the same id.
apps = sa.Table(
    "apps",
    tables,
    _key("id"),
    _text("name"),
    _text("version"),
    _text("regional_options"),
    _text("created_by"),
    _integer("created_ms"),
    _integer("modified_ms"),
    _integer("published_ms", null=True),
    _integer("deleted_ms", null=True),
    sa.Index("apps_name", "name", "version"),
)

app_aliases = sa.Table(
    "app_aliases",
    tables,
    _key("name"),
    _key("alias"),
    _text("app"),
    sa.Index("app_aliases_app", "app"),
)

app_installs = sa.Table(
    "app_installs", tables, _key("user"), _key("name"), sa.Index("app_installs_name", "name")
)
