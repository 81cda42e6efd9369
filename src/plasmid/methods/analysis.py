"""Analyses: describe, change, terminate (contract E.7, F.6.3, F.10)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from plasmid.domain import analysis_states, errors, keys, properties, ssh_access
from plasmid.executions import settle
from plasmid.metadata import analyses, jobs
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
    """Return the describe of an analysis: its input is what its stages have of it by now."""
    wanted = wire.wanted(options)
    if not wanted:
        return wire.describe(row, [], options, now_ms=call.now_ms)
    has_io = keys.boolean(dict(options), "io", default=True)
    inner = {} if has_io else {"io": False}
    found = await analyses.find_stages(call.reader, row.id)
    executions = {job.id: await _job(call, job, inner) for job in found.jobs.values()}
    for below in found.analyses.values():
        executions[below.id] = await described(call, below, inner)
    await launched.add_to_all(call.reader, [(one, executions[one]) for one in found.jobs])
    stages = [
        {"id": entry["id"], "execution": executions.get(entry["execution"], {})}
        for entry in row.stages
    ]
    if has_io:
        values = {
            f"{stage['id']}.{name}": value
            for stage in stages
            for name, value in (stage["execution"].get("input") or {}).items()
        }
        row = msgspec.structs.replace(row, input=values)
    return wire.describe(row, stages, options, now_ms=call.now_ms)


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


@method("/analysis-xxxx/addTags", access=Access.CONTRIBUTE, mode=Mode.WRITE)
async def add_tags(call: Call, target: AnalysisRow, body: dict[str, Any]) -> Ref:
    """Add tags to an analysis."""
    tags = properties.with_added(target.tags, properties.check_tags(body.get("tags")))
    await analyses.update_analysis(call.tx, target.id, {"tags": tags})
    return Ref(target.id)


@method("/analysis-xxxx/removeTags", access=Access.CONTRIBUTE, mode=Mode.WRITE)
async def remove_tags(call: Call, target: AnalysisRow, body: dict[str, Any]) -> Ref:
    """Take tags from an analysis."""
    tags = properties.without(target.tags, properties.check_tags(body.get("tags")))
    await analyses.update_analysis(call.tx, target.id, {"tags": tags})
    return Ref(target.id)


@method("/analysis-xxxx/setProperties", access=Access.CONTRIBUTE, mode=Mode.WRITE)
async def set_properties(call: Call, target: AnalysisRow, body: dict[str, Any]) -> Ref:
    """Set properties of an analysis; null removes one."""
    given = properties.check_property_changes(body.get("properties"))
    changed = properties.with_changes(target.properties, given)
    await analyses.update_analysis(call.tx, target.id, {"properties": changed})
    return Ref(target.id)
