"""Jobs: describe, make sub-jobs, change, terminate (contract F)."""

from __future__ import annotations

from typing import Any

from plasmid.domain import errors, job_states, keys, ssh_access
from plasmid.executions import settle
from plasmid.metadata import jobs
from plasmid.metadata.rows import JobRow
from plasmid.methods import execution_changes, launched, moments, running, shown, web_apps
from plasmid.methods.call import Call, Ref
from plasmid.methods.registry import Mode, method
from plasmid.methods.targets import Access
from plasmid.methods.wire import job as wire
from plasmid.telemetry import failpoints


@method("/job-xxxx/describe", access=Access.OBJECT_VIEW)
async def describe(call: Call, target: JobRow, body: dict[str, Any]) -> dict[str, Any]:
    """Describe a job, or one of its tries."""
    attempt = keys.integer(body, "try")
    row: JobRow | None = target
    if attempt is not None and attempt != target.attempt:
        row = await jobs.find_try(call.reader, target.id, attempt)
    if row is None:
        raise errors.ResourceNotFound(f"The entity {target.id} has no try {attempt}")
    row = call.platform.samples.shown(await shown.as_known(call.reader, row, body))
    described = wire.describe(
        row, body, now_ms=call.now_ms, web_apps=web_apps.address(call.platform)
    )
    if row.attempt != target.attempt:
        return described
    return await launched.added(call.reader, described, row.id)


@method("/job/new", access=Access.LOGIN, mode=Mode.WRITE, nonce=True)
async def new(call: Call, target: None, body: dict[str, Any]) -> Ref:
    """Start a sub-job of the calling job."""
    return Ref(await running.run_subjob(call, body))


@method("/job-xxxx/terminate", access=Access.JOB_CONTROL, mode=Mode.WRITE)
async def terminate(call: Call, target: JobRow, body: dict[str, Any]) -> Ref:
    """Terminate a job with all below it; one that is over stays as it is."""
    async with moments.of(call) as moment:
        await settle.terminate_tree(moment, target)
    failpoints.reach("S20", job=target.id)
    return Ref(target.id)


@method("/job-xxxx/update", access=Access.JOB_CONTROL, mode=Mode.WRITE)
async def update(call: Call, target: JobRow, body: dict[str, Any]) -> Ref:
    """Change who may connect by SSH, and the rank of the tree."""
    if job_states.is_terminal(target.state):
        raise errors.InvalidState(f"{target.id} is {target.state}; it cannot be changed any more")
    changes: dict[str, Any] = {"modified_ms": call.now_ms}
    if ssh_access.FIELD in body:
        allowed = execution_changes.ssh_addresses(call, body)
        changes["settings"] = execution_changes.with_ssh(target.settings, allowed)
        if target.worker is not None:
            call.tx.notify(settle.worker_topic(target.worker))
    await jobs.update_job(call.tx, target.id, changes)
    if "rank" in body:
        await execution_changes.rank_tree(call, target, body)
    return Ref(target.id)
