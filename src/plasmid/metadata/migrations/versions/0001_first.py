# ruff: noqa: INP001 - Alembic runs the files of a folder
"""The first tables.

Written out, not taken from schema.py: what a released migration makes never changes.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, CheckConstraint, Column, PrimaryKeyConstraint, Text

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make every table."""
    _containers()
    _folders()
    _jobs()
    _indexes_of_jobs()
    _links()
    _members()
    _nonces()
    _objects()
    _parts()
    _placements()
    _settings()
    _tokens()
    _users()
    _waits()


def _containers() -> None:
    op.create_table(
        "containers",
        Column("id", Text, nullable=False),
        Column("class_name", Text, nullable=False),
        Column("name", Text, nullable=False),
        Column("region", Text, nullable=False),
        Column("summary", Text, nullable=False),
        Column("description", Text, nullable=False),
        Column("bill_to", Text, nullable=False),
        Column("created_by", Text, nullable=False),
        Column("created_ms", BigInteger, nullable=False),
        Column("modified_ms", BigInteger, nullable=False),
        Column("version", BigInteger, nullable=False),
        Column("flags", Text, nullable=False),
        Column("tags", Text, nullable=False),
        Column("properties", Text, nullable=False),
        Column("project", Text, nullable=True),
        PrimaryKeyConstraint("id"),
    )
    op.create_index("containers_name", "containers", ["name"])


def _folders() -> None:
    op.create_table(
        "folders",
        Column("container", Text, nullable=False),
        Column("path", Text, nullable=False),
        PrimaryKeyConstraint("container", "path"),
    )


def _jobs() -> None:
    op.create_table(
        "jobs",
        Column("id", Text, nullable=False),
        Column("state", Text, nullable=False),
        Column("name", Text, nullable=False),
        Column("function", Text, nullable=False),
        Column("executable", Text, nullable=False),
        Column("executable_name", Text, nullable=False),
        Column("project", Text, nullable=False),
        Column("folder", Text, nullable=False),
        Column("workspace", Text, nullable=False),
        Column("region", Text, nullable=False),
        Column("bill_to", Text, nullable=False),
        Column("launched_by", Text, nullable=False),
        Column("parent_job", Text, nullable=True),
        Column("origin_job", Text, nullable=False),
        Column("root_execution", Text, nullable=False),
        Column("detached_from", Text, nullable=True),
        Column("created_ms", BigInteger, nullable=False),
        Column("modified_ms", BigInteger, nullable=False),
        Column("started_running_ms", BigInteger, nullable=True),
        Column("stopped_running_ms", BigInteger, nullable=True),
        Column("attempt", BigInteger, nullable=False),
        Column("attempt_created_ms", BigInteger, nullable=False),
        Column("priority", Text, nullable=False),
        Column("rank", BigInteger, nullable=False),
        Column("instance_type", Text, nullable=False),
        Column("tags", Text, nullable=False),
        Column("properties", Text, nullable=False),
        Column("state_transitions", Text, nullable=False),
        Column("run_input", Text, nullable=False),
        Column("original_input", Text, nullable=False),
        Column("input", Text, nullable=False),
        Column("output", Text, nullable=True),
        Column("depends_on", Text, nullable=False),
        Column("failure_reason", Text, nullable=True),
        Column("failure_message", Text, nullable=True),
        Column("failure_from", Text, nullable=True),
        Column("failure_counts", Text, nullable=False),
        Column("worker", Text, nullable=True),
        Column("settings", Text, nullable=False),
        PrimaryKeyConstraint("id"),
        CheckConstraint(
            "state IN ('idle','waiting_on_input','runnable','running','waiting_on_output',"
            "'debug_hold','restartable','done','failed','terminating','terminated')",
            name="jobs_state",
        ),
        CheckConstraint(
            "(state = 'failed') = (failure_reason IS NOT NULL)",
            name="jobs_failure",
        ),
    )


def _indexes_of_jobs() -> None:
    op.create_index("jobs_created", "jobs", ["created_ms"])
    op.create_index("jobs_launched_by", "jobs", ["launched_by", "created_ms"])
    op.create_index("jobs_origin", "jobs", ["origin_job"])
    op.create_index("jobs_parent", "jobs", ["parent_job"])
    op.create_index("jobs_project_created", "jobs", ["project", "created_ms"])
    op.create_index("jobs_root", "jobs", ["root_execution", "state"])
    op.create_index("jobs_state_created", "jobs", ["state", "created_ms"])
    op.create_index("jobs_worker", "jobs", ["worker", "state"])


