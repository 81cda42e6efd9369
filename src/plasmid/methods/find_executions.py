"""Find executions (contract B.6)."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec

from plasmid.domain import conditions, filters, globs, job_states
from plasmid.domain.access import Level
from plasmid.domain.filters import Executions
from plasmid.metadata import analysis_search, job_search, jobs
from plasmid.metadata.job_search import Behind, Visible
from plasmid.metadata.rows import AnalysisRow, JobRow
from plasmid.methods import analysis, find, launched, running, shown, targets, web_apps
from plasmid.methods.call import Call
from plasmid.methods.registry import method
from plasmid.methods.targets import Access
from plasmid.methods.wire import fields
from plasmid.methods.wire import job as wire

BATCH_MAX: Final = 1000
Row = JobRow | AnalysisRow


@method("/system/findExecutions", access=Access.LOGIN)
async def find_executions(call: Call, target: None, body: dict[str, Any]) -> dict[str, Any]:
    """Find jobs and analyses, newest first."""
    return await launched.found(call.reader, await _find(call, filters.read_executions(body)))


@method("/system/findJobs", access=Access.LOGIN)
async def find_jobs(call: Call, target: None, body: dict[str, Any]) -> dict[str, Any]:
    """Find jobs, newest first."""
    return await launched.found(
        call.reader, await _find(call, filters.read_executions(body, class_name="job"))
    )


@method("/system/findAnalyses", access=Access.LOGIN)
async def find_analyses(call: Call, target: None, body: dict[str, Any]) -> dict[str, Any]:
    """Find analyses, newest first."""
    return await launched.found(
        call.reader, await _find(call, filters.read_executions(body, class_name="analysis"))
    )


async def _find(call: Call, question: Executions) -> dict[str, Any]:
    if question.launched_by == "self":
        question = _launched_by(question, call.user)
    found, more = await _page(call, question)
    options = fields.options_of(question.page.describe)
    results: list[dict[str, Any]] = []
    found_jobs = [row for row in found if isinstance(row, JobRow)]
    tried = [row.id for row in found_jobs if row.attempt] if question.include_restarted else []
    tries = await jobs.find_tries_of(call.reader, tried)
    for row in found:
        if question.state != job_states.RESTARTED:
            results.append(await _result(call, row, options))
        # Beyond the page's limit, if need be: a page begins and ends with whole jobs.
        results += [await _result(call, earlier, options) for earlier in tries.get(row.id, ())]
    return {"results": results, "next": found[-1].id if more else None}


async def _page(call: Call, question: Executions) -> tuple[list[Row], bool]:
    """Return the executions of one page, and whether there are more."""
    limit = question.page.limit
    visible = await _visible(call, question)
    behind = await _behind(call, question.page.starting)
    batch = limit + 1
    found: list[Row] = []
    while True:
        rows = await _newest(call, question, visible, behind=behind, limit=batch)
        for row in rows:
            if _holds(question, row):
                if len(found) == limit:
                    return found, True
                found.append(row)
        if len(rows) < batch:
            return found, False
        behind = Behind(rows[-1].created_ms, rows[-1].id)
        batch = BATCH_MAX
        await asyncio.sleep(0)  # what few jobs are like may be looked for among a million


async def _newest(
    call: Call, question: Executions, visible: Visible, *, behind: Behind | None, limit: int
) -> list[Row]:
    """Return the newest jobs and analyses that may be meant, merged, at most so many."""
    found: list[Row] = []
    if question.class_name != "analysis":
        found += await job_search.find_jobs(
            call.reader, question, visible, behind=behind, limit=limit
        )
    if question.class_name != "job" and question.state != job_states.RESTARTED:
        found += await analysis_search.find_analyses(
            call.reader, question, visible, behind=behind, limit=limit
        )
    found.sort(key=lambda row: (row.created_ms, row.id), reverse=True)
    return found[:limit]


def _launched_by(question: Executions, user: str) -> Executions:
    return msgspec.structs.replace(question, launched_by=user)


async def _result(call: Call, row: Row, options: Any) -> dict[str, Any]:
    if options is None:
        return {"id": row.id}
    if isinstance(row, AnalysisRow):
        return {"id": row.id, "describe": await analysis.described(call, row, options)}
    known = await shown.as_known(call.reader, row, options)
    described = wire.describe(
        known, options, now_ms=call.now_ms, web_apps=web_apps.address(call.platform)
    )
    return {"id": row.id, "describe": described}


async def _visible(call: Call, question: Executions) -> Visible:
    """Return where to look; a job sees its own tree whatever it may do to its project."""
    caller = await running.caller_job(call)
    tree = caller.root_execution if caller else None
    if question.project is not None and (caller is None or question.project != caller.project):
        await targets.get_container(call, question.project, Level.VIEW)
        return Visible([question.project])
    return Visible(await find.visible_containers(call), tree)


async def _behind(call: Call, starting: object) -> Behind | None:
    """Return where a page goes on: behind the execution that `next` named."""
    if starting is None:
        return None
    row = await targets.get_execution(call, str(starting))
    return Behind(row.created_ms, row.id)


def _holds(question: Executions, row: Row) -> bool:
    if question.name is not None and not globs.matcher(question.name)(row.name):
        return False
    if question.tags and not conditions.evaluate(question.tags, conditions.among(row.tags)):
        return False
    wanted = question.properties
    return wanted is None or conditions.evaluate(wanted, conditions.within(row.properties))
