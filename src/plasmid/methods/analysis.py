"""Analyses: describe, change, terminate (contract E.7, F.6.3, F.10)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from plasmid.domain import analysis_states, errors, keys, ssh_access
from plasmid.executions import analysis_outputs, settle
from plasmid.metadata import analyses, jobs
from plasmid.metadata.analyses import Stages
from plasmid.metadata.rows import AnalysisRow, JobRow
from plasmid.methods import execution_changes, launched, moments, shown, web_apps
from plasmid.methods.call import Call, Ref
from plasmid.methods.registry import Mode, method
from plasmid.methods.targets import Access
from plasmid.methods.wire import analysis as wire
from plasmid.methods.wire import job as job_wire


@method("/analysis-xxxx/describe", access=Access.OBJECT_VIEW)
async def describe(call: Call, target: AnalysisRow, body: dict[str, Any]) -> dict[str, Any]:
    """Describe an analysis with the executions of its stages."""
    return await described(call, target, body)


async def described(call: Call, row: AnalysisRow, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the describe of an analysis: what its stages have got and put out by now."""
    wanted = wire.wanted(options)
    if row.state == analysis_states.State.DONE:
        wanted.discard("output")
    if not wanted:
        return wire.describe(row, [], options, now_ms=call.now_ms)
    found = await analyses.find_stages(call.reader, row.id)
    if "output" in wanted:
        output = await analysis_outputs.so_far(call.reader, row, found)
        row = msgspec.structs.replace(row, output=output)
    if wanted == {"output"}:
        return wire.describe(row, [], options, now_ms=call.now_ms)
    has_io = keys.boolean(dict(options), "io", default=True)
    stages = await _stages(call, row, found, options={} if has_io else {"io": False})
    if has_io:
        values = {
            f"{stage['id']}.{name}": value
            for stage in stages
            for name, value in (stage["execution"].get("input") or {}).items()
        }
        row = msgspec.structs.replace(row, input=values)
    return wire.describe(row, stages, options, now_ms=call.now_ms)


async def _stages(
    call: Call, row: AnalysisRow, found: Stages, *, options: dict[str, Any]
) -> list[dict[str, Any]]:
    executions = {job.id: await _job(call, job, options) for job in found.jobs.values()}
    for below in found.analyses.values():
        executions[below.id] = await described(call, below, options)
    await launched.add_to_all(call.reader, [(one, executions[one]) for one in found.jobs])
    return [
        {"id": entry["id"], "execution": executions.get(entry["execution"], {})}
        for entry in row.stages
    ]


async def described_by_id(call: Call, execution: str) -> dict[str, Any] | None:
    """Return the describe of a job or an analysis; None if there is none of that id."""
    job = await jobs.find_job(call.reader, execution)
    if job is not None:
        return await launched.added(call.reader, await _job(call, job, {}), job.id)
    row = await analyses.find_analysis(call.reader, execution)
    return None if row is None else await described(call, row, {})


async def _job(call: Call, row: JobRow, options: Mapping[str, Any]) -> dict[str, Any]:
    known = call.platform.samples.shown(await shown.as_known(call.reader, row, options))
    address = web_apps.address(call.platform)
    return job_wire.describe(known, options, now_ms=call.now_ms, web_apps=address)


@method("/analysis-xxxx/terminate", access=Access.JOB_CONTROL, mode=Mode.WRITE)
async def terminate(call: Call, target: AnalysisRow, body: dict[str, Any]) -> Ref:
    """Terminate an analysis with all below it; one that is over stays as it is."""
    async with moments.of(call) as moment:
        await settle.terminate_tree(moment, target)
    return Ref(target.id)


@method("/analysis-xxxx/update", access=Access.JOB_CONTROL, mode=Mode.WRITE)
async def update(call: Call, target: AnalysisRow, body: dict[str, Any]) -> Ref:
    """Change who may connect to the jobs of the stages by SSH, and the rank of the tree."""
    if analysis_states.is_terminal(target.state):
        raise errors.InvalidState(f"{target.id} is {target.state}; it cannot be changed any more")
    changes: dict[str, Any] = {"modified_ms": call.now_ms}
    if ssh_access.FIELD in body:
        allowed = execution_changes.ssh_addresses(call, body)
        changes["settings"] = target.settings | {ssh_access.FIELD: allowed}
        await _allow_ssh(call, target, allowed)
    await analyses.update_analysis(call.tx, target.id, changes)
    if "rank" in body:
        await execution_changes.rank_tree(call, target, body)
    return Ref(target.id)


async def _allow_ssh(call: Call, target: AnalysisRow, allowed: list[str]) -> None:
    for row in await jobs.find_unfinished_below(call.tx, target.id):
        settings = execution_changes.with_ssh(row.settings, allowed)
        await jobs.update_job(call.tx, row.id, {"settings": settings})
        if row.worker is not None:
            call.tx.notify(settle.worker_topic(row.worker))
