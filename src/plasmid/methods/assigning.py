"""Make the assignment of a leased job: everything its worker needs, and the token of its try."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from plasmid.auth import tokens
from plasmid.domain import (
    access,
    escalation,
    fitting,
    instance_types,
    links,
    lock,
    metrics,
    replays,
    reuse,
    run_spec,
)
from plasmid.domain.access import Actor, Level
from plasmid.domain.assignments import Assignment, Resources
from plasmid.domain.job_states import State
from plasmid.domain.placement import Machine
from plasmid.executions import advance, settle, waking
from plasmid.executions.world import Moment
from plasmid.metadata import apps, jobs, objects, users
from plasmid.metadata.database import Reader, Transaction
from plasmid.metadata.rows import JobRow, ObjectRow, PlacementRow
from plasmid.methods import app_runs, granting, ssh_logins, web_apps
from plasmid.methods.call import Platform
from plasmid.methods.wire import data_object
from plasmid.methods.wire import job as job_wire

TOKEN_MS: Final = 30 * 24 * 3600 * 1000
# However much earlier tries have said, a later one may say that: this share, and so many bytes.
LOG_SHARE_MIN: Final = 8
LOG_BYTES_MIN: Final = 1 << 20


async def assign(platform: Platform, row: JobRow, now_ms: int) -> Assignment | None:
    """Return the assignment of a running job with a new token; None if it has moved on since.

    The token of an assignment that never arrived dies with the new one.
    """
    token, secret = tokens.mint(platform.randomness(32)), ""
    if row.settings.get(granting.SINGLE_CONTEXT):
        secret = tokens.mint(platform.randomness(32))
    async with platform.database.transaction() as tx:
        current = await jobs.find_job(tx, row.id)
        if current is None or current.attempt != row.attempt or current.state != State.RUNNING:
            return None
        executable = await objects.find_object(tx, row.executable)
        if executable is None:
            await _fail_without_executable(platform, tx, current, now_ms=now_ms)
            return None
        executable = app_runs.in_region(executable, current.region)
        app = await apps.find_version(tx, executable.id)
        await users.remove_job_tokens(tx, row.id)
        await tokens.add(
            tx,
            token,
            _actor(current, executable, secret),
            now_ms=now_ms,
            expires_ms=now_ms + TOKEN_MS,
            label=f"try {row.attempt}",
        )
        names = await _file_names(tx, current)
        launcher = await users.find_user(tx, current.launched_by)
    platform.authenticator.forget()
    made = _assignment(current, executable, token, names)
    made.context_secret = secret
    if app is not None:
        made.executable_description["version"] = app.version
    machine = platform.limits.machine
    release = executable.body["runSpec"].get("release")
    done = _with_resources(made, current, machine, release=release)
    done.metrics_ms = metrics.interval_ms(current.settings, platform.limits.metrics_ms)
    done.https_ports = web_apps.ports_of(platform, current)
    done.notes += ssh_logins.notes(current, launcher)
    done.log_bytes_max = await _log_bytes_left(platform, current)
    done.secrets = platform.log_secrets()
    return done


async def _log_bytes_left(platform: Platform, row: JobRow) -> int:
    """Return what a try's log may hold beside those of earlier tries; 0: any."""
    limit = platform.limits.log_bytes_max
    if not limit:
        return 0
    ends = [await platform.logs.end(row.id, attempt) for attempt in range(row.attempt)]
    used = sum(end.offset for end in ends)
    return max(limit - used, min(limit, max(limit // LOG_SHARE_MIN, LOG_BYTES_MIN)))


def _with_resources(
    made: Assignment, row: JobRow, machine: Machine, *, release: str | None
) -> Assignment:
    """Return the assignment with what the job gets of its instance type on this machine."""
    wanted = instance_types.get(row.instance_type)
    manner = replays.manner_of(row.settings)
    machine = replays.machine_then(manner.given, machine)
    given = fitting.fitted(wanted, machine)
    asked = run_spec.instance_types_for(row.settings["systemRequirements"], row.function)
    usual = "" if asked else instance_types.default_for(release)
    resources = Resources(
        memory_bytes=given.memory_bytes,
        cores=given.cores,
        disk_bytes=given.disk_bytes,
        devices=tuple(row.settings.get("devices") or ()),
    )
    notes = [
        *fitting.notes(wanted, machine, usual=usual),
        *escalation.note(row.settings.get(escalation.TRANSITIONS), row.attempt),
        *([row.settings[reuse.NOTE]] if reuse.NOTE in row.settings and row.attempt == 0 else []),
    ]
    return msgspec.structs.replace(
        made, resources=resources, notes=notes, mark=manner.mark, waits=manner.waits
    )


async def _fail_without_executable(
    platform: Platform, tx: Transaction, row: JobRow, *, now_ms: int
) -> None:
    """Fail a job whose executable was removed after it was leased: nothing can be run."""
    moment = Moment(
        tx,
        now_ms=now_ms,
        randomness=platform.randomness,
        authenticator=platform.authenticator,
        logs=platform.logs,
    )
    async with waking.following(moment):
        nothing = advance.nothing_to_run(row)
        await settle.fail(moment, row, nothing, may_restart=False, has_run=False)


def _actor(row: JobRow, executable: ObjectRow, secret: str) -> Actor:
    """Return what the token of a job's try may do (contract E.3, I.9)."""
    given: dict[str, Any] = executable.body["access"]
    asked = access.asked(given, row.project)
    grant = granting.grant_of(row)
    return Actor(
        user=row.launched_by,
        job=row.id,
        attempt=row.attempt,
        tree=row.root_execution,
        containers={
            **app_runs.levels(row),
            row.workspace: Level.CONTRIBUTE,
            row.project: asked[row.project],
        },
        elsewhere=asked[access.EVERY],
        scope=grant.scope,
        may_create_projects=bool(given.get("projectCreation")) and grant.may_create_projects,
        may_develop=bool(given.get("developer")) and grant.may_develop,
        context_hash=tokens.hash_of(secret) if secret else "",
    )


async def _file_names(reader: Reader, row: JobRow) -> dict[str, str]:
    object_ids = links.object_ids(row.input)
    if not object_ids:
        return {}
    places = await objects.find_placements_in(reader, row.workspace, object_ids)
    names = {place.object: place.name for place in places}
    named = links.named_projects(row.input)
    for object_id in object_ids:
        if object_id in names or not object_id.startswith("file-"):
            continue
        # given to a sub-job, and so not in the workspace (F.1)
        preferred = (named.get(object_id), row.project)
        elsewhere = await objects.find_placements(reader, object_id)
        elsewhere.sort(key=lambda place: place.container not in preferred)
        names.update({place.object: place.name for place in elsewhere[:1]})
    return names


def _assignment(
    row: JobRow, executable: ObjectRow, token: str, names: dict[str, str]
) -> Assignment:
    spec = executable.body["runSpec"]
    place = PlacementRow(
        row.project, executable.id, "/", row.executable_name, [], {}, row.created_ms
    )
    described = {
        "id": executable.id,
        "class": executable.class_name,
        "name": row.executable_name,
        "details": executable.details,
        **data_object.applet(executable, place, row.region),
    }
    return Assignment(
        job=row.id,
        attempt=row.attempt,
        token=token,
        function=row.function,
        interpreter=spec["interpreter"],
        code=spec.get("code", ""),
        distribution=spec.get("distribution", run_spec.DEFAULT_DISTRIBUTION),
        release=run_spec.release_of(spec),
        version=spec.get("version", "0"),
        environment=_environment(row),
        job_description=job_wire.describe(row, {}),
        executable_description=described,
        input=row.input,
        input_files=names,
        bundled_depends=spec.get("bundledDepends") or [],
        exec_depends=[*(spec.get("execDepends") or []), *_legacy_depends(spec)],
        network=row.settings.get("networkAccess") or [],
        resources=Resources(memory_bytes=0, cores=0, disk_bytes=0),
        timeout_ms=row.settings["timeout"],
        lock=_lock(executable.details),
        debug_on=list((row.settings.get("debug") or {}).get("debugOn") or []),
    )


def _legacy_depends(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """Return `dependencies`, an older name of execDepends that comes after it (contract I.4)."""
    given = spec.get("dependencies")
    return [entry for entry in given if isinstance(entry, dict)] if isinstance(given, list) else []


def _lock(details: object) -> dict[str, Any] | None:
    """Return the lock that came with an executable; None if it has none."""
    found = details.get(lock.DETAIL) if isinstance(details, dict) else None
    return found if found is None or isinstance(found, dict) else {"": found}


def _environment(row: JobRow) -> dict[str, str]:
    """Return the variables that say where the job works (contract I.1)."""
    return {
        "DX_JOB_ID": row.id,
        "DX_WORKSPACE_ID": row.workspace,
        "DX_PROJECT_CONTEXT_ID": row.project,
        **app_runs.variables(row),
    }
