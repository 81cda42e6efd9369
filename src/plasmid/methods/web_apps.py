"""Web applications of jobs: where they are, who may open them, and links that do (contract H.7)."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

from plasmid.auth import app_sessions
from plasmid.domain import errors, https_app, job_states, keys
from plasmid.domain.access import Actor
from plasmid.metadata import jobs
from plasmid.metadata.rows import JobRow
from plasmid.methods import levels
from plasmid.methods.call import Call, Platform
from plasmid.methods.registry import method
from plasmid.methods.targets import Access

OPEN_PATH: Final = "/.plasmid/open"
NOT_OFFERED: Final = (
    "This site offers no web applications of jobs; its operator can: [web_apps] enabled"
)


def address(platform: Platform) -> https_app.Address | None:
    """Return where the web applications of jobs are; None if this site offers none."""
    domain = platform.limits.web_app_domain
    if not domain:
        return None
    return https_app.address_of(platform.public_url or platform.own_url, domain)


def ports_of(platform: Platform, row: JobRow) -> list[int]:
    """Return the ports of a job that are to be reachable."""
    declared = row.settings.get(https_app.FIELD)
    return list(declared["ports"]) if declared and platform.limits.web_app_domain else []


async def may_open(call: Call, row: JobRow) -> bool:
    """Say whether the caller may open a job's web application: users only, by `shared_access`.

    Not the token of a job: an applet could else act for its launcher at all their other jobs.
    """
    declared = row.settings.get(https_app.FIELD)
    if not declared or not _is_person(call.actor):
        return False
    if declared["shared_access"] == https_app.LAUNCHER_ONLY and row.launched_by != call.actor.user:
        return False
    return await levels.level_on(call, row.project) >= https_app.needed_level(declared)


def _is_person(actor: Actor) -> bool:
    return actor.user is not None and actor.job is None and actor.worker is None


async def find_job(call: Call, place: https_app.Place) -> JobRow | None:
    """Return the job that a host names, whatever the case of its letters; None if there is none."""
    found = await jobs.find_ids_in_any_case(call.reader, place.job)
    return await jobs.find_job(call.reader, found[0]) if len(found) == 1 else None


@method("/job-xxxx/openHttpsApp", access=Access.OBJECT_VIEW)
async def open_https_app(call: Call, target: JobRow, body: dict[str, Any]) -> dict[str, Any]:
    """Return a link that opens the job's web application in a browser, once, within a minute.

    `port` is another of its ports than the first. Not of the platform's API.
    """
    port = keys.integer(body, "port")
    at = address(call.platform)
    if at is None:
        raise errors.InvalidState(NOT_OFFERED)
    declared = target.settings.get(https_app.FIELD)
    if not declared:
        raise errors.InvalidState(
            f"{target.id} has no web application: its executable declares no {https_app.FIELD}"
        )
    if job_states.is_terminal(target.state):
        raise errors.InvalidState(f"{target.id} is {target.state}; its web application has ended")
    if https_app.port_of(declared, port) is None:
        raise errors.InvalidInput(
            f'Expected key "port" of input to be {keys.listed(declared["ports"])}'
        )
    if not await may_open(call, target):
        raise _refusal(call, target, declared)
    sessions = call.platform.app_sessions
    expires_ms = call.now_ms + app_sessions.CODE_MS
    opening = app_sessions.Opening(target.id, call.actor.token_hash, expires_ms)
    code = sessions.offer(opening, call.now_ms)
    base = https_app.url_of(at, target.id, port)
    return {"url": f"{base}{OPEN_PATH}?code={quote(code)}", "expires": expires_ms}


def _refusal(call: Call, target: JobRow, declared: dict[str, Any]) -> errors.PermissionDenied:
    if not _is_person(call.actor):
        return errors.PermissionDenied("Only a user's own token may open web applications")
    if declared["shared_access"] == https_app.LAUNCHER_ONLY:
        return errors.PermissionDenied(f"Only {target.launched_by}, who launched it, may open it")
    return errors.PermissionDenied(
        f"{https_app.needed_level(declared).name} permission is required on {target.project}"
    )
