"""What can be changed of a job or an analysis that is not over (contract F.10)."""

from __future__ import annotations

from typing import Any

from plasmid.domain import errors, keys, ssh_access
from plasmid.metadata import analyses, jobs
from plasmid.metadata.rows import AnalysisRow, JobRow
from plasmid.methods import running
from plasmid.methods.call import Call


def ssh_addresses(call: Call, body: dict[str, Any]) -> list[str]:
    """Return from where one may connect to a job; raises if that is wrong, or disabled here."""
    allowed = ssh_access.allowed_by(body)
    if allowed and not call.platform.limits.ssh_enabled:
        raise errors.InvalidState(ssh_access.DISABLED)
    return allowed


def with_ssh(settings: dict[str, Any], allowed: list[str]) -> dict[str, Any]:
    """Return a job's settings with other addresses; that one could log in is never forgotten."""
    was_allowed = bool(allowed or settings.get(ssh_access.FIELD))
    kept = {ssh_access.WAS_ALLOWED: True} if was_allowed else {}
    return settings | kept | {ssh_access.FIELD: allowed}


async def rank_tree(call: Call, target: JobRow | AnalysisRow, body: dict[str, Any]) -> None:
    """Change the rank of all of a tree that is not over; raises InvalidInput below its root."""
    rank = keys.integer(body, "rank", minimum=running.RANK_MIN, maximum=running.RANK_MAX) or 0
    if target.id != target.root_execution:
        raise errors.InvalidInput(
            f"The rank is that of a whole tree: change it of {target.root_execution}, its root"
        )
    for row in await jobs.find_unfinished_of_tree(call.tx, target.id):
        await jobs.update_job(call.tx, row.id, {"rank": rank})
    for analysis in await analyses.find_unfinished_of_tree(call.tx, target.id):
        await analyses.update_analysis(call.tx, analysis.id, {"rank": rank})
