"""Declare every method: importing a module of methods fills the registry."""

from __future__ import annotations

from plasmid.methods import (
    adopt,
    app,
    app_people,
    applet,
    file,
    find,
    find_apps,
    find_executions,
    find_projects,
    folders,
    identity,
    internal,
    job,
    job_log,
    project,
    record,
    shared,
    system,
    tokens,
    user,
    web_apps,
)

MODULES = (
    adopt, app, app_people, applet, file, find, find_apps, find_executions, find_projects, folders,
    identity, internal, job, job_log, project, record, shared, system, tokens, user, web_apps,
)  # fmt: skip


def declare() -> int:
    """Return how many modules have declared their methods."""
    return len(MODULES)
