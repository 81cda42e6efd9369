"""Containers of executions (contract C.10)."""

from __future__ import annotations

from typing import Any

from plasmid.domain import app_spec, errors
from plasmid.executions import settle
from plasmid.metadata import jobs
from plasmid.methods import moments
from plasmid.methods.call import Call, Ref
from plasmid.methods.registry import Mode, method
from plasmid.methods.targets import Access, Container


@method("/container-xxxx/destroy", access=Access.CONTRIBUTE, mode=Mode.WRITE)
async def destroy(call: Call, target: Container, body: dict[str, Any]) -> Ref:
    """Remove an app's cache in a project, which the next job of the app makes anew.

    Workspaces go with their trees, and what apps are made from with the apps.
    """
    row = target.row
    if row.kind != app_spec.CACHE or row.project is None:
        raise errors.InvalidState(
            f"{target.id} is in use: it goes when the executions or the app that it belongs to do"
        )
    unfinished = await jobs.find_unfinished_in(call.reader, row.project)
    users = [job.id for job in unfinished if job.executable == row.app]
    if users:
        raise errors.InvalidState(f"{target.id} is in use by {users[0]}, which is not over")
    async with moments.of(call) as moment:
        await settle.remove_container(moment, target.id)
    return Ref(target.id)