def _links() -> None:
    op.create_table(
        "links",
        Column("source", Text, nullable=False),
        Column("target", Text, nullable=False),
        PrimaryKeyConstraint("source", "target"),
    )
    op.create_index("links_target", "links", ["target"])


def _members() -> None:
    op.create_table(
        "members",
        Column("container", Text, nullable=False),
        Column("member", Text, nullable=False),
        Column("level", BigInteger, nullable=False),
        PrimaryKeyConstraint("container", "member"),
    )
    op.create_index("members_member", "members", ["member"])


def _nonces() -> None:
    op.create_table(
        "nonces",
        Column("user", Text, nullable=False),
        Column("route", Text, nullable=False),
        Column("nonce", Text, nullable=False),
        Column("input_hash", Text, nullable=False),
        Column("response", Text, nullable=False),
        Column("created_ms", BigInteger, nullable=False),
        PrimaryKeyConstraint("user", "route", "nonce"),
    )
    op.create_index("nonces_created", "nonces", ["created_ms"])


def _objects() -> None:
    op.create_table(
        "objects",
        Column("id", Text, nullable=False),
        Column("class_name", Text, nullable=False),
        Column("state", Text, nullable=False),
        Column("hidden", BigInteger, nullable=False),
        Column("types", Text, nullable=False),
        Column("details", Text, nullable=False),
        Column("links", Text, nullable=False),
        Column("created_ms", BigInteger, nullable=False),
        Column("created_by", Text, nullable=False),
        Column("created_by_job", Text, nullable=True),
        Column("created_by_executable", Text, nullable=True),
        Column("media", Text, nullable=True),
        Column("size_bytes", BigInteger, nullable=True),
        Column("body", Text, nullable=False),
        PrimaryKeyConstraint("id"),
    )
    op.create_index("objects_created", "objects", ["created_ms"])


def _parts() -> None:
    op.create_table(
        "parts",
        Column("object", Text, nullable=False),
        Column("part", BigInteger, nullable=False),
        Column("state", Text, nullable=False),
        Column("size_bytes", BigInteger, nullable=False),
        Column("md5", Text, nullable=False),
        Column("blob", Text, nullable=True),
        PrimaryKeyConstraint("object", "part"),
    )


def _placements() -> None:
    op.create_table(
        "placements",
        Column("container", Text, nullable=False),
        Column("object", Text, nullable=False),
        Column("folder", Text, nullable=False),
        Column("name", Text, nullable=False),
        Column("tags", Text, nullable=False),
        Column("properties", Text, nullable=False),
        Column("modified_ms", BigInteger, nullable=False),
        PrimaryKeyConstraint("container", "object"),
    )
    op.create_index("placements_folder", "placements", ["container", "folder", "name"])
    op.create_index("placements_modified", "placements", ["container", "modified_ms", "object"])
    op.create_index("placements_object", "placements", ["object"])


def _settings() -> None:
    op.create_table(
        "settings",
        Column("key", Text, nullable=False),
        Column("value", Text, nullable=False),
        PrimaryKeyConstraint("key"),
    )


def _tokens() -> None:
    op.create_table(
        "tokens",
        Column("hash", Text, nullable=False),
        Column("user", Text, nullable=True),
        Column("actor", Text, nullable=False),
        Column("job", Text, nullable=True),
        Column("label", Text, nullable=False),
        Column("created_ms", BigInteger, nullable=False),
        Column("expires_ms", BigInteger, nullable=True),
        PrimaryKeyConstraint("hash"),
    )
    op.create_index("tokens_job", "tokens", ["job"])


def _users() -> None:
    op.create_table(
        "users",
        Column("id", Text, nullable=False),
        Column("handle", Text, nullable=False),
        Column("first", Text, nullable=False),
        Column("last", Text, nullable=False),
        Column("email", Text, nullable=False),
        Column("bill_to", Text, nullable=False),
        Column("ssh_public_key", Text, nullable=True),
        Column("created_ms", BigInteger, nullable=False),
        PrimaryKeyConstraint("id"),
    )


def _waits() -> None:
    op.create_table(
        "waits",
        Column("job", Text, nullable=False),
        Column("target", Text, nullable=False),
        PrimaryKeyConstraint("job", "target"),
    )
    op.create_index("waits_target", "waits", ["target"])
