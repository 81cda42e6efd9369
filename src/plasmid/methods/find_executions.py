"""Find executions (contract B.6)."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from plasmid.domain import conditions, filters, globs, job_states
from plasmid.domain.access import Level
from plasmid.domain.filters import Executions
from plasmid.metadata import jobs, search
from plasmid.metadata.rows import JobRow
from plasmid.metadata.search import After, Visible
from plasmid.methods import find, running, targets
from plasmid.methods.call import Call
from plasmid.methods.registry import method
from plasmid.methods.targets import Access
from plasmid.methods.wire import fields
from plasmid.methods.wire import job as wire

BATCH_MIN: Final = 200


@method("/system/findExecutions", access=Access.LOGIN)
async def find_executions(call: Call, target: None, body: dict[str, Any]) -> dict[str, Any]:
    """Find jobs (and analyses, of which there are none yet), newest first."""
    return await _find(call, filters.read_executions(body))


@method("/system/findJobs", access=Access.LOGIN)
async def find_jobs(call: Call, target: None, body: dict[str, Any]) -> dict[str, Any]:
    """Find jobs, newest first."""
    return await _find(call, filters.read_executions(body, class_name="job"))


@method("/system/findAnalyses", access=Access.LOGIN)
async def find_analyses(call: Call, target: None, body: dict[str, Any]) -> dict[str, Any]:
    """Find analyses, of which there are none yet."""
    return await _find(call, filters.read_executions(body, class_name="analysis"))


async def _find(call: Call, question: Executions) -> dict[str, Any]:
    if question.class_name == "analysis" or isinstance(question.parent_analysis, str):
        return {"results": [], "next": None}
    if question.launched_by == "self":
        question = _launched_by(question, call.user)
    options = fields.options_of(question.page.describe)
    results: list[dict[str, Any]] = []
    visible = await _visible(call, question)
    after = await _after(call, question.page.starting)
    batch = max(BATCH_MIN, question.page.limit + 1)
    while True:
        rows = await search.find_jobs(call.reader, question, visible, after=after, limit=batch)
        for row in rows:
            if not _holds(question, row):
                continue
            if len(results) >= question.page.limit:
                return {"results": results, "next": results[-1]["id"]}
            if question.state != job_states.RESTARTED:
                results.append({"id": row.id} | _describe(row, options))
            if question.include_restarted:
                # Beyond the page's limit, if need be: a page begins and ends with whole jobs.
                tries = await jobs.find_tries(call.reader, row.id)
                results += [{"id": row.id} | _describe(earlier, options) for earlier in tries]
        if len(rows) < batch:
            break
        after = After(rows[-1].project, rows[-1].created_ms, rows[-1].id)
    return {"results": results, "next": None}


def _launched_by(question: Executions, user: str) -> Executions:
    return msgspec.structs.replace(question, launched_by=user)


def _describe(row: JobRow, options: Any) -> dict[str, Any]:
    return {} if options is None else {"describe": wire.describe(row, options)}


async def _visible(call: Call, question: Executions) -> Visible:
    """Return where to look; a job sees its own tree whatever it may do to its project."""
    caller = await running.caller_job(call)
    tree = caller.root_execution if caller else None
    if question.project is not None and (caller is None or question.project != caller.project):
        await targets.get_container(call, question.project, Level.VIEW)
        return Visible([question.project])
    return Visible(await find.visible_containers(call), tree)


async def _after(call: Call, starting: object) -> After | None:
    """Return where a page goes on: behind the job that `next` named."""
    if starting is None:
        return None
    row = await targets.get_job(call, str(starting))
    return After(row.project, row.created_ms, row.id)


def _holds(question: Executions, row: JobRow) -> bool:
    if question.name is not None and not globs.matcher(question.name)(row.name):
        return False
    if question.tags and not conditions.evaluate(question.tags, conditions.among(row.tags)):
        return False
    wanted = question.properties
    return wanted is None or conditions.evaluate(wanted, conditions.within(row.properties))
