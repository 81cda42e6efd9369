"""Declare every method: importing a module of methods fills the registry."""

from __future__ import annotations

from plasmid.methods import (
    adopt,
    analysis,
    app,
    app_people,
    app_versions,
    applet,
    archival,
    batch,
    containers,
    databases,
    describing,
    dry_runs,
    execution_labels,
    features,
    file,
    find,
    find_apps,
    find_executions,
    find_orgs,
    find_people,
    find_projects,
    folders,
    global_search,
    global_workflow,
    identity,
    internal,
    job,
    job_log,
    org,
    org_ending,
    org_members,
    people,
    project,
    project_members,
    record,
    shared,
    system,
    tokens,
    user,
    user_new,
    web_apps,
    workflow,
    workflow_edits,
    workflow_runs,
)

MODULES = (
    adopt, analysis, app, app_people, app_versions, applet, archival, batch, containers, databases,
    describing, dry_runs, execution_labels, features, file, find, find_apps, find_executions,
    global_workflow, find_orgs, find_people, find_projects, folders, global_search, identity,
    internal, job, job_log,
    org, org_ending, org_members, people, project, project_members, record,
    shared, system, tokens, user, user_new, web_apps,
    workflow, workflow_edits, workflow_runs,
)  # fmt: skip


def declare() -> int:
    """Return how many modules have declared their methods."""
    return len(MODULES)
