"""Who may log in to the running jobs of a worker by SSH, and what their logs say of it (H.1, H.6).

Only the key of a job's launcher opens its sandbox, and only while they may CONTRIBUTE to the job's
project. The worker is told anew whenever something of this changes, with its next sync.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from plasmid.domain import ssh_access
from plasmid.domain.access import Level
from plasmid.domain.assignments import HeldTry, SshAccess
from plasmid.domain.job_states import State
from plasmid.executions import settle
from plasmid.metadata import jobs, orgs, projects, users
from plasmid.metadata.database import Reader, Transaction
from plasmid.metadata.rows import JobRow, UserRow
from plasmid.methods.call import Platform

REFUSED: Final = "sshRefused"
LASTING: Final = (State.RUNNING, State.DEBUG_HOLD)
# What is being stopped says so to its sessions itself.
_NOT_OVER: Final = (*LASTING, State.TERMINATING)


def without_disabled(platform: Platform, settings: dict[str, Any]) -> dict[str, Any]:
    """Return a new job's settings: where SSH is off, none of it, so that `dx ssh` is told why."""
    if platform.limits.ssh_enabled or not settings.get(ssh_access.FIELD):
        return settings
    return {name: value for name, value in settings.items() if name != ssh_access.FIELD} | {
        REFUSED: True
    }


async def granted(
    platform: Platform, reader: Reader, rows: Iterable[JobRow], holding: Iterable[HeldTry]
) -> list[SshAccess]:
    """Return who may log in to the tries that a worker holds, in the order of the jobs' ids."""
    if not platform.limits.ssh_enabled:
        return []
    held = {(entry.job, entry.attempt) for entry in holding}
    found = [
        await _access(reader, row)
        for row in rows
        if row.state in _NOT_OVER
        and row.settings.get(ssh_access.FIELD)
        and (row.id, row.attempt) in held
    ]
    return sorted((access for access in found if access), key=_order)


def news(granted_now: list[SshAccess], told: list[SshAccess]) -> list[SshAccess] | None:
    """Return what a worker is to be told of it; None if it knows already."""
    return None if sorted(told, key=_order) == granted_now else granted_now


def _order(access: SshAccess) -> tuple[str, int]:
    return access.job, access.attempt


async def _access(reader: Reader, row: JobRow) -> SshAccess | None:
    launcher = await users.find_user(reader, row.launched_by)
    project = await projects.find_container(reader, row.project)
    if launcher is None or not launcher.ssh_public_key or project is None:
        return None
    members = await projects.find_members(reader, row.project)
    own = await orgs.level_among(reader, row.launched_by, members)
    if max(own, members.get(projects.PUBLIC, Level.NONE)) < Level.CONTRIBUTE:
        return None
    return SshAccess(
        job=row.id,
        attempt=row.attempt,
        public_key=launcher.ssh_public_key,
        addresses=tuple(row.settings[ssh_access.FIELD]),
        project_name=project.name or "",
    )


async def wake_workers_of(tx: Transaction, user: str) -> None:
    """Let the workers that run a user's jobs ask again, once this is committed."""
    for state in LASTING:
        for row in await jobs.find_in_state(tx, state):
            if row.launched_by == user and row.worker and row.settings.get(ssh_access.FIELD):
                tx.notify(settle.worker_topic(row.worker))


def notes(row: JobRow, launcher: UserRow | None) -> list[str]:
    """Return what a job's log says first of logins that its run asks for and nobody can make."""
    if row.settings.get(REFUSED):
        return [f"No SSH: {ssh_access.DISABLED[0].lower()}{ssh_access.DISABLED[1:]}"]
    if row.settings.get(ssh_access.FIELD) and not (launcher and launcher.ssh_public_key):
        return [
            f"No SSH yet: {row.launched_by} has no SSH key, `dx ssh_config` makes one and sends it"
        ]
    return []
